using System.Numerics;
using BfsCore.Crypto;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Client;

/// <summary>Told when an operation has its result.</summary>
public interface IClientHandler
{
    /// <param name="tag">What <see cref="BftClient.TryInvoke"/> was given.</param>
    /// <param name="result">Valid during the call only.</param>
    void Completed(long tag, ReadOnlySpan<byte> result);
}

/// <summary>
/// The client side (§2.3.2, §5.1, §5.2): sends requests, collects reply certificates, sends again. A deterministic state
/// machine like the replica: one thread, <see cref="Step"/> and <see cref="Tick"/>. Several operations may be under way,
/// each in a slot of its own; operations under way at the same time are ordered by the replicas as they please.
/// </summary>
public sealed class BftClient
{
    private const long KeyAnswerIntervalMicros = 50_000;

    /// <summary>Keys are not chosen more often than this because a replica, or somebody in its name, asks for it.</summary>
    private const long KeyDemandMicros = 250_000;

    /// <summary>
    /// A client that must sign changes its keys so soon, since replicas trust it again by that; doubled each time, up to T_k.
    /// </summary>
    private const long TrustMicros = 500_000;

    private const int MaxTrustDoublings = 10;

    private readonly ClusterConfig _config;
    private readonly int _n;
    private readonly MessageFormat _format;
    private readonly bool _unreplicated;
    private readonly INetwork _network;
    private readonly IKeyExchange _exchange;
    private readonly IEntropy _entropy;
    private readonly IClientHandler _handler;
    private readonly MacKey?[] _toReplica;
    private readonly MacKey?[] _fromReplica;
    private readonly View[] _views;
    private readonly View[] _sortedViews;
    private readonly ClientSlot[] _slots;
    private readonly Stack<int> _free = new();
    private readonly long[] _lastKeySentMicros;
    private readonly byte[] _newKey;
    private readonly RoundTripEstimate _ordered = new();
    private readonly RoundTripEstimate _readOnly = new();
    private readonly ReplicaChoice _choice;
    private ulong _session;
    private ulong _keyCounter;
    private long _keysChosenMicros;
    private Instant _now;
    private bool _mustSign;
    private int _timesToldToSign;
    private long _trustDeadlineMicros = long.MaxValue;

    public BftClient(ClientId id, ClusterConfig config, INetwork network, IEntropy entropy, IKeyExchange exchange,
        IClientHandler handler)
    {
        Id = id;
        (_config, _network, _entropy, _exchange, _handler) = (config, network, entropy, exchange, handler);
        _n = config.N;
        _format = config.Format;
        _unreplicated = config.Mode == ClusterMode.NoRep;
        _toReplica = new MacKey?[_n];
        _fromReplica = new MacKey?[_n];
        _views = new View[_n];
        _sortedViews = new View[_n];
        _lastKeySentMicros = new long[_n];
        Array.Fill(_lastKeySentMicros, -KeyAnswerIntervalMicros);
        _choice = new ReplicaChoice(_n, config.Quorum);
        _newKey = new byte[NewKey.SizeFor(_n)];
        _slots = new ClientSlot[config.SlotsPerClient];
        for (int i = _slots.Length - 1; i >= 0; i--)
        {
            _slots[i] = new ClientSlot(_n);
            _free.Push(i);
        }
    }

    public ClientId Id { get; }

    /// <summary>How many more operations can be under way.</summary>
    public int FreeSlots => _free.Count;

    /// <summary>The view that f+1 replicas have reached, as far as replies tell.</summary>
    public View View { get; private set; }

    /// <summary>Requests sent again because no certificate came in time.</summary>
    public long Retransmissions { get; private set; }

    /// <summary>Read-only requests that went to all replicas since a preferred quorum did not agree, or not in time.</summary>
    public long ReadQuorumsWidened { get; private set; }

    /// <summary>Read-only requests that were sent again to be executed in committed state, since those that answered were not in the same one.</summary>
    public long CommittedReads { get; private set; }

    /// <summary>Read-only operations that had to be ordered after all (§5.1.3).</summary>
    public long ReadOnlyRetries { get; private set; }

    /// <summary>Signatures made for requests (§3.2.2): none while messages arrive whole and in time.</summary>
    public long Signatures { get; private set; }

    /// <summary>The NEW-KEY that its present session keys came with.</summary>
    internal ReadOnlySpan<byte> LastNewKey => _newKey;

    /// <summary>When <see cref="Tick"/> is wanted at the latest, on the monotonic clock.</summary>
    public long NextDeadlineMicros
    {
        get
        {
            long next = long.MaxValue;
            if (_free.Count == _slots.Length)
            {
                return next;
            }
            foreach (ClientSlot slot in _slots)
            {
                next = slot.Busy && slot.DeadlineMicros < next ? slot.DeadlineMicros : next;
            }
            return next;
        }
    }

    /// <summary>Whether replies are due: an operation is under way.</summary>
    public bool ExpectsMessages => _free.Count < _slots.Length;

    /// <summary>Agrees on session keys with the replicas. Call once, before the first operation.</summary>
    public void Start(Instant now)
    {
        _now = now;
        ChooseKeys();
    }

    /// <summary>
    /// New session keys (§4.3.1). Replies under the old ones count no longer: every certificate has replies of one age. What is
    /// under way is sent again if its certificate does not come.
    /// </summary>
    private void ChooseKeys()
    {
        Span<byte> secrets = stackalloc byte[_n * MacKey.KeyBytes];
        _entropy.Fill(secrets);
        _keyCounter = _exchange.NextCounter();
        _session = _session == 0 ? _keyCounter : _session;
        _keysChosenMicros = _now.MonotonicMicros;
        (_mustSign, _trustDeadlineMicros) = (false, long.MaxValue);
        _exchange.Create(_newKey, Id.Value, _keyCounter, _session, secrets);
        for (int i = 0; i < _n; i++)
        {
            (_toReplica[i], _fromReplica[i]) =
                KeyExchange.DeriveClientKeys(secrets.Slice(i * MacKey.KeyBytes, MacKey.KeyBytes));
        }
        _network.MulticastToReplicas(_newKey);
        foreach (ClientSlot slot in _slots)
        {
            if (slot.Busy)
            {
                slot.ResetReplies();
                Seal(slot.Message[..Request.SizeFor(slot.OperationBytes, _format)]);
                slot.DeadlineMicros = Math.Min(slot.DeadlineMicros, _now.MonotonicMicros + _ordered.TimeoutMicros(0, Jitter()));
            }
        }
    }

    /// <summary>
    /// Every T_k, or sooner to be trusted again: when nothing is under way; a quarter later in any case. A client that is idle need not.
    /// </summary>
    private void ChooseKeysIfDue()
    {
        if (_unreplicated)
        {
            return;
        }
        long period = Math.Min(KeyPeriodMicros, _trustDeadlineMicros - _keysChosenMicros);
        long late = _now.MonotonicMicros - _keysChosenMicros - period;
        if (late >= 0 && (_free.Count == _slots.Length || late >= period / 4))
        {
            ChooseKeys();
        }
    }

    private long KeyPeriodMicros => _config.KeyRefreshMillis > 0 ? _config.KeyRefreshMillis * 1000L : long.MaxValue;

    /// <summary>
    /// Starts an operation; <see cref="IClientHandler.Completed"/> is called when it has its result, perhaps after a long
    /// time: until then it is sent again.
    /// </summary>
    /// <param name="operation">At most <see cref="Limits.MaxOperationBytes"/>; copied.</param>
    /// <param name="readOnly">Try the read-only optimisation; only for operations that the service takes as such.</param>
    /// <returns>False when all slots are busy.</returns>
    public bool TryInvoke(ReadOnlySpan<byte> operation, bool readOnly, long tag)
    {
        ChooseKeysIfDue();
        if (!_free.TryPop(out int index))
        {
            return false;
        }
        BfsAssert.That(operation.Length <= Limits.MaxOperationBytes);
        ClientSlot slot = _slots[index];
        slot.Begin(tag, readOnly && _config.ReadOnlyOptimization);
        BuildRequest(index, slot, operation);
        Send(slot, retransmission: false);
        return true;
    }

    private void BuildRequest(int index, ClientSlot slot, ReadOnlySpan<byte> operation)
    {
        slot.Timestamp++;
        slot.ResetReplies();
        slot.Asked = slot.ReadOnly && _config.PreferredQuorums ? _choice.NextReaders() : _choice.All;
        ushort replier = _choice.NextReplier(slot.Asked);
        slot.Replier = replier;
        slot.OperationBytes = operation.Length;
        slot.Signed = slot.CommittedOnly = false;
        Span<byte> buffer = slot.RequestBuffer(Request.SizeFor(operation.Length, _format) + Request.SignatureBytes);
        slot.RequestBytes = Request.Write(buffer, _format, Id, index, slot.ReadOnly, _session, slot.Timestamp, replier,
            RequestFlags.None, operation, withDigest: !_unreplicated);
        Authenticate(slot, sign: _mustSign && !slot.ReadOnly);
    }

    private void Authenticate(ClientSlot slot, bool sign)
    {
        if (_unreplicated)
        {
            return;
        }
        if (sign && !slot.Signed && !_format.Signed)
        {
            slot.RequestBytes = Request.MarkSigned(slot.Buffer, slot.RequestBytes);
            slot.Signed = true;
        }
        Span<byte> message = slot.Message;
        Seal(message[..(Request.SizeFor(slot.OperationBytes, _format))]);
        if (slot.Signed)
        {
            _exchange.Sign(Id.Value, message[..Request.HeaderBytes], message[^Request.SignatureBytes..]);
            Signatures++;
        }
    }

    /// <summary>Writes the MACs of a request, or in BFT-PK its signature; also for the simulator's faulty clients, which lie under their own keys.</summary>
    /// <param name="request">Without the signature, if it has one.</param>
    internal void Seal(Span<byte> request)
    {
        int start = request.Length - _format.AuthenticatorBytes;
        if (_format.Signed)
        {
            _exchange.Sign(Id.Value, request[..Request.HeaderBytes], request[start..]);
            return;
        }
        for (int i = 0; i < _n; i++)
        {
            _toReplica[i]!.Sign(request[..Request.HeaderBytes], request.Slice(start + (i * MessageHeader.TagBytes), MessageHeader.TagBytes));
        }
    }

    /// <summary>
    /// Small ordered requests go to the primary alone, read-only ones (§5.1.3) to a preferred quorum; large ones (§5.1.5) and
    /// retransmissions to all replicas; and all of them while operations take unusually long (pitfall 9).
    /// </summary>
    private void Send(ClientSlot slot, bool retransmission)
    {
        RoundTripEstimate estimate = slot.ReadOnly ? _readOnly : _ordered;
        slot.SentMicros = _now.MonotonicMicros;
        slot.Attempts = retransmission ? slot.Attempts + 1 : 0;
        slot.DeadlineMicros = _now.MonotonicMicros + estimate.TimeoutMicros(slot.Attempts, Jitter(), IsLarge(slot));
        if (!retransmission && slot.ReadOnly && slot.Asked != _choice.All)
        {
            slot.DeadlineMicros = Math.Min(slot.DeadlineMicros, _now.MonotonicMicros + estimate.QuorumWaitMicros);
            SendTo(slot.Asked, slot.Message);
        }
        else if (retransmission || slot.ReadOnly || IsLarge(slot) || estimate.IsSlow)
        {
            _network.MulticastToReplicas(slot.Message);
        }
        else
        {
            _network.SendToReplica(View.Primary(_n), slot.Message);
        }
    }

    /// <param name="replicas">One bit for each.</param>
    private void SendTo(ulong replicas, ReadOnlySpan<byte> message)
    {
        for (ulong rest = replicas; rest != 0; rest &= rest - 1)
        {
            _network.SendToReplica(new ReplicaId((ushort)BitOperations.TrailingZeroCount(rest)), message);
        }
    }

    private bool IsLarge(ClientSlot slot) => slot.OperationBytes > _config.InlineThresholdBytes;

    private byte Jitter()
    {
        Span<byte> random = stackalloc byte[1];
        _entropy.Fill(random);
        return random[0];
    }

    /// <summary>One message from the network. Any bytes are allowed.</summary>
    public void Step(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!MessageHeader.TryReadTag(message, out MessageTag tag))
        {
            return;
        }
        if (tag == MessageTag.Reply)
        {
            OnReply(message);
        }
        else if (tag == MessageTag.KeyRequest)
        {
            OnKeyRequest(message);
        }
    }

    /// <summary>Time passes: what has waited too long is sent again.</summary>
    public void Tick(Instant now)
    {
        _now = now;
        if (_free.Count == _slots.Length)
        {
            return;
        }
        ChooseKeysIfDue();
        foreach (ClientSlot slot in _slots)
        {
            if (slot.Busy && now.MonotonicMicros >= slot.DeadlineMicros)
            {
                TakesTooLong(slot);
            }
        }
    }

    private void TakesTooLong(ClientSlot slot)
    {
        ulong replier = 1UL << slot.Replier;
        bool replierAnswered = (slot.Silent & replier) == 0;
        bool preferredOnly = slot.Asked != _choice.All;
        if (preferredOnly)
        {
            _choice.Failed(slot.AnyReply ? slot.Silent & ~replier : 0);
            _choice.NotEnough();
        }
        if (preferredOnly && replierAnswered && slot.Silent != 0)
        {
            AskAll(slot);
        }
        else
        {
            // Others than the replier send the result in answer to a retransmission only.
            Retry(slot);
        }
    }

    /// <summary>
    /// The preferred quorum does not agree, or one of it is silent: the same request goes to those who have not answered, whether they were
    /// asked or not.
    /// </summary>
    private void AskAll(ClientSlot slot)
    {
        ReadQuorumsWidened++;
        slot.Asked = _choice.All;
        slot.DeadlineMicros = _now.MonotonicMicros + ReadTimeoutMicros(slot);
        SendTo(slot.Silent, slot.Message);
    }

    private void Retry(ClientSlot slot)
    {
        Retransmissions++;
        slot.Asked = _choice.All;
        NoteMissingResult(slot);
        if (slot.ReadOnly && slot.Attempts > 0)
        {
            OrderAfterAll(slot);
            return;
        }
        // Signed, so that backups can hold the primary to it (§2.3.5) and no MAC that was damaged matters any more (§3.2.2).
        Request.MarkRetransmission(slot.Message);
        Authenticate(slot, sign: !slot.ReadOnly);
        Send(slot, retransmission: true);
    }

    /// <summary>The designated replier sent nothing usable, though others answered.</summary>
    private void NoteMissingResult(ClientSlot slot)
    {
        if (slot.Attempts == 0 && slot.AnyReply && !slot.HasAnyResult)
        {
            _choice.Failed(1UL << slot.Replier);
        }
    }

    /// <summary>
    /// The read-only request becomes a read-write one (§5.1.3), with a timestamp of its own.
    /// </summary>
    private void OrderAfterAll(ClientSlot slot)
    {
        ReadOnlyRetries++;
        slot.ReadOnly = false;
        BfsAssert.That(Request.TryParse(slot.Message, _format, out Request request));
        // The operation moves within the slot's own buffer: it is written back to where it is.
        BuildRequest(Array.IndexOf(_slots, slot), slot, request.Operation);
        Send(slot, retransmission: false);
    }

    /// <summary>
    /// A replica has no key of ours, or an old one: send NEW-KEY again, and small requests that are under way after it (large
    /// ones wait for their timer). The request for it is not authentic, so answers are limited in rate and size.
    /// </summary>
    private void OnKeyRequest(ReadOnlySpan<byte> message)
    {
        if (!KeyRequest.TryParse(message, out KeyRequest request) || request.Principal >= _n
            || _now.MonotonicMicros - _lastKeySentMicros[request.Principal] < KeyAnswerIntervalMicros)
        {
            return;
        }
        _lastKeySentMicros[request.Principal] = _now.MonotonicMicros;
        if (request.LastCounter >= _keyCounter && _now.MonotonicMicros - _keysChosenMicros >= KeyDemandMicros)
        {
            // It knew our keys and takes them no longer: it has forgotten them, or recovers.
            ChooseKeys();
        }
        var replica = new ReplicaId(request.Principal);
        _network.SendToReplica(replica, _newKey);
        foreach (ClientSlot slot in _slots)
        {
            if (slot.Busy && !IsLarge(slot))
            {
                _network.SendToReplica(replica, slot.Message);
            }
        }
    }

    private void OnReply(ReadOnlySpan<byte> message)
    {
        if (!Reply.TryParse(message, _format, out Reply reply) || reply.Replica.Value >= _n || reply.Client != Id
            || reply.Slot >= _slots.Length)
        {
            return;
        }
        ClientSlot slot = _slots[reply.Slot];
        if (!slot.Busy || reply.Session != _session || reply.Timestamp != slot.Timestamp
            || (reply.Flags & ReplyFlags.Stale) != 0 || (slot.CommittedOnly && (reply.Flags & ReplyFlags.Tentative) != 0)
            || !IsAuthentic(reply))
        {
            return;
        }
        if ((reply.Flags & ReplyFlags.MustSign) != 0)
        {
            // In BFT-PK only a faulty replica says so: every request is signed.
            OnMustSign(slot, reply.Digest);
            return;
        }
        NoteView(reply);
        // A replica with damaged memory may name the right digest beside a wrong result: its word on the digest counts as any other's.
        slot.Add(reply, withResult: reply.HasResult && !slot.HasResult(reply.Digest) && (_unreplicated || ResultIsRight(reply)));
        CheckCertificate(slot, reply.Slot, reply.Digest);
    }

    /// <summary>
    /// A replica could not authenticate this very request, or suspects this client: what is under way and all that follows is signed
    /// until the next change of keys (§3.2.2). Costs the client a signature for each request when a faulty replica asks for it.
    /// </summary>
    private void OnMustSign(ClientSlot demanded, in Digest digest)
    {
        if (_format.Signed || demanded.Signed || demanded.ReadOnly || !Request.TryParse(demanded.Message, _format, out Request request)
            || request.Digest != digest)
        {
            return;
        }
        if (!_mustSign)
        {
            _mustSign = true;
            _trustDeadlineMicros = _now.MonotonicMicros + Math.Min(KeyPeriodMicros, TrustMicros << _timesToldToSign);
            _timesToldToSign = Math.Min(_timesToldToSign + 1, MaxTrustDoublings);
        }
        foreach (ClientSlot slot in _slots)
        {
            if (slot.Busy && !slot.ReadOnly && !slot.Signed)
            {
                Authenticate(slot, sign: true);
                _network.MulticastToReplicas(slot.Message);
            }
        }
    }

    private bool IsAuthentic(in Reply reply) =>
        _unreplicated || (_format.Signed ? _exchange.Verify(reply.Replica.Value, reply.Header, reply.Proof)
            : _fromReplica[reply.Replica.Value]!.Verify(reply.Header, reply.Proof));

    private static bool ResultIsRight(in Reply reply) => ContentDigest.Of(reply.Result) == reply.Digest;

    /// <summary>The highest view that f+1 replicas claim to have reached: at least one of them is correct.</summary>
    private void NoteView(in Reply reply)
    {
        ref View known = ref _views[reply.Replica.Value];
        if (reply.View <= known)
        {
            return;
        }
        known = reply.View;
        _views.CopyTo(_sortedViews, 0);
        Array.Sort(_sortedViews);
        View reached = _sortedViews[_n - _config.WeakQuorum];
        View = reached > View ? reached : View;
    }

    /// <summary>
    /// The reply certificate: 2f+1 equal replies of one execution when they are tentative or answer a read-only request, and also
    /// otherwise while the read-only path is on (§5.1.3, pitfall 14); f+1 equal non-tentative ones when it is off.
    /// </summary>
    private void CheckCertificate(ClientSlot slot, int index, in Digest digest)
    {
        bool enough = slot.CountAgreeing(digest) >= _config.Quorum
            || (!_config.ReadOnlyOptimization && slot.CountFinal(digest) >= _config.WeakQuorum);
        if (enough && slot.HasResult(digest))
        {
            Complete(slot, index, digest);
        }
        else if (enough && slot.Attempts == 0)
        {
            // All that is missing is the result from its replier, which should have been here with the rest.
            RoundTripEstimate estimate = slot.ReadOnly ? _readOnly : _ordered;
            slot.DeadlineMicros = Math.Min(slot.DeadlineMicros, _now.MonotonicMicros + estimate.ResultWaitMicros);
        }
        else if (!enough && slot.ReadOnly && slot.CannotReach(_config.Quorum))
        {
            OnDisagreement(slot);
        }
    }

    /// <summary>Replies to a read-only request disagree: they may be of states of different batches, of which only the last is tentative.</summary>
    private void OnDisagreement(ClientSlot slot)
    {
        if (slot.AnyTentative)
        {
            AskForCommitted(slot);
        }
        else if (slot.Asked == _choice.All)
        {
            OrderAfterAll(slot);
        }
        else
        {
            _choice.NotEnough();
            AskAll(slot);
        }
    }

    /// <summary>The same request again, to be executed when the state reflects committed batches only, whatever these are (§5.1.3).</summary>
    private void AskForCommitted(ClientSlot slot)
    {
        CommittedReads++;
        slot.CommittedOnly = true;
        slot.ResetReplies();
        Request.MarkCommitted(slot.Message);
        Authenticate(slot, sign: false);
        slot.DeadlineMicros = _now.MonotonicMicros + ReadTimeoutMicros(slot);
        SendTo(slot.Asked, slot.Message);
    }

    /// <summary>Of a preferred quorum each is needed: none is waited for long.</summary>
    private long ReadTimeoutMicros(ClientSlot slot)
    {
        long timeout = _readOnly.TimeoutMicros(0, Jitter());
        return slot.Asked == _choice.All ? timeout : Math.Min(timeout, _readOnly.QuorumWaitMicros);
    }

    private void Complete(ClientSlot slot, int index, in Digest digest)
    {
        if (slot.Attempts == 0)
        {
            (slot.ReadOnly ? _readOnly : _ordered).Measured(_now.MonotonicMicros - slot.SentMicros);
            _choice.Succeeded(slot.Replier);
            if (slot.ReadOnly && slot.Asked == _choice.All)
            {
                _choice.AnsweredFirst(slot.WhoSaid(digest));
            }
        }
        slot.Busy = false;
        try
        {
            _handler.Completed(slot.Tag, slot.Result);
        }
        finally
        {
            _free.Push(index);
        }
    }
}
