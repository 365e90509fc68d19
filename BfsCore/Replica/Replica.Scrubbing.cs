namespace BfsCore.Replication;

/// <summary>
/// Background checking of memory (§5.3.3, pitfall 31): without it damage would be masked by the other replicas and stay,
/// until more than f have some. A few pages at a time are compared with their digests; one that is not right is fetched again
/// with the last stable checkpoint.
/// </summary>
public sealed partial class Replica
{
    /// <summary>How long after one piece the next is looked at: short pieces keep no request waiting.</summary>
    private const long ScrubIntervalMicros = 20_000;

    private long _scrubDeadlineMicros;
    private long _scrubPage;

    private int ScrubPages => Math.Max(1, (int)(_config.ScrubPagesPerSecond * ScrubIntervalMicros / 1_000_000));

    private void RunScrubbing()
    {
        if (_now.MonotonicMicros < _scrubDeadlineMicros)
        {
            return;
        }
        _scrubDeadlineMicros = _config.ScrubPagesPerSecond == 0 ? long.MaxValue : _now.MonotonicMicros + ScrubIntervalMicros;
        for (int i = 0; i < ScrubPages && StateIsWhole && _config.ScrubPagesPerSecond > 0; i++)
        {
            long page = _pages.NextUsedPage(_scrubPage);
            if (page < 0)
            {
                _scrubPage = 0;
                Counters.ScrubPasses++;
                return;
            }
            _scrubPage = page + 1;
            Counters.PagesScrubbed++;
            if (!_pages.PageIsRight(page))
            {
                OnDamagedPage(page);
            }
        }
    }

    /// <summary>
    /// What was executed since the last stable checkpoint may rest on the damage: it is undone, and executed again from the log
    /// when the page is here.
    /// </summary>
    private void OnDamagedPage(long page)
    {
        Counters.PagesDamaged++;
        DamagedPageFound?.Invoke(page);
        _pages.RollbackTo(_stable);
        _readsFrom = Last(_readsFrom, _lastExecuted);
        _lastExecuted = _lastCommitted = _stable;
        _observer?.OnRolledBack(Id, _stable);
        _pages.RecomputeDigest(page);
        Diverged = true;
        ResetStatusTimer();
        SendStatus();
    }

    /// <summary>Called with the number of a page that was found damaged in memory.</summary>
    public Action<long>? DamagedPageFound { get; set; }
}
