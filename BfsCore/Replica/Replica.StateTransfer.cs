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

/// <summary>State transfer (§5.3.2): fetching what this replica lacks.</summary>
public sealed partial class Replica
{
    /// <summary>How long an answer to a FETCH may take; doubled each time that it was asked for in vain.</summary>
    private const long FetchTimeoutMicros = 50_000;

    /// <summary>An answer that others have overtaken for so many times that long is lost.</summary>
    private const int OvertakenTimeouts = 4;

    /// <summary>After so long without any right answer the checkpoint is no longer there, and a later one is fetched.</summary>
    private const long FetchStalledMicros = 3 * FetchTimeoutMicros;

    /// <summary>A wrong answer is asked for again so much later: forged ones must not make us ask at their rate.</summary>
    private const long AskAgainMicros = 1_000;

    private StateTransfer? _transfer;
    private long _transferStartMicros;
    private long _transferDeadlineMicros = long.MaxValue;
    private long _lastFetchedMicros;
    private ulong _holders;
    private readonly FetchSources _sources;
    private readonly long[] _answeredMicros;

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
    /// high water mark, or, when it makes no progress, one that they no longer hold the batches before; or when a new view
    /// starts from such a one (§3.2.4).
    /// </summary>
    private void ConsiderStateTransfer(bool stuck)
    {
        bool needed = Diverged || _floor > _lastCommitted;
        SeqNum beyond = needed ? new(Math.Max(LowWaterMark.Value - 1, 0)) : stuck ? _lastCommitted : HighWaterMark;
        bool found = _checkpoints.TryFindAhead(beyond, _config.WeakQuorum, out SeqNum seq, out Digest digest);
        if (_newViewStart.Seq > seq)
        {
            (found, seq, digest) = (true, _newViewStart.Seq, _newViewStart.Digest);
        }
        if (!found || (_transfer is not null && seq <= _transfer.Checkpoint))
        {
            return;
        }
        if (_transfer is null)
        {
            PrepareForTransfer();
            _transferStartMicros = _now.MonotonicMicros;
        }
        BeginTransfer(new StateTransfer(_pages, seq, digest, abandoned: _transfer));
        FinishStateTransfer();
    }

    private void BeginTransfer(StateTransfer transfer)
    {
        _transfer = transfer;
        _holders = 0;
        _sources.Reset();
        _lastFetchedMicros = _now.MonotonicMicros;
        Array.Fill(_answeredMicros, _now.MonotonicMicros);
        Counters.StateTransfers++;
        _transferDeadlineMicros = _now.MonotonicMicros + FetchTimeoutMicros;
        AskForMore();
    }

    /// <summary>
    /// What was executed since the stable checkpoint is undone: the tree must describe the state. If what is in memory is in
    /// doubt, the tree is made to (§5.3.3).
    /// </summary>
    private void PrepareForTransfer()
    {
        _pages.RollbackTo(_stable);
        _readsFrom = Last(_readsFrom, _lastExecuted);
        _lastExecuted = _lastCommitted = _stable;
        _observer?.OnRolledBack(Id, _stable);
        if (Diverged && _pages.IsTrusted)
        {
            Counters.PagesDamaged += _pages.RecomputeDigests();
        }
    }

    private void RunStateTransfer()
    {
        long now = _now.MonotonicMicros;
        if (_transfer is null || now < _transferDeadlineMicros)
        {
            return;
        }
        if (now - _lastFetchedMicros >= FetchStalledMicros)
        {
            // What they still hold may have moved on.
            ConsiderStateTransfer(stuck: true);
        }
        if (_transfer is null)
        {
            return;
        }
        for (int i = _transfer.Asked.Count - 1; i >= 0; i--)
        {
            FetchItem item = _transfer.Asked[i];
            if (now >= DeadlineOf(item))
            {
                _sources.Settled(item.Source, item.Cost);
                _sources.Late(item.Source);
                _transfer.GiveUp(item);
            }
        }
        AskForMore();
        _transferDeadlineMicros = now + (FetchTimeoutMicros / 4);
        FinishStateTransfer();
    }

    /// <summary>
    /// A replica answers in order, so that what it is asked waits for what it was asked before: nothing of it is late while
    /// other answers come from it, within bounds.
    /// </summary>
    private long DeadlineOf(FetchItem item)
    {
        long timeout = FetchTimeoutMicros << Math.Min(item.Failures, 3);
        long since = Math.Max(item.AskedMicros, _answeredMicros[item.Source.Value]);
        return Math.Min(since + timeout, item.AskedMicros + (OvertakenTimeouts * timeout));
    }

    private void AskForMore()
    {
        NoteHolders();
        while (_transfer!.Next is { } item
            && _sources.TryChoose(_holders, item.FailedSource, out ReplicaId source, out int room))
        {
            _transfer.Ask(source, room, _now.MonotonicMicros);
            _sources.Asked(source, item.Cost);
            SendFetch(item);
        }
    }

    /// <summary>Who announced the checkpoint holds it, and keeps it for a while though it may have announced later ones.</summary>
    private void NoteHolders()
    {
        for (int i = 0; i < _n; i++)
        {
            if (i != Id.Value && _checkpoints.Announced(new ReplicaId(i), _transfer!.Checkpoint, _transfer.Root))
            {
                _holders |= 1UL << i;
            }
        }
    }

    private void SendFetch(FetchItem item)
    {
        int size = Fetch.Write(_message, _transfer!.Checkpoint, item.Level, item.Index, item.AskedMask, Id);
        _keys.AuthenticateTo(item.Source, _message.AsSpan(0, Fetch.HeaderBytes), _message.AsSpan(Fetch.HeaderBytes, MessageHeader.TagBytes));
        _network.SendToReplica(item.Source, _message.AsSpan(0, size));
    }

    private void OnMetaData(ReadOnlySpan<byte> message)
    {
        if (!MetaData.TryParse(message, _n, out MetaData metaData))
        {
            Drop(DropReason.Malformed);
        }
        else if (_transfer is not null)
        {
            Account(_transfer.OnMetaData(metaData), 1);
        }
    }

    private void OnData(ReadOnlySpan<byte> message)
    {
        if (!Data.TryParse(message, out Data data))
        {
            Drop(DropReason.Malformed);
        }
        else if (_transfer is not null)
        {
            Account(_transfer.OnData(data), BitOperations.PopCount(data.Mask));
        }
    }

    private void Account(in FetchAnswer answer, int pages)
    {
        if (answer.Item is not { } item)
        {
            Drop(DropReason.Stale);
            return;
        }
        _sources.Settled(item.Source, answer.Settled);
        if (answer.Wrong)
        {
            Drop(DropReason.BadDigest);
            _sources.Lied(item.Source);
            _sources.Settled(item.Source, item.Cost);
            _transfer!.GiveUp(item);
            _transferDeadlineMicros = Math.Min(_transferDeadlineMicros, _now.MonotonicMicros + AskAgainMicros);
            return;
        }
        _lastFetchedMicros = _answeredMicros[item.Source.Value] = _now.MonotonicMicros;
        if (answer.Complete)
        {
            _sources.Answered(item.Source, pages);
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
            BeginTransfer(transfer.Again());
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
        NoteRecoveriesInState();
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
            _incompleteBatches += _log.Find(seq) is { HasPrePrepare: true, PrePrepared: false } entry && entry.View == _view ? 1 : 0;
        }
    }
}
