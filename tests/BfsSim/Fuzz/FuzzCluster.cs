using BfsCore;
using BfsCore.Client;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;
using BfsSim.Network;
using BfsSim.Nodes;
using BfsSim.Services;

namespace BfsSim.Fuzz;

/// <summary>
/// Four replicas and two clients in memory, under load, on a network that loses messages and cuts replicas off, so that
/// views change and states are transferred while hostile messages come in between. Replicas die and start again from their logs.
/// </summary>
internal sealed class FuzzCluster : IDisposable
{
    public const int N = 4;
    private const int Clients = 2;
    private const int MaxUnderWay = 4_000;
    private const int MaxPinnedCheckpoints = 16;
    private const long WallStartNanos = 1_700_000_000_000_000_000;

    private readonly SimRandom _random;
    private readonly Corpus _corpus;
    private readonly List<(int To, int From, byte[] Bytes)> _wire = [];
    private readonly PagedState[] _pages = new PagedState[N];
    private readonly SimDisk[] _disks = new SimDisk[N];
    private readonly SimKeyExchange _exchange;
    private readonly FuzzObserver _observer;
    private readonly KeyValueWorkload _workload;
    private readonly Results[] _results = new Results[Clients];
    private long _nowMicros = 1_000_000;
    private int _cutOff = -1;
    private int _lossPerMille;

    /// <param name="faulty">The replica whose keys the attacker has; null: any.</param>
    public FuzzCluster(SimRandom random, Corpus corpus, int? faulty = null)
    {
        (_random, _corpus) = (random, corpus);
        SimOptions options = SimOptions.Draw(random.Fork()) with { Operations = int.MaxValue, LargeValuesPerMille = 200, Keys = 6 };
        int period = random.Choose(2, 4, 8);
        Config = new ClusterConfig
        {
            Replicas = [.. Enumerable.Range(0, N).Select(i => new ReplicaInfo(new ReplicaId(i), "fuzzed", i, ReadOnlyMemory<byte>.Empty))],
            Clients = [.. Enumerable.Range(0, Clients).Select(i => new ClientInfo(
                new ClientId(Limits.FirstClientId + i), $"client{i}", ReadOnlyMemory<byte>.Empty, false, []))],
            CheckpointPeriod = period,
            LogSize = period * random.Between(2, 4),
            WindowSize = Math.Min(4, period),
            MaxBatchRequests = random.Choose(1, 4, 64),
            SlotsPerClient = 4,
            TentativeExecution = !random.PerMille(250),
            ReadOnlyOptimization = !random.PerMille(250),
            PiggybackCommits = !random.PerMille(250),
            ViewChangeTimeoutMillis = 100,
            ServiceStateBytes = 1 << 20,
        };
        SimulationException.Require(Config.FirstProblem() is null, Config.FirstProblem() ?? "");
        _exchange = new SimKeyExchange(N, random.NextUInt64());
        Faulty = faulty ?? random.Below(N);
        _observer = new FuzzObserver(Faulty);
        _workload = new KeyValueWorkload(options, random.Fork());
        Attacker = new Attacker(Config, new ReplicaId(Faulty), new ClientId(Limits.FirstClientId + 1), _exchange, random.Fork());
        for (int i = 0; i < N; i++)
        {
            _disks[i] = new SimDisk();
            Begin(i);
        }
        for (int i = 0; i < Clients; i++)
        {
            _results[i] = new Results();
            BftClients[i] = new BftClient(Config.Clients[i].Id, Config, new Port(this, Config.Clients[i].Id.Value), random.Fork(), _exchange, _results[i]);
        }
        Array.ForEach(Replicas, r => r.Start(Now));
        Array.ForEach(BftClients, c => c.Start(Now));
    }

    public ClusterConfig Config { get; }
    public SimKeyExchange Exchange => _exchange;
    public Attacker Attacker { get; }

    /// <summary>The replica whose keys the attacker has.</summary>
    public int Faulty { get; }

    public Replica[] Replicas { get; } = new Replica[N];
    public BftClient[] BftClients { get; } = new BftClient[Clients];

    public Instant Now => new(_nowMicros, WallStartNanos + (_nowMicros * 1000));

    /// <summary>The most bytes of requests that any replica held.</summary>
    public long MostRequestBytes { get; private set; }

    private void Begin(int i)
    {
        _pages[i] = _disks[i].Load(Replica.StateBytes(Config));
        Replicas[i] = new Replica(new ReplicaId(i), Config, _pages[i], new KeyValueService(), new Port(this, i), _random.Fork(),
            _exchange, _disks[i].Counters, _disks[i].Votes, _observer)
        {
            CheckpointBecameStable = stable =>
            {
                if (Replicas[i].ImageNeeded || _random.PerMille(300))
                {
                    _disks[i].Save(_pages[i], stable);
                    Replicas[i].RestartLog();
                }
            },
        };
    }

    /// <summary>The records that a replica has written.</summary>
    public List<byte[]> LogOf(int replica)
    {
        var records = new List<byte[]>();
        _disks[replica].Votes.Read(record => records.Add(record.ToArray()));
        return records;
    }

    public long Sent(MessageTag tag) => _corpus.Seen[(int)tag];

    public Standing StandingOf(int replica)
    {
        Replica r = Replicas[replica];
        return new Standing(r.View.Value, r.StableCheckpoint.Value, r.LastExecuted.Value, Config.LogSize, Now.WallNanos, N);
    }

    /// <summary>Some message that is under way, which then does not arrive; empty when there is none.</summary>
    public bool TryIntercept(int from, out (int To, int From, byte[] Bytes) message)
    {
        int start = _wire.Count == 0 ? 0 : _random.Below(_wire.Count);
        for (int i = 0; i < Math.Min(_wire.Count, 24); i++)
        {
            int at = (start + i) % _wire.Count;
            if (_wire[at].From == from)
            {
                message = TakeAt(at);
                return true;
            }
        }
        message = default;
        return false;
    }

    private (int To, int From, byte[] Bytes) TakeAt(int at)
    {
        (int To, int From, byte[] Bytes) message = _wire[at];
        _wire[at] = _wire[^1];
        _wire.RemoveAt(_wire.Count - 1);
        return message;
    }

    /// <summary>A little of what a cluster does: operations, deliveries, time, and faults.</summary>
    public void Turn()
    {
        Weather();
        for (int i = 0; i < Clients; i++)
        {
            if (BftClients[i].FreeSlots > 1 && _random.PerMille(300))
            {
                (byte[] operation, bool readOnly) = _workload.Next();
                BftClients[i].TryInvoke(operation, readOnly, 0);
            }
        }
        for (int left = _random.Below(12); left > 0 && _wire.Count > 0; left--)
        {
            // Mostly in order; a long queue is shortened first of all.
            (int to, int from, byte[] bytes) = TakeAt(_wire.Count > MaxUnderWay / 2 || _random.PerMille(200) ? _random.Below(_wire.Count) : 0);
            if (!_random.PerMille(_lossPerMille) && to != _cutOff && from != _cutOff)
            {
                Deliver(to, from, bytes);
            }
        }
        Tick();
    }

    /// <summary>Delivers everything in order, with nothing lost, for this long; but for one replica perhaps, that nobody reaches.</summary>
    public void Calm(long micros, int cutOff = -1)
    {
        (_cutOff, _lossPerMille) = (-1, 0);
        for (long end = _nowMicros + micros; _nowMicros < end;)
        {
            _nowMicros += 5_000;
            List<(int To, int From, byte[] Bytes)> now = [.. _wire];
            _wire.Clear();
            now.ForEach(m =>
            {
                if (m.To != cutOff && m.From != cutOff)
                {
                    Deliver(m.To, m.From, m.Bytes);
                }
            });
            Tick();
        }
    }

    private void Tick()
    {
        foreach (Replica replica in Replicas)
        {
            replica.Tick(Now);
            MostRequestBytes = Math.Max(MostRequestBytes, replica.RequestBytesHeld);
        }
        Array.ForEach(BftClients, c => c.Tick(Now));
    }

    private void Weather()
    {
        _nowMicros += _random.PerMille(10) ? _random.Below(400_000) : _random.Below(2_000);
        if (_random.PerMille(3))
        {
            _cutOff = _random.Below(N);
        }
        else if (_random.PerMille(20))
        {
            _cutOff = -1;
        }
        if (_random.PerMille(4))
        {
            _lossPerMille = _random.Choose(0, 0, 20, 200);
        }
        if (_random.PerMille(1))
        {
            Restart(_random.Below(N));
        }
    }

    /// <summary>Kills a replica and starts it with what its disk has; that of the faulty one may be empty.</summary>
    private void Restart(int i)
    {
        _pages[i].Dispose();
        if (i == Faulty && _random.PerMille(500))
        {
            // Of a correct one it would be a second fault: what it voted for, and announced, would be gone.
            _disks[i].LoseAll();
        }
        Begin(i);
        string? problem = Replicas[i].RestoreLog();
        SimulationException.Require(problem is null, $"replica {i} cannot read its own log: {problem}");
        if (_disks[i].SavedCheckpoint == Replicas[i].StableCheckpoint)
        {
            Replicas[i].RestartLog();
        }
        Replicas[i].Start(Now);
    }

    public void Deliver(int to, int from, ReadOnlySpan<byte> bytes)
    {
        var source = new SourceAddress((ulong)from + 1);
        if (to < N)
        {
            Replicas[to].Step(bytes, source);
        }
        else
        {
            BftClients[to - Limits.FirstClientId].Step(bytes, source);
        }
    }

    /// <summary>What a replica holds is bounded by the log and the clients' slots, whatever it was sent.</summary>
    public void CheckBounds()
    {
        long slots = (long)Clients * Config.SlotsPerClient;
        long requests = (2 * slots) + ((Config.LogSize + Config.CheckpointPeriod) * Math.Min(Config.MaxBatchRequests, 64L));
        foreach (Replica replica in Replicas)
        {
            SimulationException.Require(replica.RequestBytesHeld <= requests * 65_536, $"{replica.Id} holds {replica.RequestBytesHeld} bytes of requests");
        }
        foreach (PagedState pages in _pages)
        {
            int most = (Config.LogSize / Config.CheckpointPeriod) + 1 + MaxPinnedCheckpoints;
            SimulationException.Require(pages.CheckpointCount <= most, $"a replica holds {pages.CheckpointCount} checkpoints");
        }
    }

    /// <summary>Whether the honest client still gets an answer once nothing is lost any more: the attacker alone cannot stop the service.</summary>
    public void CheckLiveness()
    {
        Calm(1_000_000);
        long before = _results[0].Count;
        for (int i = 0; i < 60 && _results[0].Count <= before; i++)
        {
            if (BftClients[0].FreeSlots > 0)
            {
                (byte[] operation, _) = _workload.Next();
                BftClients[0].TryInvoke(operation, false, 0);
            }
            Calm(1_000_000);
        }
        SimulationException.Require(_results[0].Count > before, "no operation completes any more: "
            + string.Join("; ", Replicas.Select(Describe)));
    }

    private string Describe(Replica r) => $"{r.Id}{(r.Id.Value == Faulty ? " (faulty)" : "")} {r.View}{(r.ViewActive ? "" : " left for")} "
        + $"executed {r.LastExecuted} committed {r.LastCommitted} stable {r.StableCheckpoint} {(r.Diverged ? "diverged" : "")} fetches {r.TransferTarget}, "
        + $"{r.TransferPages} pages; refused {string.Join(' ', Enum.GetValues<DropReason>().Where(d => r.Counters.Dropped(d) > 0).Select(d => $"{d} {r.Counters.Dropped(d)}"))}";

    private void Send(int to, int from, ReadOnlySpan<byte> message)
    {
        byte[] bytes = message.ToArray();
        _corpus.Add(bytes);
        if (MessageHeader.TryReadTag(bytes, out MessageTag tag) && tag == MessageTag.NewKey)
        {
            Attacker.Overhear(bytes);
        }
        if (_wire.Count < MaxUnderWay)
        {
            _wire.Add((to, from, bytes));
        }
    }

    public void Dispose() => Array.ForEach(_pages, p => p.Dispose());

    private sealed class Results : IClientHandler
    {
        public long Count { get; private set; }

        public void Completed(long tag, ReadOnlySpan<byte> result) => Count++;
    }

    private sealed class Port(FuzzCluster cluster, int self) : INetwork
    {
        public void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message) => cluster.Send(to.Value, self, message);

        public void MulticastToReplicas(ReadOnlySpan<byte> message)
        {
            for (int i = 0; i < N; i++)
            {
                if (i != self)
                {
                    cluster.Send(i, self, message);
                }
            }
        }

        public void SendToClient(ClientId to, ReadOnlySpan<byte> message) => cluster.Send(to.Value, self, message);

        public void Answer(SourceAddress to, ReadOnlySpan<byte> message)
        {
            int address = (int)to.Value - 1;
            if (address is (>= 0 and < N) or (>= Limits.FirstClientId and < Limits.FirstClientId + Clients))
            {
                cluster.Send(address, self, message);
            }
        }

        public void BindClient(ClientId client, SourceAddress address)
        {
        }
    }
}

/// <summary>Correct replicas commit the same batches and have the same states (§2.2), whatever they are sent.</summary>
internal sealed class FuzzObserver(int faulty) : IReplicaObserver
{
    private readonly Dictionary<SeqNum, Digest> _committed = [];
    private readonly Dictionary<SeqNum, Digest> _stable = [];

    public void OnExecuted(ReplicaId replica, View view, SeqNum seq, Digest batch, bool tentative)
    {
    }

    public void OnCommitted(ReplicaId replica, SeqNum seq, Digest batch) => Agree(_committed, replica, seq, batch, "batch");

    public void OnCheckpoint(ReplicaId replica, SeqNum seq, Digest state, bool stable)
    {
        if (stable)
        {
            Agree(_stable, replica, seq, state, "checkpoint");
        }
    }

    private void Agree(Dictionary<SeqNum, Digest> known, ReplicaId replica, SeqNum seq, Digest digest, string what)
    {
        if (replica.Value != faulty && !known.TryAdd(seq, digest))
        {
            SimulationException.Require(known[seq] == digest, $"{what} {seq} of {replica} is {digest}, another correct replica has {known[seq]}");
        }
    }
}
