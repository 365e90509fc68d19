using BfsCore;
using BfsCore.Replication;
using BfsCore.State;
using BfsSim.Byzantine;
using BfsSim.Checkers;
using BfsSim.Faults;
using BfsSim.Network;
using BfsSim.Nodes;
using BfsSim.Services;

namespace BfsSim;

/// <summary>
/// A whole cluster with its clients in one process, in virtual time, from one seed. Safety is checked at every step; after
/// the network heals, everything outstanding must complete and the replicas must agree. Then the clients' histories must
/// be linearizable.
/// </summary>
public sealed class Simulation : IDisposable
{
    /// <summary>Virtual time that completing everything may take once the network is perfect.</summary>
    private const long CompletionMicros = 120_000_000;

    /// <summary>Events in a whole run: far above what any seed needs, far below for ever.</summary>
    private const long MaxEvents = 20_000_000;

    /// <summary>Checkpoints that a replica may keep for others that fetch them.</summary>
    private const int MaxPinnedCheckpoints = 16;

    private readonly ServiceSuite _suite;
    private readonly EventQueue _events = new();
    private readonly TraceHash _trace = new();
    private readonly VirtualNetwork _network;
    private readonly SimNode[] _nodes;
    private readonly ReplicaNode[] _replicas;
    private readonly ClientNode[] _clients;
    private readonly ClientNode[] _faultyClients;
    private readonly IWorkload _workload;
    private readonly IWorkload _faultyWorkload;
    private readonly FaultPlan _faults;

    /// <param name="suite">Another service than the seed decided.</param>
    /// <param name="adjust">Changes what the seed decided.</param>
    public Simulation(long seed, ServiceSuite? suite = null, Func<SimOptions, SimOptions>? adjust = null)
    {
        Seed = seed;
        var random = new SimRandom((ulong)seed);
        Options = SimOptions.Draw(random.Fork());
        Options = adjust?.Invoke(Options) ?? Options;
        _suite = suite ?? (Options.Files ? new FileSuite() : new KeyValueSuite());
        Config = BuildConfig(Options, _suite.StateBytes);
        SimulationException.Require(Config.FirstProblem() is null, Config.FirstProblem() ?? "");
        _network = new VirtualNetwork(Options, random.Fork(), _events);
        SimRandom faults = random.Fork();
        _workload = _suite.CreateWorkload(Options, random.Fork());
        Agreement = new AgreementChecker(Options.Replicas, Options.CheckpointPeriod);
        ulong secret = random.NextUInt64();
        _replicas = new ReplicaNode[Options.Replicas];
        for (int i = 0; i < _replicas.Length; i++)
        {
            int id = i;
            _replicas[i] = new ReplicaNode(i, Config, _events, random.Fork(), Options, _network,
                new SimKeyExchange(Config.N, secret), () => CreateService(id), Agreement);
        }
        _faultyWorkload = _suite.CreateWorkload(Options, random.Fork(), faulty: true);
        var unknown = new History();
        _clients = [.. Enumerable.Range(0, Options.Clients).Select(i => NewClient(i, random.Fork(), secret, _workload, History))];
        _faultyClients = [.. Enumerable.Range(Options.Clients, Options.FaultyClients).Select(
            i => NewClient(i, random.Fork(), secret, _faultyWorkload, unknown))];
        _nodes = [.. _replicas, .. _clients, .. _faultyClients];
        Agreement.Committed = replica => _suite.OnCommitted(replica.Value);
        _faults = new FaultPlan(Config, Options, faults, _events, _network, _replicas, Agreement, Tally);
    }

    public long Seed { get; }
    public SimOptions Options { get; }
    public ClusterConfig Config { get; }
    public AgreementChecker Agreement { get; }
    public History History { get; } = new();

    /// <summary>What happened, by name.</summary>
    public Tally Tally { get; } = new();
    public IReadOnlyList<ReplicaNode> Replicas => _replicas;
    public IReadOnlyList<ClientNode> Clients => _clients;
    public VirtualNetwork Network => _network;

    /// <summary>Told about every delivery, for debugging; null when nobody looks.</summary>
    public Action<string>? Trace
    {
        get => Agreement.Trace;
        set => Agreement.Trace = value;
    }

    private IService CreateService(int replica) =>
        new TimedService(new DigestedService(_suite.CreateService(replica, Config)), () => LatestNanos(replica));

    /// <summary>The latest time that a correct replica may accept now; times that would not rise are raised a little.</summary>
    private long LatestNanos(int replica) => Agreement.IsFaulty(new ReplicaId(replica)) ? long.MaxValue
        : SimNode.WallStartNanos + (_events.NowMicros * 1000) + ((Options.ClockSkewMillis + Config.MaxClockSkewMillis + 1) * 1_000_000L);

    /// <summary>Makes a replica faulty in what it sends; it no longer counts as correct.</summary>
    public void MakeFaulty(int replica, ISendStrategy strategy)
    {
        _network.SetStrategy(replica, strategy);
        Agreement.MarkFaulty(new ReplicaId(replica));
    }

    private ClientNode NewClient(int index, SimRandom random, ulong secret, IWorkload workload, History history) =>
        new(Config.N + index, Config.Clients[index].Id, Config, Options, _events, random, _network,
            new SimKeyExchange(Config.N, secret), workload, history);

    /// <summary>The whole run. Throws <see cref="SimulationException"/> for what must not happen.</summary>
    public SimResult Run()
    {
        _faults.Draw();
        foreach (ReplicaNode replica in _replicas)
        {
            replica.Start();
        }
        foreach (ClientNode client in _clients)
        {
            client.Start();
        }
        foreach (ClientNode client in _faultyClients)
        {
            _faults.Corrupt(client);
            client.Start();
        }
        RunUntil(Options.HealMicros, () => _workload.Remaining <= 0 && AllCompleted);
        _faults.Heal();
        _workload.Remaining = _faultyWorkload.Remaining = 0;
        long healed = _events.NowMicros;
        RunUntil(healed + CompletionMicros, () => AllCompleted && AllConverged);
        CheckLiveness();
        CheckStates();
        CheckBounds();
        _suite.CheckHistory(this);
        return Summarise(healed);
    }

    public void Dispose()
    {
        foreach (ReplicaNode replica in _replicas)
        {
            replica.Dispose();
        }
        _faults.Dispose();
    }

    /// <summary>Correct replicas that have executed all have this state.</summary>
    public void RequireServiceState(PagedState expected)
    {
        SeqNum last = _replicas.Where(IsCorrect).Max(r => r.Replica.LastCommitted);
        long start = Replica.StateBytes(Config) - Config.ServiceStateBytes;
        foreach (ReplicaNode node in _replicas)
        {
            if (IsCorrect(node) && node.Replica.LastCommitted == last && node.Replica.LastExecuted == last)
            {
                SimulationException.Require(
                    node.State.Read(start, (int)expected.SizeBytes).SequenceEqual(expected.Read(0, (int)expected.SizeBytes)),
                    $"the service of replica {node.Address} has another state than one instance on its own");
            }
        }
    }

    private static ClusterConfig BuildConfig(SimOptions options, long stateBytes) => new()
    {
        Mode = options.Signed ? ClusterMode.BftPk : ClusterMode.Bft,
        WatchdogSeconds = 0,
        Replicas = [.. Enumerable.Range(0, options.Replicas).Select(i =>
            new ReplicaInfo(new ReplicaId(i), "simulated", i, ReadOnlyMemory<byte>.Empty))],
        Clients = [.. Enumerable.Range(0, options.Clients + options.FaultyClients).Select(i => new ClientInfo(
            new ClientId(Limits.FirstClientId + i), $"client{i}", ReadOnlyMemory<byte>.Empty, false, []))],
        CheckpointPeriod = options.CheckpointPeriod,
        LogSize = options.LogSize,
        WindowSize = options.WindowSize,
        MaxBatchRequests = options.MaxBatchRequests,
        InlineThresholdBytes = options.InlineThresholdBytes,
        DigestReplyThresholdBytes = options.DigestReplyThresholdBytes,
        TentativeExecution = options.TentativeExecution,
        ReadOnlyOptimization = options.ReadOnlyOptimization,
        PreferredQuorums = options.PreferredQuorums,
        PiggybackCommits = options.PiggybackCommits,
        SlotsPerClient = options.SlotsPerClient,
        ServiceStateBytes = stateBytes,
        ViewChangeTimeoutMillis = options.ViewChangeTimeoutMillis,
        ViewRotationCheckpoints = options.ViewRotationCheckpoints,
        KeyRefreshMillis = options.KeyRefreshMillis,
    };

    private bool AllCompleted => Array.TrueForAll(_clients, c => c.Outstanding == 0);

    /// <summary>All correct replicas have executed the same, know that it has committed, and have ended their recoveries.</summary>
    private bool AllConverged
    {
        get
        {
            SeqNum? common = null;
            if (!Array.TrueForAll(_replicas, r => !IsCorrect(r) || !r.IsRecovering))
            {
                return false;
            }
            foreach (ReplicaNode node in _replicas)
            {
                if (!IsCorrect(node))
                {
                    continue;
                }
                Replica replica = node.Replica;
                common ??= replica.LastCommitted;
                if (replica.LastCommitted != common || replica.LastExecuted != common
                    || replica.StableCheckpoint != LastCheckpointBefore(replica.LastCommitted))
                {
                    return false;
                }
            }
            return true;
        }
    }

    private SeqNum LastCheckpointBefore(SeqNum seq) => new(seq.Value / Options.CheckpointPeriod * Options.CheckpointPeriod);

    private bool IsCorrect(ReplicaNode node) => !Agreement.IsFaulty(new ReplicaId(node.Address));

    private void RunUntil(long endMicros, Func<bool> done)
    {
        while (!done() && _events.TryNext(endMicros, out SimEvent next))
        {
            SimulationException.Require(_events.Happened < MaxEvents, "the run does not come to an end");
            _trace.Add(_events.NowMicros);
            if (next.Action is { } action)
            {
                action();
            }
            else if (_network.Arrives(next.From, next.To))
            {
                _trace.Add(next.From);
                _trace.Add(next.To);
                _trace.Add(next.Message);
                Trace?.Invoke($"{_events.NowMicros,10} {next.From,2} > {next.To,-2} {TraceText.Describe(next.Message!)}");
                _network.Hear(next.From, next.To, next.Message!);
                _network.HeardBy(_nodes[next.To], next.From).Deliver(next.From, next.Message!);
            }
        }
    }

    private void CheckLiveness()
    {
        int outstanding = _clients.Sum(c => c.Outstanding);
        NoProgressException.Require(outstanding == 0,
            $"{outstanding} operations did not complete within {CompletionMicros / 1_000_000} s after the network healed: {Standing()}");
        NoProgressException.Require(AllConverged,
            $"the replicas did not converge within {CompletionMicros / 1_000_000} s after the network healed: {Standing()}");
    }

    private string Standing() => string.Join("; ", _replicas.Select(r => $"replica {r.Address}{(IsCorrect(r) ? "" : " (faulty)")}"
        + $"{(r.Crashed ? " down" : "")} in {r.Replica.View}{(r.Replica.ViewActive ? "" : " (changing)")}{Recovering(r)}, executed {r.Replica.LastExecuted} committed {r.Replica.LastCommitted} stable {r.Replica.StableCheckpoint}"));

    private static string Recovering(ReplicaNode node) =>
        node.Replica.Recovery.Phase == RecoveryPhase.None ? "" : $" recovery {node.Replica.Recovery.Phase}{(node.Replica.IsSilent ? " silent" : "")} to {node.Replica.Recovery.Point}";

    /// <summary>Correct replicas that have executed the same batches have the same memory, byte for byte.</summary>
    private void CheckStates()
    {
        var known = new Dictionary<SeqNum, ReplicaNode>();
        foreach (ReplicaNode node in _replicas)
        {
            if (!IsCorrect(node) || node.Replica.LastExecuted != node.Replica.LastCommitted
                || known.TryAdd(node.Replica.LastCommitted, node))
            {
                continue;
            }
            ReplicaNode other = known[node.Replica.LastCommitted];
            for (long page = 0; page < node.State.PageCount; page++)
            {
                long offset = page * PagedState.PageBytes;
                SimulationException.Require(
                    node.State.Read(offset, PagedState.PageBytes)
                        .SequenceEqual(other.State.Read(offset, PagedState.PageBytes)),
                    $"page {page} of replicas {other.Address} and {node.Address} differs after {node.Replica.LastCommitted}");
            }
        }
    }

    /// <summary>What a replica holds is bounded by the log, whatever happened before.</summary>
    private void CheckBounds()
    {
        long slots = (long)Config.Clients.Count * Options.SlotsPerClient;
        long requests = (2 * slots) + ((long)(Options.LogSize + Options.CheckpointPeriod) * Math.Min(Options.MaxBatchRequests, slots));
        foreach (ReplicaNode node in _replicas)
        {
            SimulationException.Require(node.Replica.RequestBytesHeld <= requests * Limits.MaxMessageBytes / 8,
                $"replica {node.Address} holds {node.Replica.RequestBytesHeld} bytes of requests");
            SimulationException.Require(
                node.State.CheckpointCount <= (Options.LogSize / Options.CheckpointPeriod) + 1 + MaxPinnedCheckpoints,
                $"replica {node.Address} holds {node.State.CheckpointCount} checkpoints");
        }
    }

    private void TallyUp()
    {
        Tally.Add(SimResult.OperationsName, History.Entries.Count(e => e.Result is not null));
        Tally.Add("client retransmissions", _clients.Sum(c => c.Client.Retransmissions));
        Tally.Add("messages", _network.Sent);
        Tally.Add("messages lost", _network.Lost);
        Tally.Add("views left", _replicas.Where(IsCorrect).Sum(r => r.ViewChanges));
        Tally.Add("highest view", _replicas.Where(IsCorrect).Max(r => r.Replica.View.Value));
        Tally.Add("state transfers", Agreement.StateTransfers);
        Tally.Add("rollbacks", Agreement.Rollbacks);
        Tally.Add("tentative executions", Agreement.TentativeExecutions);
        Tally.Add("read-only executions", _replicas.Where(IsCorrect).Sum(r => r.Replica.Counters.ReadOnlyExecuted));
        Tally.Add("of these in tentative state", _replicas.Where(IsCorrect).Sum(r => r.Replica.Counters.ReadTentatively));
        Tally.Add("reads asked again in committed state", _clients.Sum(c => c.Client.CommittedReads));
        Tally.Add("blocks read by known digests", _replicas.Where(IsCorrect).Sum(r => r.Replica.Counters.ReadBlocksKnown));
        Tally.Add("blocks read and hashed", _replicas.Where(IsCorrect).Sum(r => r.Replica.Counters.ReadBlocksHashed));
        Tally.Add("batches learned from others", _replicas.Where(IsCorrect).Sum(r => r.Replica.Counters.Learned));
        Tally.Add("stable checkpoints", Agreement.HighestStable.Value / Options.CheckpointPeriod);
        Tally.Add($"service: {(Options.Files ? "files" : "map")}");
        Tally.Add($"replicas: {Options.Replicas}");
    }

    private SimResult Summarise(long healed)
    {
        foreach (HistoryEntry entry in History.Entries)
        {
            _trace.Add(entry.Invoked);
            _trace.Add(entry.Returned);
        }
        TallyUp();
        return new SimResult
        {
            Seed = Seed,
            TraceHash = _trace.Value,
            Operations = History.Entries.Count(e => e.Result is not null),
            Messages = _network.Sent,
            Lost = _network.Lost,
            VirtualMicros = _events.NowMicros,
            HealedMicros = healed,
            StableCheckpoint = Agreement.HighestStable,
            TentativeExecutions = Agreement.TentativeExecutions,
            ReadOnlyExecutions = _replicas.Sum(r => r.Replica.Counters.ReadOnlyExecuted),
            ClientRetransmissions = _clients.Sum(c => c.Client.Retransmissions),
            StateTransfers = Agreement.StateTransfers,
            Tally = Tally,
        };
    }
}
