using BfsCore.Messages;

namespace BfsCore.Crypto;

/// <summary>
/// A replica's session keys (§3.2.1, §4.3.1): for each other replica the key for messages to it (which that replica
/// chose) and for messages from it (which this one chose); for each client one key per direction (from the client's secret).
///
/// In BFT-PK (§2.3) what goes to all replicas or to clients is signed with the long-term key instead; session keys remain for
/// what one replica tells another and nobody else needs to believe.
/// </summary>
public sealed class ReplicaKeys
{
    private const long AnswerIntervalMicros = 100_000;

    private readonly ClusterConfig _config;
    private readonly ReplicaId _self;
    private readonly bool _signed;
    private readonly INetwork _network;
    private readonly IKeyExchange _exchange;
    private readonly IEntropy _entropy;
    private readonly IStableStore _store;
    private readonly SignatureBudget _budget;

    private readonly MacKey?[] _toReplica;
    private readonly MacKey?[] _fromReplica;
    private readonly MacKey?[] _toClient;
    private readonly MacKey?[] _fromClient;
    private readonly ulong[] _clientSession;
    private readonly long[] _clientKeyMicros;
    private readonly bool[] _forgotten;
    private readonly ulong[] _lastCounter;
    private readonly long[] _lastAnswerMicros;
    private readonly long[] _lastRequestMicros;
    private readonly byte[] _lastNewKey;
    private readonly byte[] _scratch;
    private ulong _session;

    public ReplicaKeys(ClusterConfig config, ReplicaId self, INetwork network, IKeyExchange exchange, IEntropy entropy,
        IStableStore store, SignatureBudget budget)
    {
        (_config, _self, _network, _exchange, _entropy, _store) = (config, self, network, exchange, entropy, store);
        _budget = budget;
        _signed = config.Format.Signed;
        int principals = config.N + config.Clients.Count;
        _toReplica = new MacKey?[config.N];
        _fromReplica = new MacKey?[config.N];
        // Replicas may make requests too, which they sign: their places stay without keys.
        _toClient = new MacKey?[config.RequesterCount];
        _fromClient = new MacKey?[config.RequesterCount];
        _clientSession = new ulong[config.RequesterCount];
        _clientKeyMicros = new long[config.Clients.Count];
        _forgotten = new bool[config.Clients.Count];
        _lastCounter = new ulong[principals];
        _lastAnswerMicros = new long[principals];
        _lastRequestMicros = new long[principals];
        Array.Fill(_lastAnswerMicros, -AnswerIntervalMicros);
        Array.Fill(_lastRequestMicros, -AnswerIntervalMicros);
        _lastNewKey = new byte[NewKey.SizeFor(config.N)];
        _scratch = new byte[NewKey.SizeFor(config.N)];
        for (int i = 0; i < principals; i++)
        {
            _lastCounter[i] = store.LoadCounter(PrincipalAt(i));
        }
    }

    /// <summary>
    /// Whoever owned this replica knows the keys that it shared with clients: the NEW-KEY that brought one does not bring it back
    /// (§4.3.2).
    /// </summary>
    public void DistrustClientKeys() => Array.Fill(_forgotten, true);

    /// <summary>A client that has not changed its key for so long must do so (§4.3.1).</summary>
    public void ForgetClientKeysBefore(long micros)
    {
        for (int client = 0; client < _config.Clients.Count; client++)
        {
            if (_fromClient[client] is not null && _clientKeyMicros[client] < micros)
            {
                (_fromClient[client], _toClient[client], _forgotten[client]) = (null, null, true);
            }
        }
    }

    /// <summary>Chooses fresh keys for messages from the other replicas and announces them.</summary>
    public void Refresh()
    {
        Span<byte> keys = stackalloc byte[_config.N * MacKey.KeyBytes];
        _entropy.Fill(keys);
        ulong counter = _exchange.NextCounter();
        if (_session == 0)
        {
            _session = counter;
        }
        _exchange.Create(_lastNewKey, _self.Value, counter, _session, keys);
        for (int j = 0; j < _config.N; j++)
        {
            _fromReplica[j] = j == _self.Value ? null : new MacKey(keys.Slice(j * MacKey.KeyBytes, MacKey.KeyBytes));
        }
        _network.MulticastToReplicas(_lastNewKey);
    }

    /// <summary>Whether this replica can authenticate messages to that one.</summary>
    public bool CanSendTo(ReplicaId replica) => _toReplica[replica.Value] is not null;

    /// <summary>The session that the client's present key belongs to; zero when there is no key.</summary>
    public ulong ClientSession(int clientIndex) => _clientSession[clientIndex];

    /// <summary>
    /// Appends an authenticator: one tag per replica, zero for itself and for those whose key is unknown; or the signature.
    /// </summary>
    public void Authenticate(ReadOnlySpan<byte> header, Span<byte> authenticator)
    {
        if (_signed)
        {
            _exchange.Sign(_self.Value, header, authenticator);
            return;
        }
        for (int j = 0; j < _config.N; j++)
        {
            Span<byte> tag = authenticator.Slice(j * MessageHeader.TagBytes, MessageHeader.TagBytes);
            if (_toReplica[j] is { } key)
            {
                key.Sign(header, tag);
            }
            else
            {
                tag.Clear();
            }
        }
    }

    /// <summary>Writes the single MAC of a message to one replica.</summary>
    public void AuthenticateTo(ReplicaId to, ReadOnlySpan<byte> header, Span<byte> tag)
    {
        if (_toReplica[to.Value] is { } key)
        {
            key.Sign(header, tag);
        }
        else
        {
            tag.Clear();
        }
    }

    /// <summary>Checks the single MAC of a message from a replica to this one.</summary>
    public bool VerifyFrom(ReplicaId from, ReadOnlySpan<byte> header, ReadOnlySpan<byte> tag) =>
        _fromReplica[from.Value] is { } key && key.Verify(header, tag);

    /// <summary>Checks this replica's entry of an authenticator from another replica, or its signature.</summary>
    public bool VerifyReplica(ReplicaId from, ReadOnlySpan<byte> header, ReadOnlySpan<byte> authenticator) =>
        _signed ? _exchange.Verify(from.Value, header, authenticator)
            : _fromReplica[from.Value] is { } key && key.Verify(header, OwnTag(authenticator));

    /// <summary>
    /// Checks this replica's entry of a client's authenticator (condition 1 of §3.2.2), which is good in the client's present
    /// session; or its signature, which is good at every replica in every session (§2.3.2).
    /// </summary>
    public bool VerifyClient(int clientIndex, in Request request) =>
        _signed ? _exchange.Verify(request.Client.Value, request.Header, request.Authenticator)
            : _fromClient[clientIndex] is { } key && key.Verify(request.Header, OwnTag(request.Authenticator))
                && request.Session == _clientSession[clientIndex];

    /// <summary>Whether replies to the client can be authenticated.</summary>
    public bool KnowsClient(int clientIndex) => _toClient[clientIndex] is not null;

    /// <summary>Checks a client's signature of its request.</summary>
    public bool VerifySignature(in Request request) =>
        _exchange.Verify(request.Client.Value, request.Header, request.Signature);

    /// <summary>The counter of this replica's co-processor.</summary>
    public ulong NextCounter() => _exchange.NextCounter();

    /// <summary>Signs a request of this replica itself, in place.</summary>
    public void SignRequest(Span<byte> request) =>
        _exchange.Sign(_self.Value, request[..Request.HeaderBytes], request[^Request.SignatureBytes..]);

    /// <summary>
    /// Writes the single MAC of a reply, or the signature; false when the client has no key here, and so no address either.
    /// </summary>
    public bool AuthenticateToClient(int clientIndex, ReadOnlySpan<byte> header, Span<byte> proof)
    {
        if (_toClient[clientIndex] is not { } key)
        {
            return false;
        }
        if (_signed)
        {
            _exchange.Sign(_self.Value, header, proof);
        }
        else
        {
            key.Sign(header, proof);
        }
        return true;
    }

    private ReadOnlySpan<byte> OwnTag(ReadOnlySpan<byte> authenticator) =>
        authenticator.Slice(_self.Value * MessageHeader.TagBytes, MessageHeader.TagBytes);

    private bool HasKey(int index) =>
        index < _config.N ? _toReplica[index] is not null : _fromClient[index - _config.N] is not null;

    /// <summary>Handles NEW-KEY: an old counter is refused (§4.3.1).</summary>
    /// <returns>Whether new keys were installed.</returns>
    public bool OnNewKey(in NewKey message, SourceAddress source, long nowMicros)
    {
        int index = PrincipalIndex(message.Principal);
        if (index < 0 || message.Principal == _self.Value)
        {
            return false;
        }
        // The very last NEW-KEY may install its key again in a replica that was restarted: it is still the newest one.
        bool again = message.Counter == _lastCounter[index] && !HasKey(index) && !(index >= _config.N && _forgotten[index - _config.N]);
        if (message.Counter <= _lastCounter[index] && !again)
        {
            return false;
        }
        // A session is named by the counter that it began with.
        if (message.Session > message.Counter || !_budget.TrySpendKey(index, nowMicros))
        {
            return false;
        }
        Span<byte> secret = stackalloc byte[MacKey.KeyBytes];
        if (!_exchange.TryOpen(message, _self, secret))
        {
            return false;
        }
        _lastCounter[index] = message.Counter;
        _store.SaveCounter(message.Principal, message.Counter);
        if (index < _config.N)
        {
            _toReplica[index] = new MacKey(secret);
        }
        else
        {
            int client = index - _config.N;
            (_fromClient[client], _toClient[client]) = KeyExchange.DeriveClientKeys(secret);
            _clientSession[client] = message.Session;
            (_clientKeyMicros[client], _forgotten[client]) = (nowMicros, false);
            _network.BindClient(_config.Clients[client].Id, source);
        }
        return true;
    }

    /// <summary>A message from this principal could not be authenticated, or it asked: send our NEW-KEY, or ask for its.</summary>
    public void OnKeyTrouble(int principal, SourceAddress source, long nowMicros)
    {
        int index = PrincipalIndex(principal);
        if (index < 0 || principal == _self.Value)
        {
            return;
        }
        if (index >= _config.N)
        {
            if (Due(_lastRequestMicros, index, nowMicros))
            {
                SendKeyRequest(index, source);
            }
        }
        else if (Due(_lastAnswerMicros, index, nowMicros))
        {
            _network.SendToReplica(new ReplicaId(index), _lastNewKey);
        }
    }

    /// <summary>Asks every replica whose key is unknown for it; at most once per interval each.</summary>
    public void RequestMissingKeys(long nowMicros)
    {
        for (int j = 0; j < _config.N; j++)
        {
            if (j != _self.Value && _toReplica[j] is null && Due(_lastRequestMicros, j, nowMicros))
            {
                int size = KeyRequest.Write(_scratch, _self.Value, _lastCounter[j]);
                _network.SendToReplica(new ReplicaId(j), _scratch.AsSpan(0, size));
            }
        }
    }

    private void SendKeyRequest(int index, SourceAddress source)
    {
        int size = KeyRequest.Write(_scratch, _self.Value, _lastCounter[index]);
        _network.Answer(source, _scratch.AsSpan(0, size));
    }

    private static bool Due(long[] last, int index, long nowMicros)
    {
        if (nowMicros - last[index] < AnswerIntervalMicros)
        {
            return false;
        }
        last[index] = nowMicros;
        return true;
    }

    private int PrincipalIndex(int principal)
    {
        if (principal < _config.N)
        {
            return principal;
        }
        int client = _config.ClientIndex(new ClientId(principal));
        return client < 0 ? -1 : _config.N + client;
    }

    private int PrincipalAt(int index) => index < _config.N ? index : _config.Clients[index - _config.N].Id.Value;
}
