using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>Why a replica left a view.</summary>
public enum ViewChangeReason
{
    None,

    /// <summary>A request waited too long.</summary>
    Timeout,

    /// <summary>f+1 others had left.</summary>
    OthersLeft,

    /// <summary>The new primary's decision was not supported by its view-changes, or it made none in time.</summary>
    BadNewView,

    /// <summary>Throughput stayed below what recent primaries reached (pitfall 9).</summary>
    SlowPrimary,

    /// <summary>Views change regularly, at agreed checkpoints.</summary>
    Regular,

    /// <summary>The primary said that it leaves, for its recovery for example (§4.3.2).</summary>
    PrimaryLeft,

    /// <summary>This replica recovered, and the view it believed in was not that of the others (§4.3.2).</summary>
    Recovery,
}

/// <summary>View changes with MACs (§2.3.5, §3.2.4): leaving a view, deciding on the next, entering it.</summary>
public sealed partial class Replica
{
    /// <summary>The timeout doubles with each view that brings nothing, up to this many times the configured one (pitfall 20).</summary>
    private const int MaxTimeouts = 8;
    private const int MaxTimeoutDoublings = 5;

    /// <summary>Response times that a request may take before its primary is suspected.</summary>
    private const int TimeoutResponses = 64;

    /// <summary>A replica that comes to its own timer this late, microseconds, was held up itself.</summary>
    private const long HeldUpMicros = 20_000;

    /// <summary>The last VIEW-CHANGE of a replica, and who acknowledged which one.</summary>
    private sealed class Leaving(int n)
    {
        public byte[] Message = [];
        public View View;
        public Digest Identity;
        public bool Authentic;
        public ViewChangeFacts? Facts;
        public VoteSet Acks { get; } = new(n);
    }

    private readonly Leaving[] _leaving;
    private readonly ViewChangeSets _sets;
    private readonly OldBatches _oldBatches;
    private readonly List<(SeqNum Seq, Digest Digest)> _wanted = [];
    private readonly PrimaryWatch _watch;
    private bool _viewActive = true;
    private long _responseMicros;
    private byte[]? _newView;
    private SeqNum _newViewLast;

    // What the last new view starts from. f+1 replicas named it, one of them correct; a liar among them that says otherwise
    // afterwards changes nothing.
    private (SeqNum Seq, Digest Digest) _newViewStart;
    private bool _marksMoved;
    private int _askedFor;
    private long _viewDeadlineMicros = long.MaxValue;
    private Wait _batchWait;
    private Wait _requestWait;
    private bool _extended;
    private int _timeoutDoublings;

    /// <summary>False while a view change is under way.</summary>
    public bool ViewActive => _viewActive;

    /// <summary>
    /// From measured response times, between a quarter and the whole of the configured timeout; doubled for each view that
    /// brought nothing.
    /// </summary>
    private long ViewTimeoutMicros
    {
        get
        {
            long longest = _config.ViewChangeTimeoutMillis * 1000L;
            long first = Math.Clamp(_responseMicros * TimeoutResponses, longest / 4, longest);
            return Math.Min(first << _timeoutDoublings, MaxTimeouts * longest);
        }
    }

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
        if (_viewActive && _watch.IsTooSlow(_now.MonotonicMicros, FirstOrderable is not null, AnotherHasLeft()) && !IsPrimary && StateIsWhole
            && HearsEnoughSince(_now.MonotonicMicros - PrimaryWatch.WindowMicros)
            && (FirstOrderable is not { } first || IsProven(first)))
        {
            LeaveFor(_view.Next, ViewChangeReason.SlowPrimary);
        }
    }

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

    private SeqNum _rotatedAt;

    private bool AnotherHasLeft()
    {
        foreach (Leaving leaving in _leaving)
        {
            if (leaving.Authentic && leaving.View > _view)
            {
                return true;
            }
        }
        return false;
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

    /// <summary>
    /// Leaves the present view, as every replica may at any time; for measurements (§8.5). Nothing when it has left already.
    /// </summary>
    public void LeaveView()
    {
        if (_viewActive && !_restoring)
        {
            LeaveFor(_view.Next, ViewChangeReason.Regular);
        }
    }

    /// <summary>Something new executed in this view: its primary deserves trust again.</summary>
    private void NoteProgress() => _timeoutDoublings = 0;

    /// <summary>Stops taking part in the present view and tells the others (Figure 3-2).</summary>
    private void LeaveFor(View view, ViewChangeReason reason)
    {
        BfsAssert.That(view > _view);
        Counters.ViewChanges++;
        NoteLeft(view, reason);
        SendDeferredCommits();
        for (SeqNum seq = LowWaterMark.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            if (_log.Find(seq) is { PrePrepared: true } entry && entry.View == _view && _viewActive && !_silent)
            {
                _sets.Add(entry);
                _oldBatches.Keep(entry);
            }
        }
        _oldBatches.KeepOnly(_sets, _lastCommitted);
        _abandoned.Clear();
        _view = view;
        _viewActive = false;
        _newView = null;
        _wanted.Clear();
        _askedFor = 0;
        _incompleteBatches = 0;
        _viewDeadlineMicros = long.MaxValue;
        for (int j = 0; j < _n; j++)
        {
            _leaving[j].Acks.Clear();
        }
        AnnounceLeaving();
        for (int j = 0; j < _n; j++)
        {
            Acknowledge(_leaving[j], new ReplicaId(j));
        }
        ResetStatusTimer();
        Reconsider();
    }

    /// <summary>The view is remembered before anybody hears of it, over a power failure too.</summary>
    private void AnnounceLeaving()
    {
        if (_silent)
        {
            return;
        }
        MakeOwnViewChange();
        LogLeft();
        _store.SaveView(_view);
        SendOwnViewChange();
    }

    private void MakeOwnViewChange()
    {
        var checkpoints = new List<ViewChangeEntry>();
        for (int i = 0; i < _pages.CheckpointCount; i++)
        {
            SeqNum seq = _pages.CheckpointAt(i);
            if (seq >= LowWaterMark && seq <= _lastCommitted && !Diverged)
            {
                checkpoints.Add(new ViewChangeEntry(seq, _pages.CheckpointDigest(seq), default));
            }
        }
        _sets.DiscardThrough(LowWaterMark);
        IReadOnlyList<ViewChangeEntry> prepared = _sets.Prepared, prePrepared = _sets.PrePrepared;
        Leaving own = _leaving[Id.Value];
        own.Message = new byte[ViewChange.SizeFor(checkpoints.Count + prepared.Count + prePrepared.Count, _n)];
        ViewChange.Write(own.Message, _n, _view, LowWaterMark, Id, checkpoints, prepared, prePrepared);
        BfsAssert.That(ViewChange.TryParse(own.Message, _config, out ViewChange message));
        (own.View, own.Identity, own.Authentic, own.Facts) = (_view, message.Identity, true, ViewChangeFacts.From(message));
    }

    private void SendOwnViewChange()
    {
        if (_leaving[Id.Value].View != _view)
        {
            return;
        }
        byte[] message = _leaving[Id.Value].Message;
        _keys.Authenticate(message.AsSpan(0, ViewChange.HeaderBytes), message.AsSpan(message.Length - (_n * MessageHeader.TagBytes)));
        _network.MulticastToReplicas(message);
    }

    private void OnViewChange(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!ViewChange.TryParse(message, _config, out ViewChange viewChange))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (viewChange.Replica == Id)
        {
            if (viewChange.View == _view && !_viewActive)
            {
                (_ownEarlier.View, _ownEarlier.Identity, _ownEarlier.Facts) = (viewChange.View, viewChange.Identity, ViewChangeFacts.From(viewChange));
                Reconsider();
            }
            return;
        }
        Leaving leaving = _leaving[viewChange.Replica.Value];
        if (viewChange.View < _view || viewChange.View < leaving.View)
        {
            Drop(DropReason.WrongView);
            return;
        }
        bool authentic = _keys.VerifyReplica(viewChange.Replica, viewChange.Header, viewChange.Authenticator(_n));
        if (!authentic)
        {
            Drop(DropReason.BadMac);
            _keys.OnKeyTrouble(viewChange.Replica.Value, source, _now.MonotonicMicros);
            // It may still be vouched for by acknowledgments, but only in the view that is being decided on.
            if (viewChange.View != _view || leaving.Authentic)
            {
                return;
            }
        }
        else
        {
            _heardMicros[viewChange.Replica.Value] = _now.MonotonicMicros;
        }
        if (leaving.View == viewChange.View && leaving.Authentic)
        {
            Drop(leaving.Identity == viewChange.Identity ? DropReason.Duplicate : DropReason.Conflicting);
            return;
        }
        leaving.Message = message.ToArray();
        (leaving.View, leaving.Identity, leaving.Authentic) = (viewChange.View, viewChange.Identity, authentic);
        leaving.Facts = ViewChangeFacts.From(viewChange);
        if (_viewActive && viewChange.Replica == _view.Primary(_n) && viewChange.View == _view.Next)
        {
            // A faulty one may say so too: it is always good to replace that (§4.3.2). No timeout was involved (pitfall 39).
            LeaveFor(_view.Next, ViewChangeReason.PrimaryLeft);
        }
        else if (!JoinOthers() && !_viewActive)
        {
            Acknowledge(leaving, viewChange.Replica);
            Reconsider();
        }
    }

    /// <summary>f+1 others have left for higher views: goes to the lowest of theirs, so as not to be late (§2.3.5).</summary>
    private bool JoinOthers()
    {
        int count = 0;
        View lowest = default;
        for (int j = 0; j < _n; j++)
        {
            if (j != Id.Value && _leaving[j].Authentic && _leaving[j].View > _view)
            {
                lowest = count == 0 || _leaving[j].View < lowest ? _leaving[j].View : lowest;
                count++;
            }
        }
        if (count < _config.WeakQuorum)
        {
            return false;
        }
        LeaveFor(lowest, ViewChangeReason.OthersLeft);
        return true;
    }

    private void Acknowledge(Leaving leaving, ReplicaId subject)
    {
        if (subject != Id && leaving.Authentic && leaving.View == _view && !_silent)
        {
            _network.MulticastToReplicas(BuildAck(leaving, subject));
        }
    }

    private ReadOnlySpan<byte> BuildAck(Leaving leaving, ReplicaId subject)
    {
        int size = ViewChangeAck.Write(_message, _n, _view, Id, subject, leaving.Identity);
        _keys.Authenticate(_message.AsSpan(0, ViewChangeAck.HeaderBytes), _message.AsSpan(ViewChangeAck.HeaderBytes, _n * MessageHeader.TagBytes));
        return _message.AsSpan(0, size);
    }

    private void OnViewChangeAck(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!ViewChangeAck.TryParse(message, _n, out ViewChangeAck ack) || ack.Replica == ack.Subject)
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (ack.View != _view || _viewActive)
        {
            Drop(DropReason.WrongView);
            return;
        }
        if (VerifyReplica(ack.Replica, ack.Header, ack.Authenticator, source))
        {
            _leaving[ack.Subject.Value].Acks.Add(ack.Replica, ack.Identity);
            Reconsider();
        }
    }

    /// <summary>New information came: perhaps the view can be decided on, or entered, and its timer started.</summary>
    private void Reconsider()
    {
        if (_viewActive)
        {
            return;
        }
        int left = 0;
        for (int j = 0; j < _n; j++)
        {
            // One that has gone further already has left too: it no longer votes in earlier views, and waits for nobody here.
            left += _leaving[j].Authentic && _leaving[j].View >= _view ? 1 : 0;
        }
        if (left >= _config.Quorum && _viewDeadlineMicros == long.MaxValue)
        {
            _viewDeadlineMicros = _now.MonotonicMicros + ViewTimeoutMicros;
        }
        if (IsPrimary && !_silent && _view != _retreatedTo)
        {
            TryDecide();
        }
        else
        {
            TryEnter();
        }
    }

    /// <summary>
    /// As the new primary: S has the view-changes with a certificate: the message, 2f-1 acknowledgments of others and the one
    /// that this replica could have sent (§3.2.4).
    /// </summary>
    private void TryDecide()
    {
        var s = new List<ViewChangeFacts>();
        var named = new List<ViewChangeEntry>();
        for (int j = 0; j < _n; j++)
        {
            Leaving leaving = _leaving[j];
            bool certified = leaving.Authentic && leaving.View == _view && (j == Id.Value
                || leaving.Acks.Count(leaving.Identity, except: (1UL << j) | (1UL << Id.Value)) >= (2 * _config.F) - 1);
            if (certified)
            {
                s.Add(leaving.Facts!);
                named.Add(new ViewChangeEntry(new SeqNum(j), leaving.Identity, default));
            }
        }
        if (s.Count < _config.Quorum || !NewViewDecision.TryChooseCheckpoint(s, _config.F, out SeqNum checkpoint, out Digest state))
        {
            return;
        }
        var batches = new List<ViewChangeEntry>();
        _wanted.Clear();
        SeqNum last = NewViewDecision.HighestUseful(s, checkpoint, _config.LogSize);
        if (last > HighWaterMark)
        {
            // The decision would be this replica's pre-prepare for all of them, and it could not remember those above its marks: a later
            // view might find nobody to vouch for what prepared (simulator seed 269). It needs the checkpoint first.
            FetchStart(s, checkpoint, state);
            return;
        }
        for (SeqNum seq = checkpoint.Next; seq <= last; seq = seq.Next)
        {
            if (NewViewDecision.TryChoose(s, _config.F, seq, _oldBatches.Has, out Digest digest))
            {
                batches.Add(new ViewChangeEntry(seq, digest, default));
            }
            else if (NewViewDecision.TryFindWanted(s, _config.F, seq, out digest))
            {
                _wanted.Add((seq, digest));
            }
            else
            {
                return;
            }
        }
        if (_wanted.Count > 0)
        {
            AskForWanted();
            return;
        }
        byte[] message = new byte[NewView.HeaderBytes + ((named.Count + batches.Count) * ViewChange.EntryBytes) + (_n * MessageHeader.TagBytes)];
        NewView.Write(message, _n, _view, checkpoint, state, Id, named, batches);
        _keys.Authenticate(message.AsSpan(0, NewView.HeaderBytes), message.AsSpan(message.Length - (_n * MessageHeader.TagBytes)));
        _network.MulticastToReplicas(message);
        BfsAssert.That(NewView.TryParse(message, _config, out NewView newView));
        _newView = message;
        Enter(newView, s);
    }

    private void OnNewView(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!NewView.TryParse(message, _config, out NewView newView) || newView.Primary != newView.View.Primary(_n))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (newView.View != _view || _viewActive || IsPrimary || _newView is not null)
        {
            Drop(DropReason.WrongView);
            return;
        }
        if (VerifyReplica(newView.Primary, newView.Header, newView.Authenticator(_n), source))
        {
            _newView = message.ToArray();
            Reconsider();
        }
    }

    /// <summary>
    /// As a backup: enters the view when the view-changes that the primary names are here and support its decision; one whose
    /// own authenticator is wrong here counts when f others acknowledged it. A decision they do not support ends the view.
    /// </summary>
    private void TryEnter()
    {
        if (_newView is null || !NewView.TryParse(_newView, _config, out NewView newView))
        {
            return;
        }
        var s = new List<ViewChangeFacts>();
        for (int i = 0; i < newView.ViewChangeCount; i++)
        {
            (ReplicaId replica, Digest identity) = newView.ViewChangeAt(i);
            VoteSet acks = _leaving[replica.Value].Acks;
            Leaving leaving = Named(replica, identity);
            bool vouched = leaving.Authentic || acks.Count(identity, except: (1UL << replica.Value) | (1UL << Id.Value)) >= _config.F;
            if (leaving.Facts is null || leaving.View != _view || leaving.Identity != identity || !vouched)
            {
                return;
            }
            s.Add(leaving.Facts);
        }
        if (IsSupported(newView, s))
        {
            Enter(newView, s);
        }
        else
        {
            LeaveFor(_view.Next, ViewChangeReason.BadNewView);
        }
    }

    /// <summary>The view-change that a new view names; of this replica perhaps one of an earlier life.</summary>
    private Leaving Named(ReplicaId replica, in Digest identity) =>
        replica == Id && _leaving[Id.Value].Identity != identity ? _ownEarlier : _leaving[replica.Value];

    private bool IsSupported(in NewView newView, List<ViewChangeFacts> s)
    {
        if (s.Count < _config.Quorum || !NewViewDecision.TryChooseCheckpoint(s, _config.F, out SeqNum checkpoint, out Digest state)
            || checkpoint != newView.Checkpoint || state != newView.CheckpointDigest
            || NewViewDecision.HighestUseful(s, checkpoint, _config.LogSize) - checkpoint != newView.BatchCount)
        {
            return false;
        }
        for (int i = 0; i < newView.BatchCount; i++)
        {
            if (!NewViewDecision.Supports(s, _config.F, checkpoint + 1 + i, newView.BatchAt(i)))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>The view is decided: takes over its checkpoint and batches, and normal operation goes on (§3.2.4).</summary>
    private void Enter(in NewView newView, List<ViewChangeFacts> s)
    {
        _viewActive = true;
        NoteEntered();
        _viewDeadlineMicros = long.MaxValue;
        _batchWait = _requestWait = default;
        _watch.EnterView(_view, _now.MonotonicMicros);
        LogEntered();
        UndoTentative(newView);
        StartFrom(newView, s);
        _wanted.Clear();
        _newViewLast = newView.Checkpoint + newView.BatchCount;
        ProposeFromNewView();
        AskForWanted();
        _lastIssued = Last(newView.Checkpoint + newView.BatchCount, Last(_stable, _lastCommitted));
        _queue.ForgetOrder();
        _suspects.ForgetOrder();
        ResetStatusTimer();
        PassOnRequests();
        for (int i = 0; i < newView.BatchCount; i++)
        {
            if (_log.Find(newView.Checkpoint + 1 + i) is { } entry && entry.View == _view)
            {
                Advance(entry);
            }
        }
        ExecuteReady();
    }

    /// <summary>
    /// The primary of the view before has requests that were sent to it alone: it passes them on, or their clients would have to
    /// wait until they send them again.
    /// </summary>
    private void PassOnRequests()
    {
        if (IsPrimary || new View(_view.Value - 1).Primary(_n) != Id)
        {
            return;
        }
        for (StoredRequest? request = _queue.First; request is not null; request = request.Next)
        {
            Relay(request.Message);
        }
    }

    /// <summary>A batch that was executed tentatively stays only if it is the new view's (§5.1.2).</summary>
    private void UndoTentative(in NewView newView)
    {
        if (_lastExecuted == _lastCommitted || !StateIsWhole)
        {
            return;
        }
        long index = _lastExecuted - newView.Checkpoint - 1;
        Digest executed = _log.Find(_lastExecuted)?.Digest ?? default;
        if (index < 0 || index >= newView.BatchCount || newView.BatchAt((int)index) != executed)
        {
            UndoTentative();
        }
    }

    /// <summary>
    /// Back to the last checkpoint before the tentative execution; what had committed since is executed again, as the new view
    /// commits it again or others say that it did.
    /// </summary>
    private void UndoTentative()
    {
        SeqNum target = _stable;
        for (int i = 0; i < _pages.CheckpointCount; i++)
        {
            target = _pages.CheckpointAt(i) <= _lastCommitted ? _pages.CheckpointAt(i) : target;
        }
        _pages.RollbackTo(target);
        _service.StateReplaced();
        _lastExecuted = _lastCommitted = target;
        _observer?.OnRolledBack(Id, target);
        Counters.Rollbacks++;
    }

    private void StartFrom(in NewView newView, List<ViewChangeFacts> s)
    {
        SeqNum checkpoint = newView.Checkpoint;
        if (checkpoint <= _stable)
        {
            return;
        }
        if (checkpoint <= _lastCommitted && _pages.HasCheckpoint(checkpoint)
            && _pages.CheckpointDigest(checkpoint) == newView.CheckpointDigest)
        {
            // Stable it is only with 2f+1 votes, though f+1 suffice for the view (§3.2.4): were this replica to forget what came
            // before, it and the liars among the f+1 might be the only ones that have the checkpoint.
            return;
        }
        FetchStart(s, checkpoint, newView.CheckpointDigest);
    }

    /// <summary>What the decision rests on tells of checkpoints: of this replica itself perhaps what it said in an earlier life.</summary>
    private void FetchStart(List<ViewChangeFacts> s, SeqNum checkpoint, in Digest digest)
    {
        foreach (ViewChangeFacts m in s)
        {
            foreach (ViewChangeEntry c in m.Checkpoints)
            {
                _checkpoints.Add(c.Seq, m.Replica, c.Digest, LowWaterMark);
            }
        }
        _newViewStart = (checkpoint, digest);
        ConsiderStateTransfer(stuck: true);
    }

    /// <summary>
    /// Proposes those batches of the new view that lie inside the water marks and were not yet: again when the marks move, for a
    /// replica that was behind when the view began (pitfall 24).
    /// </summary>
    private void ProposeFromNewView()
    {
        if (!_viewActive || _newView is null || !NewView.TryParse(_newView, _config, out NewView newView))
        {
            return;
        }
        for (int i = 0; i < newView.BatchCount; i++)
        {
            SeqNum seq = newView.Checkpoint + 1 + i;
            bool proposed = _log.Find(seq) is { HasPrePrepare: true } entry && entry.View == _view;
            if (seq > LowWaterMark && seq <= HighWaterMark && !proposed && !IsWanted(seq))
            {
                Propose(seq, newView.BatchAt(i));
            }
        }
    }

    /// <summary>Marks a batch as pre-prepared in the new view; a backup that has it sends its prepare.</summary>
    private void Propose(SeqNum seq, in Digest digest)
    {
        if (!HasBatch(seq, digest))
        {
            _wanted.Add((seq, digest));
            return;
        }
        LogEntry entry = _log.GetOrAdd(seq, _view);
        RestoreBatch(entry, digest);
        entry.PrePrepared = true;
        if (_silent)
        {
            return;
        }
        LogPrePrepared(entry);
        if (!IsPrimary)
        {
            entry.Prepares.Add(Id, entry.Digest);
            SendVote(MessageTag.Prepare, entry);
        }
    }

    private void TakeOver(LogEntry entry, OldBatch batch)
    {
        entry.DropPrePrepare(_pool);
        BfsAssert.That(PrePrepare.TryParse(batch.PrePrepare, _n, out PrePrepare prePrepare) && ReadBatch(entry, prePrepare));
        int body = 0;
        for (int i = 0; i < entry.ItemCount; i++)
        {
            ref BatchItem item = ref entry.Items[i];
            item.Authentic = true;
            if (item.InlineBytes == 0)
            {
                BfsAssert.That(Request.TryParse(batch.Bodies[body++], _n, out Request request));
                // What the pre-prepare says of the client is under no digest; the request itself is.
                item.ClientIndex = _config.RequesterIndex(request.Client, request.Slot);
                item.Slot = request.Slot;
                item.Body ??= _pool.Keep(request, item.ClientIndex, authentic: true);
            }
        }
    }

    /// <summary>
    /// The view waits for batches: the others are asked at once when it turns out that there are, or more than before, and again
    /// by the status timer.
    /// </summary>
    private void AskForWanted()
    {
        if (_wanted.Count > _askedFor)
        {
            SendStatusPending();
        }
        _askedFor = Math.Max(_askedFor, _wanted.Count);
    }

    /// <summary>Whether the view has a batch for this number that has not come yet.</summary>
    private bool IsWanted(SeqNum seq)
    {
        foreach ((SeqNum wanted, _) in _wanted)
        {
            if (wanted == seq)
            {
                return true;
            }
        }
        return false;
    }

    private void OnBatch(ReadOnlySpan<byte> message)
    {
        if (!BatchMessage.TryParse(message, out SeqNum seq, out ReadOnlySpan<byte> parts))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (IsClaimed(seq, out Digest claimed) && !HasBatch(seq, claimed) && _oldBatches.TryKeep(seq, claimed, parts))
        {
            ExecuteClaimed();
        }
        int at = _wanted.FindIndex(w => w.Seq == seq);
        if (at < 0 || !(_oldBatches.Has(seq, _wanted[at].Digest) || _oldBatches.TryKeep(seq, _wanted[at].Digest, parts)))
        {
            Drop(DropReason.BadDigest);
            return;
        }
        Digest digest = _wanted[at].Digest;
        _wanted.RemoveAt(at);
        if (!_viewActive)
        {
            Reconsider();
        }
        else if (seq > LowWaterMark && seq <= HighWaterMark && _log.GetOrAdd(seq, _view) is { PrePrepared: false } entry)
        {
            Propose(seq, digest);
            Advance(entry);
        }
    }
}
