namespace BfsCore.Replication;

/// <summary>When a replica leaves its view by itself: timers (§2.3.5), slow primaries and regular changes (pitfall 9).</summary>
public sealed partial class Replica
{
    /// <summary>The timeout doubles with each view that brings nothing, up to this many times the configured one (pitfall 20).</summary>
    private const int MaxTimeouts = 8;
    private const int MaxTimeoutDoublings = 5;

    /// <summary>Response times that a request may take before its primary is suspected.</summary>
    private const int TimeoutResponses = 64;

    /// <summary>A replica that comes to its own timer this late, microseconds, was held up itself.</summary>
    private const long HeldUpMicros = 20_000;

    private readonly PrimaryWatch _watch;
    private bool _marksMoved;
    private long _viewDeadlineMicros = long.MaxValue;
    private Wait _batchWait;
    private Wait _requestWait;
    private bool _extended;
    private int _timeoutDoublings;
    private SeqNum _rotatedAt;

    // What is usual; until that is known, the longest that is allowed.
    private long _responseMicros;

    /// <summary>
    /// From measured response times, between a quarter and the whole of the configured timeout; doubled for each view that
    /// brought nothing.
    /// </summary>
    private long ViewTimeoutMicros
    {
        get
        {
            long first = Math.Clamp(_responseMicros * TimeoutResponses, LongestTimeoutMicros / 4, LongestTimeoutMicros);
            return Math.Min(first << _timeoutDoublings, MaxTimeouts * LongestTimeoutMicros);
        }
    }

    private long LongestTimeoutMicros => _config.ViewChangeTimeoutMillis * 1000L;

    /// <summary>A request that had waited here was executed: what is usual now, as a moving average.</summary>
    private void NoteResponse(long waitedMicros) => _responseMicros += (waitedMicros - _responseMicros) / 16;

    /// <summary>
    /// The means of §2.3.5: a backup waits for the first request that every replica can authenticate; in a view
    /// change it waits for the new view once 2f+1 have left for it.
    /// </summary>
    private void RunViewTimer()
    {
        if (_marksMoved)
        {
            // A decision may have waited for that.
            _marksMoved = false;
            Reconsider();
        }
        if (_silent)
        {
            // It follows where f+1 others go.
            return;
        }
        FollowLoneLeaver();
        if (_viewActive)
        {
            WaitFor(ref _batchWait, BatchUnderWay());
            if (WaitFor(ref _requestWait, IsPrimary || !StateIsWhole ? 0 : FirstOrderable?.Arrival ?? 0))
            {
                RelayFirst();
            }
            EndCutOff();
            _viewDeadlineMicros = Math.Min(_batchWait.DeadlineMicros, _requestWait.DeadlineMicros);
        }
        long late = _now.MonotonicMicros - _viewDeadlineMicros;
        if (_viewActive && late > HeldUpMicros && !_extended)
        {
            // This process stood still, and what the primary sent meanwhile has not been read yet.
            _viewDeadlineMicros = _now.MonotonicMicros + Math.Min(late, ViewTimeoutMicros);
            _batchWait.DeadlineMicros = Math.Max(_batchWait.DeadlineMicros, _viewDeadlineMicros);
            _requestWait.DeadlineMicros = Math.Max(_requestWait.DeadlineMicros, _viewDeadlineMicros);
            _extended = true;
        }
        else if (late >= 0)
        {
            if (_viewActive && WaitsCutOff())
            {
                return;
            }
            if (_viewActive && _now.MonotonicMicros < _batchWait.DeadlineMicros && !IsProven(FirstOrderable!))
            {
                // A client's forgery: the primary is not to blame. The next request gets its own time.
                return;
            }
            ViewChangeReason reason = _viewActive ? ViewChangeReason.Timeout : ViewChangeReason.BadNewView;
            _timeoutDoublings = Math.Min(_timeoutDoublings + 1, MaxTimeoutDoublings);
            LeaveFor(_view.Next, reason);
        }
        if (PrimaryIsTooSlow())
        {
            LeaveFor(_view.Next, ViewChangeReason.SlowPrimary);
        }
    }

    private bool PrimaryIsTooSlow() =>
        _viewActive && _watch.IsTooSlow(_now.MonotonicMicros, FirstOrderable is not null, AnotherHasLeft(), _responseMicros) && !IsPrimary && StateIsWhole
            && HearsEnoughSince(_now.MonotonicMicros - PrimaryWatch.WindowMicros(_responseMicros))
            && (FirstOrderable is not { } first || IsProven(first));

    /// <summary>
    /// Something that has to come about in this view, and until when. There are two: that the batch under way commits (when it
    /// was executed tentatively its requests have left the queue, but clients may still lack replies), and that the first
    /// request which no replica can refuse is executed, however many others are meanwhile (pitfall 10).
    /// </summary>
    private struct Wait
    {
        public long What;
        public long DeadlineMicros;
    }

    /// <summary>Goes on waiting for the same thing, or begins to for another one (then true); zero is nothing.</summary>
    private bool WaitFor(ref Wait wait, long what)
    {
        bool another = what != wait.What && what != 0;
        if (what == 0)
        {
            wait.DeadlineMicros = long.MaxValue;
        }
        else if (another)
        {
            _extended = false;
            _cutOffSinceMicros = 0;
            // Backups go first: they can replace a primary, it can only resign.
            wait.DeadlineMicros = _now.MonotonicMicros + (IsPrimary ? 2 * ViewTimeoutMicros : ViewTimeoutMicros);
        }
        wait.What = what;
        return another;
    }

    /// <summary>
    /// The number of the batch that is to commit next, if there is one. A primary waits too, for its own batches: when it has
    /// lost its quorum, nobody else may notice.
    /// </summary>
    private long BatchUnderWay()
    {
        SeqNum next = _lastCommitted.Next;
        bool underWay = _lastExecuted > _lastCommitted || (_log.Find(next) is { HasPrePrepare: true } entry && entry.View == _view)
            || next <= _nullThrough;
        return underWay && StateIsWhole ? next.Value : 0;
    }

    /// <summary>
    /// Views change regularly (pitfall 9), so that no primary stays for ever: all leave when the same batch has committed, so
    /// that nobody leaves alone.
    /// </summary>
    private void RotateAt(SeqNum committed)
    {
        long period = (long)_config.CheckpointPeriod * _config.ViewRotationCheckpoints;
        if (period > 0 && committed.Value % period == 0 && committed > _rotatedAt && _viewActive && !_restoring)
        {
            // Batches are executed again after a rollback.
            _rotatedAt = committed;
            LeaveFor(_view.Next, ViewChangeReason.Regular);
        }
    }

    /// <summary>Something new executed in this view: its primary deserves trust again.</summary>
    private void NoteProgress() => _timeoutDoublings = 0;
}
