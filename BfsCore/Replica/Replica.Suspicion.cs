using BfsCore.Crypto;
using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Clients whose requests some replicas can authenticate and others cannot (§3.2.2, pitfall 1). Such a client must sign from
/// then on, until it changes its keys; a signature is good at every replica. Its requests wait in a queue of their own.
/// Being suspected by mistake, as when keys change while requests are under way, costs a client no more than signatures and that
/// queue, for a while.
/// </summary>
public sealed partial class Replica
{
    /// <summary>A client is asked for a signature at most this often.</summary>
    private const long DemandIntervalMicros = 10_000;

    /// <summary>Between two times that new keys make a client trusted again; doubled each time.</summary>
    private const long ForgiveMicros = 10_000_000;

    /// <summary>The most that it is doubled: to three hours.</summary>
    private const int MaxForgiveDoublings = 10;

    private struct Standing
    {
        public bool Suspected;
        public bool SignedBadly;
        public int Forgiven;
        public long ForgivableMicros;
        public long LastDemandMicros;
    }

    private readonly Standing[] _standing;
    private readonly SignatureBudget _budget;

    /// <summary>Signed requests of suspected clients, which get a bounded share of each batch.</summary>
    private readonly RequestQueue _suspects = new(firstArrival: 1L << 62);

    /// <summary>Whether this replica takes requests of the client only when they are signed.</summary>
    public bool Suspects(ClientId client) => _standing[_config.ClientIndex(client)].Suspected;

    /// <summary>
    /// Condition 1 of §3.2.2: the MAC for this replica is right, under a key of the session the request names; or the signature that
    /// stands in its place in BFT-PK.
    /// </summary>
    private bool HasRightMac(in Request request, int client) =>
        _keys.VerifyClient(client, request);

    /// <summary>The client signed it; good in every session, so that all replicas decide alike.</summary>
    /// <param name="payer">The principal whose budget the check is charged to.</param>
    private bool HasRightSignature(in Request request, int payer)
    {
        if (!request.Signed)
        {
            return false;
        }
        if (!_budget.TrySpend(payer, _now.MonotonicMicros))
        {
            Drop(DropReason.OverBudget);
            return false;
        }
        Counters.SignaturesChecked++;
        return _keys.VerifySignature(request);
    }

    /// <summary>
    /// The same for a request with a right MAC, which is the client's own: nobody else makes this replica check it, so it costs no
    /// budget until one was wrong. A client that has to sign by mistake is slowed down no further.
    /// </summary>
    private bool HasSignedItself(in Request request, int client, int payer)
    {
        ref Standing standing = ref _standing[client];
        if (standing.SignedBadly || !request.Signed)
        {
            return HasRightSignature(request, payer);
        }
        Counters.SignaturesChecked++;
        standing.SignedBadly = !_keys.VerifySignature(request);
        return !standing.SignedBadly;
    }

    /// <summary>Asks the client for a signature: at its known address, and with less than it sent (pitfall 2).</summary>
    private void DemandSignature(in Request request, int client)
    {
        ref Standing standing = ref _standing[client];
        if (_format.Signed || IsReplica(client) || request.Signed || request.ReadOnly || request.Session != _keys.ClientSession(client)
            || _now.MonotonicMicros - standing.LastDemandMicros < DemandIntervalMicros)
        {
            return;
        }
        standing.LastDemandMicros = _now.MonotonicMicros;
        SendReply(client, request.Slot, request.Session, request.Timestamp, ReplyFlags.MustSign, request.Digest, state: default, default);
        Counters.SignaturesDemanded++;
    }

    /// <summary>The client sent what others cannot authenticate.</summary>
    private void Suspect(int client, in Request request)
    {
        if (_format.Signed || IsReplica(client) || request.Session != _keys.ClientSession(client))
        {
            // Of an earlier session: its keys are gone, which says nothing about the client. And who must sign anyway cannot be asked to.
            return;
        }
        if (!_standing[client].Suspected)
        {
            _standing[client].Suspected = true;
            Counters.ClientsSuspected++;
        }
        DemandSignature(request, client);
    }

    /// <summary>
    /// As primary, whether the backups will be able to authenticate the request too, as far as this replica knows: not what a
    /// suspected client left unsigned, nor what came before its present session.
    /// </summary>
    private bool MayOrder(StoredRequest request)
    {
        int client = request.ClientIndex;
        bool doubtful = _standing[client].Suspected || request.Session != _keys.ClientSession(client);
        return !doubtful || request.Proven || (request.Signed && IsProven(request));
    }

    /// <summary>A client has new keys: trusted again, ever more seldom.</summary>
    private void OnNewClientKey(int client)
    {
        ref Standing standing = ref _standing[client];
        if (standing.Suspected && _now.MonotonicMicros >= standing.ForgivableMicros)
        {
            standing.Suspected = standing.SignedBadly = false;
            standing.ForgivableMicros = _now.MonotonicMicros + (ForgiveMicros << standing.Forgiven);
            standing.Forgiven = Math.Min(standing.Forgiven + 1, MaxForgiveDoublings);
        }
        RecognizeStrangers(client);
    }

    /// <summary>
    /// The request that this backup holds the primary to: one that was signed, so that a correct primary cannot but order it,
    /// whatever MACs the client wrote (pitfalls 1 and 5). In order of arrival, which is fair to every client (§2.3.5).
    /// </summary>
    private StoredRequest? FirstOrderable => _queue.FirstSigned ?? _suspects.First;

    /// <summary>
    /// Before the primary is blamed for it: the signature is checked, once and only now. Without one that is right the request
    /// stays, but nobody is held to it.
    /// </summary>
    private bool IsProven(StoredRequest request)
    {
        if (request.Proven)
        {
            return true;
        }
        BfsAssert.That(Request.TryParse(request.Message, _format, out Request message));
        Counters.SignaturesChecked++;
        request.Proven = _keys.VerifySignature(message);
        if (!request.Proven)
        {
            int client = request.ClientIndex;
            request.Signed = false;
            QueueOf(request).NoteSigned(false);
            Drop(DropReason.BadSignature);
            Suspect(client, message);
            return false;
        }
        return true;
    }

    /// <summary>Passes a request on to the primary.</summary>
    private void Relay(ReadOnlySpan<byte> request)
    {
        ReplicaId primary = _view.Primary(_n);
        int size = Messages.Relay.Write(_message, Id, request);
        _keys.AuthenticateTo(primary, _message.AsSpan(0, Messages.Relay.HeaderBytes), _message.AsSpan(size - MessageHeader.TagBytes));
        _network.SendToReplica(primary, _message.AsSpan(0, size));
    }

    /// <summary>What the primary is held to goes to it again, lest its copy was lost.</summary>
    private void RelayFirst()
    {
        if (_viewActive && !IsPrimary && FirstOrderable is { } first)
        {
            Relay(first.Message);
        }
    }

    private void OnRelay(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!Messages.Relay.TryParse(message, _n, out Relay relay))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (relay.Replica == Id || !_keys.VerifyFrom(relay.Replica, relay.Header, relay.Mac))
        {
            Drop(DropReason.BadMac);
            _keys.OnKeyTrouble(relay.Replica.Value, source, _now.MonotonicMicros);
        }
        else if (!relay.DigestIsRight())
        {
            Drop(DropReason.BadDigest);
        }
        else
        {
            HandleRequest(relay.Request, default, relay.Replica.Value);
        }
    }
}
