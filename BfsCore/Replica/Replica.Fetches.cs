using System.Numerics;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>
/// Answering those who fetch state (§5.3.2). At once, before requests that came earlier are ordered or executed, so that a
/// replica that is behind catches up under full load (pitfall 29), and within bounds.
/// </summary>
public sealed partial class Replica
{
    /// <summary>How long a checkpoint is kept for a replica that fetches it, after its last FETCH (pitfall 29).</summary>
    private const long PinMicros = 3_000_000;

    /// <summary>Checkpoints are kept for others only while fewer than this many are held, and fewer pages copied: 256 MB.</summary>
    private const int MaxPinnedCheckpoints = 16;
    private const long MaxPinnedCopies = 65_536;

    /// <summary>Pages that one replica is sent in so many microseconds: 800 MB/s, more than it can take.</summary>
    private const int BudgetPages = 2_048;
    private const long BudgetMicros = 10_000;

    private readonly SeqNum[] _pinned;
    private readonly long[] _pinnedUntilMicros;
    private readonly int[] _budgets;
    private long _budgetsUntilMicros;

    private void OnFetch(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!Fetch.TryParse(message, _n, out Fetch fetch) || fetch.Level >= _pages.Levels - 1
            || fetch.Index >= _pages.NodesAt(fetch.Level) || (fetch.Mask != 0 && fetch.Level != _pages.Levels - 2))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (fetch.Replica == Id || !_keys.VerifyFrom(fetch.Replica, fetch.Header, fetch.Mac))
        {
            Drop(DropReason.BadMac);
            _keys.OnKeyTrouble(fetch.Replica.Value, source, _now.MonotonicMicros);
            return;
        }
        if (!StateIsWhole || !_pages.HasCheckpoint(fetch.Checkpoint) || fetch.Checkpoint > _lastCommitted)
        {
            Drop(DropReason.OutsideWaterMarks);
            return;
        }
        if (!TakeBudget(fetch.Replica, FetchSources.CostOf(fetch.Mask)))
        {
            Drop(DropReason.OverBudget);
            return;
        }
        _pinned[fetch.Replica.Value] = fetch.Checkpoint;
        _pinnedUntilMicros[fetch.Replica.Value] = _now.MonotonicMicros + PinMicros;
        if (fetch.Mask == 0)
        {
            SendMetaData(fetch);
        }
        else
        {
            SendPages(fetch);
        }
    }

    /// <summary>A FETCH is small and its answer large: a faulty replica must not keep this one busy with answers.</summary>
    private bool TakeBudget(ReplicaId replica, int pages)
    {
        if (_now.MonotonicMicros >= _budgetsUntilMicros)
        {
            _budgetsUntilMicros = _now.MonotonicMicros + BudgetMicros;
            Array.Fill(_budgets, BudgetPages);
        }
        if (_budgets[replica.Value] < pages)
        {
            return false;
        }
        _budgets[replica.Value] -= pages;
        return true;
    }

    private void SendMetaData(in Fetch fetch)
    {
        int size = MetaData.WriteHeader(_message, fetch.Checkpoint, fetch.Level, fetch.Index, Id);
        Span<byte> children = _message.AsSpan(MetaData.HeaderBytes, MetaData.ChildrenBytes);
        children.Clear();
        for (int i = 0; i < PagedState.Fanout; i++)
        {
            long child = (fetch.Index * PagedState.Fanout) + i;
            if (child < _pages.NodesAt(fetch.Level + 1))
            {
                _pages.NodeDigestAt(fetch.Checkpoint, fetch.Level + 1, child).Write(children[(i * Digest.SizeBytes)..]);
            }
        }
        _network.SendToReplica(fetch.Replica, _message.AsSpan(0, size));
    }

    private void SendPages(in Fetch fetch)
    {
        long first = fetch.Index * PagedState.Fanout;
        ulong rest = fetch.Mask;
        while (rest != 0)
        {
            ulong mask = 0;
            int count = 0;
            for (; rest != 0 && count < Data.MaxPages; rest &= rest - 1)
            {
                long page = first + BitOperations.TrailingZeroCount(rest);
                if (page < _pages.PageCount)
                {
                    mask |= rest & (~rest + 1);
                    _pages.PageAt(fetch.Checkpoint, page)
                        .CopyTo(_message.AsSpan(Data.HeaderBytes + (count++ * PagedState.PageBytes)));
                }
            }
            if (count > 0)
            {
                int size = Data.WriteHeader(_message, fetch.Checkpoint, fetch.Index, mask);
                _network.SendToReplica(fetch.Replica, _message.AsSpan(0, size));
                Counters.PagesSent += count;
            }
        }
    }

    /// <summary>Releases checkpoints below the stable one, except what a fetching replica still needs, within bounds.</summary>
    private void DiscardCheckpoints()
    {
        SeqNum keepFrom = _stable;
        for (int i = 0; i < _n; i++)
        {
            if (_pinnedUntilMicros[i] > _now.MonotonicMicros && _pinned[i] < keepFrom
                && _stable - _pinned[i] < (long)MaxPinnedCheckpoints * _config.CheckpointPeriod
                && _pages.CopiesHeld < MaxPinnedCopies)
            {
                keepFrom = _pinned[i];
            }
        }
        _pages.DiscardBefore(keepFrom);
    }
}
