using System.Numerics;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>What a state transfer did.</summary>
/// <param name="Fetched">Pages fetched, because they differed.</param>
/// <param name="Cleared">Pages that differed and became zeros.</param>
/// <param name="Repaired">What was there before was damaged, not only old.</param>
/// <param name="Micros">How long it took, from the first FETCH on.</param>
public readonly record struct StateTransferReport(SeqNum Checkpoint, long Fetched, long Cleared, bool Repaired, long Micros);

/// <summary>State transfer (§5.3.2): fetching what this replica lacks, and answering those who fetch.</summary>
public sealed partial class Replica
{
    /// <summary>Things asked for at a time, over all sources.</summary>
    private const int MaxFetchesOutstanding = 24;

    private const long FetchTimeoutMicros = 50_000;

    /// <summary>How long a checkpoint is kept for a replica that fetches it, after its last FETCH (pitfall 29).</summary>
    private const long PinMicros = 3_000_000;

    /// <summary>Checkpoints are kept for others only while fewer than this many are held: bounds their memory.</summary>
    private const int MaxPinnedCheckpoints = 16;

    private StateTransfer? _transfer;
    private long _transferStartMicros;
    private long _transferDeadlineMicros = long.MaxValue;
    private int _nextSource;
    private readonly SeqNum[] _pinned;
    private readonly long[] _pinnedUntilMicros;

    /// <summary>Called when a state transfer has ended.</summary>
    public Action<StateTransferReport>? StateTransferred { get; set; }

    /// <summary>The checkpoint that is being fetched; zero when none is.</summary>
    public SeqNum TransferTarget => _transfer?.Checkpoint ?? default;

    /// <summary>Whether the state is that of some number: neither being replaced nor in doubt.</summary>
    public bool StateIsWhole => _transfer is null && !Diverged;

    /// <summary>Pages of the running transfer that were fetched so far.</summary>
    public long TransferPages => _transfer?.PagesInstalled ?? 0;

    /// <summary>
    /// Starts a transfer when f+1 others name alike a checkpoint that this replica cannot reach through the log: above the
    /// high water mark, or, when it makes no progress, one that they no longer hold the batches before.
    /// </summary>
    private void ConsiderStateTransfer(bool stuck)
    {
        bool needed = Diverged || _floor > _lastCommitted;
        SeqNum beyond = needed ? new(Math.Max(LowWaterMark.Value - 1, 0)) : stuck ? _lastCommitted : HighWaterMark;
        if (!_checkpoints.TryFindAhead(beyond, _config.WeakQuorum, out SeqNum seq, out Digest digest)
            || (_transfer is not null && seq <= _transfer.Checkpoint))
        {
            return;
        }
        if (_transfer is null)
        {
            PrepareForTransfer();
            _transferStartMicros = _now.MonotonicMicros;
        }
        _transfer = new StateTransfer(_pages, seq, digest, abandoned: _transfer);
        Counters.StateTransfers++;
        AskForMore();
        FinishStateTransfer();
    }

    /// <summary>
    /// What was executed since the stable checkpoint is undone: the tree must describe the state. If what is in memory is in
    /// doubt, the tree is made to (§5.3.3).
    /// </summary>
    private void PrepareForTransfer()
    {
        _pages.RollbackTo(_stable);
        _lastExecuted = _lastCommitted = _stable;
        _observer?.OnRolledBack(Id, _stable);
        if (Diverged && _pages.IsTrusted)
        {
            Counters.PagesDamaged += _pages.RecomputeDigests();
        }
    }

    private void RunStateTransfer()
    {
        if (_transfer is null || _now.MonotonicMicros < _transferDeadlineMicros)
        {
            return;
        }
        // What they still hold may have moved on while the answers were waited for.
        ConsiderStateTransfer(stuck: true);
        if (_transfer is null)
        {
            return;
        }
        foreach (FetchItem item in _transfer.Asked)
        {
            if (item.DeadlineMicros <= _now.MonotonicMicros)
            {
                Ask(item);
            }
        }
        AskForMore();
    }

    private void AskForMore()
    {
        while (_transfer!.Outstanding < MaxFetchesOutstanding && _transfer.TryNext(out FetchItem item))
        {
            Ask(item);
        }
        _transferDeadlineMicros = _now.MonotonicMicros + FetchTimeoutMicros;
    }

    /// <summary>Asks the next of those who announced the checkpoint, in turn, so that all share the work.</summary>
    private void Ask(FetchItem item)
    {
        for (int i = 0; i < _n; i++)
        {
            var source = new ReplicaId(_nextSource++ % _n);
            if (source != Id && _checkpoints.Announced(source, _transfer!.Checkpoint, _transfer.Root))
            {
                item.Source = source;
                break;
            }
        }
        item.DeadlineMicros = _now.MonotonicMicros + FetchTimeoutMicros;
        int size = Fetch.Write(_message, _transfer!.Checkpoint, item.Level, item.Index, item.Mask, Id);
        _keys.AuthenticateTo(item.Source, _message.AsSpan(0, Fetch.HeaderBytes), _message.AsSpan(Fetch.HeaderBytes, MessageHeader.TagBytes));
        _network.SendToReplica(item.Source, _message.AsSpan(0, size));
    }

    private void OnMetaData(ReadOnlySpan<byte> message)
    {
        if (!MetaData.TryParse(message, _n, out MetaData metaData))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (_transfer is not null)
        {
            _transfer.OnMetaData(metaData);
            AskForMore();
            FinishStateTransfer();
        }
    }

    private void OnData(ReadOnlySpan<byte> message)
    {
        if (!Data.TryParse(message, out Data data))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (_transfer is not null)
        {
            _transfer.OnData(data);
            AskForMore();
            FinishStateTransfer();
        }
    }

    private void FinishStateTransfer()
    {
        if (_transfer is not { Done: true } transfer)
        {
            return;
        }
        SeqNum seq = transfer.Checkpoint;
        if (!_pages.TryCompleteTransfer(seq, transfer.Root))
        {
            Diverged = true;
            _transfer = transfer.Again();
            AskForMore();
            return;
        }
        _transfer = null;
        _transferDeadlineMicros = long.MaxValue;
        var report = new StateTransferReport(seq, transfer.PagesInstalled, transfer.PagesCleared, Repaired: Diverged,
            _now.MonotonicMicros - _transferStartMicros);
        Counters.PagesFetched += transfer.PagesInstalled;
        Counters.PagesCleared += transfer.PagesCleared;
        Diverged = false;
        StateBecameWhole();
        _lastExecuted = _lastCommitted = seq;
        _lastIssued = Last(_lastIssued, seq);
        ForgetExecutedRequests();
        ImageNeeded = true;
        MakeStable(seq);
        StateTransferred?.Invoke(report);
        CountIncompleteBatches();
        ExecuteReady();
    }

    /// <summary>The service may look at the state, for the first time if the image that the replica started from was damaged.</summary>
    private void StateBecameWhole()
    {
        if (_serviceIsOpen)
        {
            _service.StateReplaced();
            return;
        }
        _serviceIsOpen = true;
        long tableBytes = ReplyTable.SizeFor(_config);
        _service.Open(_pages.Window(tableBytes, _config.ServiceStateBytes));
        if (_pages.LastCheckpoint.Value == 0)
        {
            _pages.AmendFirstCheckpoint();
        }
    }

    /// <summary>Requests whose execution came with the state need not wait any longer.</summary>
    private void ForgetExecutedRequests()
    {
        foreach (ref StoredRequest? place in _pending.AsSpan())
        {
            if (place is { } waiting
                && _replies.Compare(waiting.ClientIndex, waiting.Slot, waiting.Session, waiting.Timestamp) <= 0)
            {
                Forget(ref place);
            }
        }
    }

    /// <summary>Batches that were waited for may lie below the new state.</summary>
    private void CountIncompleteBatches()
    {
        _incompleteBatches = 0;
        for (SeqNum seq = _lastCommitted.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            _incompleteBatches += _log.Find(seq) is { HasPrePrepare: true, PrePrepared: false } ? 1 : 0;
        }
    }

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
                && _stable - _pinned[i] < (long)MaxPinnedCheckpoints * _config.CheckpointPeriod)
            {
                keepFrom = _pinned[i];
            }
        }
        _pages.DiscardBefore(keepFrom);
    }
}
