using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Piggybacked commits (§5.1.2). With tentative execution nobody waits for the commits of the last batch until the next one
/// is to be executed, so they wait for the pre-prepare or prepare of the next and travel with it: one datagram, not two. They
/// go alone when a read waits for them, when a checkpoint does, or when nothing comes along in time. Where reads that wait for them come
/// between batches they go at once: whether one came after the last batch tells what will come after this one.
/// </summary>
public sealed partial class Replica
{
    /// <summary>Longest time that a commit waits for company, microseconds.</summary>
    private const long CommitDelayMicros = 500;

    private readonly List<LogEntry> _deferredCommits = [];
    private long _commitDeadlineMicros = long.MaxValue;

    /// <summary>A read-only request that must be executed in committed state came since a batch last prepared here.</summary>
    private bool _readCame;

    private void DeferCommit(LogEntry entry)
    {
        bool awaited = !_config.TentativeExecution || !_config.PiggybackCommits || _deferredCount > 0 || _readCame
            || entry.Seq.Value % _config.CheckpointPeriod == 0;
        _readCame = false;
        _deferredCommits.Add(entry);
        if (awaited || _deferredCommits.Count >= _config.WindowSize)
        {
            SendDeferredCommits();
        }
        else if (_deferredCommits.Count == 1)
        {
            _commitDeadlineMicros = _now.MonotonicMicros + CommitDelayMicros;
        }
    }

    private void SendDeferredCommits()
    {
        foreach (LogEntry entry in _deferredCommits)
        {
            SendVote(MessageTag.Commit, entry);
        }
        _deferredCommits.Clear();
        _commitDeadlineMicros = long.MaxValue;
    }

    private void RunCommitTimer()
    {
        if (_now.MonotonicMicros >= _commitDeadlineMicros)
        {
            SendDeferredCommits();
        }
    }
}
