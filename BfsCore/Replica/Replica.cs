using BfsCore.Crypto;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>
/// A replica as a deterministic state machine (chapters 2, 3 and 5). One thread owns it; it is entered through
/// <see cref="Step"/> with every message that arrives and <see cref="Tick"/> once after each batch of them and when
/// <see cref="NextDeadlineMicros"/> passes; everything leaves through the ports. Handlers go parse, authenticate, check
/// relevance, act: nothing changes before the last step.
/// </summary>
public sealed partial class Replica : IServerEngine
{
    private readonly ClusterConfig _config;
    private readonly int _n;
    private readonly MessageFormat _format;
    private readonly PagedState _pages;
    private readonly IService _service;
    private bool _serviceIsOpen;
    private readonly INetwork _network;
    private readonly IReplicaObserver? _observer;
    private readonly IEntropy _entropy;
    private readonly ReplicaKeys _keys;
    private readonly ReplyTable _replies;
    private readonly RequestPool _pool;
    private readonly RequestQueue _queue = new();
    private readonly MessageLog _log;
    private readonly StoredRequest?[] _pending;
    private readonly byte[] _scratch;
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];
    private readonly ResultPages _resultPages;
    private readonly byte[] _message;
    private readonly byte[] _batch = new byte[Limits.MaxMessageBytes];

    private View _view;
    private SeqNum _stable;
    private SeqNum _lastExecuted;
    private SeqNum _lastCommitted;
    private Instant _now;

    /// <param name="pages">All replicated memory; <see cref="StateBytes"/> says how much is needed.</param>
    /// <param name="observer">Told what is executed, for checkers; may be null.</param>
    public Replica(ReplicaId id, ClusterConfig config, PagedState pages, IService service, INetwork network,
        IEntropy entropy, IKeyExchange exchange, IStableStore store, IVoteLog votes, IReplicaObserver? observer = null)
    {
        Id = id;
        _config = config;
        _n = config.N;
        _format = config.Format;
        _pages = pages;
        _service = service;
        _network = network;
        _observer = observer;
        _votes = votes;
        (_entropy, _store) = (entropy, store);
        _budget = new SignatureBudget(_n, config.RequesterCount);
        _keys = new ReplicaKeys(config, id, network, exchange, entropy, store, _budget);
        long tableBytes = ReplyTable.SizeFor(config);
        _replies = new ReplyTable(pages.Window(0, tableBytes), config);
        _resultPages = new ResultPages(pages, tableBytes);
        _pool = new RequestPool(_format);
        _log = new MessageLog(config, _pool);
        _pending = new StoredRequest?[config.RequesterCount * config.SlotsPerClient];
        _standing = new Standing[config.RequesterCount];
        _itemsOfClient = new int[config.RequesterCount];
        _tentativeReply = new long[_pending.Length];
        _deferredReads = new StoredRequest?[_pending.Length];
        _deferredOrder = new int[_pending.Length];
        _checkpoints = new CheckpointVotes(config);
        _pinned = new SeqNum[_n];
        _pinnedUntilMicros = new long[_n];
        _sources = new FetchSources(_n);
        _budgets = new int[_n];
        _answeredMicros = new long[_n];
        _scratch = new byte[12 + (config.MaxBatchRequests * Digest.SizeBytes)];
        _message = new byte[Limits.MaxResultBytes + 4096];
        _stable = _lastExecuted = _lastCommitted = _lastIssued = pages.LastCheckpoint;
        _sets = new ViewChangeSets(config.F);
        _rule = _format.Signed ? new CertificatesRule() : new ClaimsRule(config.F);
        _oldBatches = new OldBatches(config);
        _watch = new PrimaryWatch(_n);
        _responseMicros = LongestTimeoutMicros / TimeoutResponses;
        _claims = new CommittedClaims(_n, config.LogSize);
        _committedBatches = new (SeqNum, Digest)[2 * config.LogSize];
        _learned = new LogEntry(_format);
        _heardMicros = new long[_n];
        _unproven = [.. Enumerable.Range(0, _n).Select(_ => new Leaving(_n))];
        _recoveriesSeen = new ulong[_n];
        _recoverySinceMicros = new long[_n];
        _recoveryReplies = new RecoveryReplies(_n);
        _leaving = [.. Enumerable.Range(0, _n).Select(_ => new Leaving(_n))];
        Diverged = !pages.IsTrusted;
        if (!Diverged)
        {
            StateBecameWhole();
            _restoring = true;
            NoteRecoveriesInState();
            _restoring = false;
        }
    }

    /// <summary>Bytes of replicated memory a cluster of this configuration needs: the library's pages and the service's.</summary>
    public static long StateBytes(ClusterConfig config) => ReplyTable.SizeFor(config) + config.ServiceStateBytes;

    /// <summary>For the simulator's faulty replicas, which lie under their own keys.</summary>
    internal ReplicaKeys Keys => _keys;

    public ReplicaId Id { get; }
    public View View => _view;
    public SeqNum StableCheckpoint => _stable;

    /// <summary>The last batch executed, tentatively or not.</summary>
    public SeqNum LastExecuted => _lastExecuted;

    /// <summary>The last batch executed and known to have committed.</summary>
    public SeqNum LastCommitted => _lastCommitted;
    public bool IsPrimary => _view.Primary(_n) == Id;
    public ReplicaCounters Counters { get; } = new();

    /// <summary>High water mark H = h + L (§2.3.4).</summary>
    private SeqNum HighWaterMark
    {
        get
        {
            SeqNum high = LowWaterMark + _config.LogSize;
            return _bound.Value > 0 && _bound < high ? _bound : high;
        }
    }

    /// <summary>Bytes held for requests that wait or are in the log.</summary>
    public long RequestBytesHeld => _pool.InUseBytes;

    /// <summary>Agrees on session keys with the others. Call once, before the first message.</summary>
    public void Start(Instant now)
    {
        _now = now;
        ChooseKeys();
        _keys.RequestMissingKeys(now.MonotonicMicros);
        ResetStatusTimer();
        _scrubDeadlineMicros = now.MonotonicMicros;
        _watch.EnterView(_view, now.MonotonicMicros);
        StartRejoining();
        StartRecovery();
        ProposeFromNewView();
    }

    /// <summary>One message from the network. Any bytes are allowed.</summary>
    public void Step(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!MessageHeader.TryReadTag(message, out MessageTag tag))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (Estimating && !ServesEstimation(tag))
        {
            Drop(DropReason.Stale);
            return;
        }
        switch (tag)
        {
            case MessageTag.Request:
                OnRequest(message, source);
                break;
            case MessageTag.PrePrepare:
                OnPrePrepare(message, source);
                break;
            case MessageTag.Prepare:
                OnPrepare(message, source);
                break;
            case MessageTag.Commit:
                OnCommit(message, source);
                break;
            case MessageTag.Checkpoint:
                OnCheckpoint(message, source);
                break;
            case MessageTag.StatusActive:
                OnStatusActive(message, source);
                break;
            case MessageTag.ViewChange:
                OnViewChange(message, source);
                break;
            case MessageTag.ViewChangeAck:
                OnViewChangeAck(message, source);
                break;
            case MessageTag.NewView:
                OnNewView(message, source);
                break;
            case MessageTag.StatusPending:
                OnStatusPending(message, source);
                break;
            case MessageTag.Batch:
                OnBatch(message);
                break;
            case MessageTag.Committed:
                OnCommitted(message, source);
                break;
            case MessageTag.QueryStable:
                OnQueryStable(message, source);
                break;
            case MessageTag.ReplyStable:
                OnReplyStable(message, source);
                break;
            case MessageTag.Fetch:
                OnFetch(message, source);
                break;
            case MessageTag.MetaData:
                OnMetaData(message);
                break;
            case MessageTag.Data:
                OnData(message);
                break;
            case MessageTag.Relay:
                OnRelay(message, source);
                break;
            case MessageTag.Reply:
                OnReply(message, source);
                break;
            case MessageTag.NewKey:
                OnNewKey(message, source);
                break;
            case MessageTag.KeyRequest:
                OnKeyRequest(message, source);
                break;
            default:
                Drop(DropReason.UnknownTag);
                break;
        }
    }

    /// <summary>Time passes. Also ends a batch of messages: requests that came with it are ordered together (§5.1.4).</summary>
    public void Tick(Instant now)
    {
        _now = now;
        RunKeys();
        RunRecovery();
        IssueBatches();
        RunCommitTimer();
        RunStrangers();
        RunViewTimer();
        RunStatusTimer();
        RunRejoining();
        RunStateTransfer();
        RunScrubbing();
    }

    /// <summary>A batch is under way: votes for it are due.</summary>
    public bool ExpectsMessages => _viewActive && (_lastExecuted > _lastCommitted || _lastIssued > _lastCommitted
        || _log.Find(_lastCommitted.Next) is { HasPrePrepare: true });

    /// <summary>When <see cref="Tick"/> is wanted at the latest, on the monotonic clock.</summary>
    public long NextDeadlineMicros
    {
        get
        {
            ReadOnlySpan<long> deadlines = [_commitDeadlineMicros, _viewDeadlineMicros, _joinDeadlineMicros, _statusDeadlineMicros,
                _transferDeadlineMicros, _scrubDeadlineMicros, _keyDeadlineMicros, _recoveryDeadlineMicros, _queryDeadlineMicros,
                StrangersDeadlineMicros];
            long next = long.MaxValue;
            foreach (long deadline in deadlines)
            {
                next = Math.Min(next, deadline);
            }
            return next;
        }
    }

    private void OnNewKey(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!NewKey.TryParse(message, _n, out NewKey newKey))
        {
            Drop(DropReason.Malformed);
            return;
        }
        int client = _config.ClientIndex(new ClientId(newKey.Principal));
        if (!_keys.OnNewKey(newKey, source, _now.MonotonicMicros))
        {
            Drop(DropReason.StaleKey);
        }
        else if (client >= 0)
        {
            OnNewClientKey(client);
        }
    }

    private void OnKeyRequest(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!KeyRequest.TryParse(message, out KeyRequest request))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (request.Principal < _n)
        {
            _keys.OnKeyTrouble(request.Principal, source, _now.MonotonicMicros);
        }
    }

    /// <summary>Checks the authenticator of a message between replicas; on failure sees to the keys.</summary>
    private bool VerifyReplica(ReplicaId from, ReadOnlySpan<byte> header, ReadOnlySpan<byte> authenticator, SourceAddress source)
    {
        if (from != Id && _keys.VerifyReplica(from, header, authenticator))
        {
            _heardMicros[from.Value] = _now.MonotonicMicros;
            return true;
        }
        Drop(DropReason.BadMac);
        _keys.OnKeyTrouble(from.Value, source, _now.MonotonicMicros);
        return false;
    }

    private void Drop(DropReason reason) => Counters.Count(reason);
}
