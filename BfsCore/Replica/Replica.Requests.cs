using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>REQUEST messages: authentication, the queue, read-only operations (§3.2.2, §5.1.3, §5.5).</summary>
public sealed partial class Replica
{
    /// <summary>A request is passed on to the primary no more often than this, microseconds.</summary>
    private const long RelayMicros = 10_000;

    // What had been executed here before a rollback or a restart: clients may have results that rest on it, and a read of the state
    // before it would contradict them (with f liars and a replica that is behind, 2f+1 say so).
    private SeqNum _readsFrom;

    private readonly StoredRequest?[] _deferredReads;
    private readonly int[] _deferredOrder;
    private int _deferredCount;

    // The digests of the blocks of the request that is being handled.
    private readonly Digest[] _blocks = new Digest[ContentDigest.BlocksIn(Limits.MaxOperationBytes)];

    private void OnRequest(ReadOnlySpan<byte> message, SourceAddress source) => HandleRequest(message, source, relayedBy: -1);

    private void HandleRequest(ReadOnlySpan<byte> message, SourceAddress source, int relayedBy)
    {
        if (!Request.TryParse(message, _format, out Request request))
        {
            Drop(DropReason.Malformed);
            return;
        }
        int client = _config.RequesterIndex(request.Client, request.Slot);
        if (client < 0)
        {
            Drop(DropReason.UnknownClient);
            return;
        }
        int payer = relayedBy >= 0 ? relayedBy : _n + client;
        if (IsReplica(client) && Estimating)
        {
            Drop(DropReason.Stale);
            return;
        }
        bool rightMac = HasRightMac(request, client);
        bool proven = rightMac ? _format.Signed : HasRightSignature(request, payer);
        bool authentic = rightMac || proven;
        if (!(rightMac && _keys.KnowsClient(client)) && relayedBy < 0 && !IsReplica(client))
        {
            // Without its present key there is no replying to it either, however it proves its request.
            _keys.OnKeyTrouble(request.Client.Value, source, _now.MonotonicMicros);
        }
        if (!authentic)
        {
            Drop(DropReason.BadMac);
            DemandSignature(request, client);
            if (_incompleteBatches == 0)
            {
                return;
            }
        }
        if (!request.DigestIsRight(_blocks, out request))
        {
            Drop(DropReason.BadDigest);
            return;
        }
        if (!request.ReadOnly && _incompleteBatches > 0)
        {
            SupplyToLog(request, client, authentic);
        }
        if (IsReplica(client))
        {
            OnRecoveryRequest(request, client, proven);
        }
        else if (authentic && request.ReadOnly)
        {
            OnReadOnlyRequest(request, client);
        }
        else if (authentic)
        {
            OnOrderedRequest(request, client, payer, proven);
        }
    }

    private void OnOrderedRequest(in Request request, int client, int payer, bool proven)
    {
        // A reply table that is being replaced tells nothing; execution will look again.
        int order = StateIsWhole ? _replies.Compare(client, request.Slot, request.Session, request.Timestamp) : 1;
        if (order <= 0)
        {
            // Look in the reply table first: an executed request starts no timer (pitfall 7).
            AnswerExecuted(request, client, order);
            return;
        }
        bool suspected = _standing[client].Suspected;
        if (suspected && !proven && !(proven = IsKnownProven(request, client) || HasSignedItself(request, client, payer)))
        {
            Drop(request.Signed ? DropReason.BadSignature : DropReason.Unsigned);
            DemandSignature(request, client);
            return;
        }
        ref StoredRequest? place = ref _pending[(client * _config.SlotsPerClient) + request.Slot];
        bool again = (request.Flags & RequestFlags.Retransmission) != 0;
        if (place is { } waiting)
        {
            if (waiting.Digest == request.Digest)
            {
                waiting.WantsFullReply |= again;
                KeepSignature(waiting, request, proven);
                Relay(request, waiting, again);
                Drop(DropReason.Duplicate);
                return;
            }
            if (waiting.Session > request.Session
                || (waiting.Session == request.Session && waiting.Timestamp >= request.Timestamp))
            {
                Drop(DropReason.Stale);
                return;
            }
            Forget(ref place);
        }
        place = _pool.Keep(request, client, authentic: true, proven);
        place.ArrivedMicros = _now.MonotonicMicros;
        place.OfSuspect = suspected;
        QueueOf(place).Append(place);
        Relay(request, place, again);
    }

    private RequestQueue QueueOf(StoredRequest request) => request.OfSuspect ? _suspects : _queue;

    private bool IsKnownProven(in Request request, int client) =>
        _pending[(client * _config.SlotsPerClient) + request.Slot] is { Proven: true } waiting && waiting.Digest == request.Digest;

    /// <summary>The signed copy of a request that waits is worth more than the unsigned one.</summary>
    private void KeepSignature(StoredRequest waiting, in Request request, bool proven)
    {
        if (!request.Signed || waiting.Proven)
        {
            return;
        }
        if (!waiting.Signed)
        {
            QueueOf(waiting).NoteSigned(true);
        }
        RequestPool.Replace(waiting, request, proven);
    }

    /// <summary>
    /// A backup passes on to the primary a request that was sent again, because the primary's copy may be lost (§2.3.2), and a
    /// small one, because clients send those to the primary alone: this one does not know that the view has changed.
    /// </summary>
    private void Relay(in Request request, StoredRequest stored, bool again)
    {
        // Not at once again: replicas in different views would send it to and fro.
        if ((again || request.OperationBytes <= _config.InlineThresholdBytes) && !IsPrimary
            && _now.MonotonicMicros - stored.RelayedMicros >= RelayMicros)
        {
            stored.RelayedMicros = _now.MonotonicMicros;
            Relay(request.Message);
        }
    }

    private void Forget(ref StoredRequest? place)
    {
        StoredRequest request = place!;
        place = null;
        if (request.Queued)
        {
            QueueOf(request).Remove(request);
        }
        _pool.Release(request);
    }

    private void AnswerExecuted(in Request request, int client, int order)
    {
        if (order < 0)
        {
            (ulong session, ulong timestamp, Digest digest) = _replies.Last(client, request.Slot);
            SendReply(client, request.Slot, session, timestamp, ReplyFlags.Stale, digest, state: default, default);
            Drop(DropReason.Stale);
            return;
        }
        bool tentative = _tentativeReply[(client * _config.SlotsPerClient) + request.Slot] > _lastCommitted.Value;
        SendReply(client, request.Slot, request.Session, request.Timestamp, tentative ? ReplyFlags.Tentative : ReplyFlags.None,
            _replies.Last(client, request.Slot).ResultDigest, state: default, _replies.Result(client, request.Slot));
        Counters.Retransmitted++;
    }

    /// <summary>
    /// A read-only request is executed at once, in a state that reflects all that this replica has executed before. If its last batch is
    /// tentative, so is the reply. It waits for committed state (§5.1.3), one per slot, if the client asks for that: it did not get
    /// enough replies of one state. So also if the next batch is coming, which others may have executed.
    /// </summary>
    private void OnReadOnlyRequest(in Request request, int client)
    {
        if (!StateIsWhole)
        {
            // The state is neither the old one nor the new one; the client has enough other replicas.
            return;
        }
        if (!_config.ReadOnlyOptimization || !_service.IsReadOnly(request.Operation))
        {
            Drop(DropReason.NotReadOnly);
            return;
        }
        bool inAnyState = (request.Flags & (RequestFlags.Committed | RequestFlags.Retransmission)) == 0;
        if (!inAnyState)
        {
            // It waits for commits somewhere, if not here: everybody who gets it hurries with theirs.
            _readCame = true;
            SendDeferredCommits();
        }
        if (_lastCommitted >= _readsFrom && (_lastExecuted == _lastCommitted || (inAnyState && IsLatestOfView)))
        {
            ExecuteReadOnly(request, client);
            return;
        }
        int place = (client * _config.SlotsPerClient) + request.Slot;
        if (_deferredReads[place] is { } earlier)
        {
            _pool.Release(earlier);
        }
        else
        {
            _deferredOrder[_deferredCount++] = place;
        }
        _deferredReads[place] = _pool.Keep(request, client, authentic: true);
    }

    /// <summary>What was executed last is this view's, and nothing after it is here.</summary>
    private bool IsLatestOfView => _viewActive && _tentativeView == _view && !_silent && _log.Find(_lastExecuted.Next) is not { HasPrePrepare: true };

    private void ExecuteDeferredReads()
    {
        if (_lastCommitted < _readsFrom)
        {
            return;
        }
        for (int i = 0; i < _deferredCount; i++)
        {
            ref StoredRequest? place = ref _deferredReads[_deferredOrder[i]];
            StoredRequest stored = place!;
            place = null;
            BfsAssert.That(Request.TryParse(stored.Message, _format, out Request request));
            ExecuteReadOnly(request, stored.ClientIndex);
            _pool.Release(stored);
        }
        _deferredCount = 0;
    }

    private void ExecuteReadOnly(in Request request, int client)
    {
        _pages.ReadOnlyGuard = true;
        _resultPages.Clear();
        int length = _service.Execute(new ExecutionContext(request.Client, _replies.LastTimeNanos, ReadOnly: true, _resultPages),
            request.Operation, _result);
        _pages.ReadOnlyGuard = false;
        ReplyFlags form = ChooseReplyForm(request.Replier, length);
        Span<byte> result = _result.AsSpan(0, length);
        Digest digest = _resultPages.Complete(result, whole: form == ReplyFlags.None);
        (Counters.ReadBlocksKnown, Counters.ReadBlocksHashed) = (_resultPages.BlocksKnown, _resultPages.BlocksHashed);
        bool tentative = _lastExecuted > _lastCommitted;
        ReplyFlags flags = form | (tentative ? ReplyFlags.Tentative : ReplyFlags.None);
        SendReply(client, request.Slot, request.Session, request.Timestamp, flags, digest, _lastExecuted, result);
        Counters.ReadOnlyExecuted++;
        Counters.ReadTentatively += tentative ? 1 : 0;
    }
}
