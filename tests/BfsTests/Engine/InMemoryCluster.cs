using System.Security.Cryptography;
using BfsCore;
using BfsCore.Client;
using BfsCore.Crypto;
using BfsCore.Replication;
using BfsCore.State;
using BfsSim.Nodes;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsTests.Engine;

/// <summary>
/// Replicas and clients in one process, with a first-in first-out network whose messages a test can watch, drop or
/// change. Time stands still unless the test moves it.
/// </summary>
internal sealed class InMemoryCluster : IDisposable
{
    private readonly Queue<(int To, int From, byte[] Bytes)> _wire = new();
    private readonly List<KeySigner> _signers = [];
    private readonly List<IKeyExchange> _exchanges = [];
    private readonly Func<int, IService> _service;
    private readonly long _start = 1_700_000_000_000_000_000;

    public InMemoryCluster(Func<ClusterConfig, ClusterConfig>? adjust = null, int n = 4, int clients = 2,
        Func<int, IService>? service = null)
    {
        ECParameters[] keys = [.. Enumerable.Range(0, n + clients).Select(_ => NewKeyPair())];
        var config = new ClusterConfig
        {
            Replicas = [.. Enumerable.Range(0, n).Select(i =>
                new ReplicaInfo(new ReplicaId(i), "127.0.0.1", 7000 + i, PublicKeys.ToPoint(keys[i].Q)))],
            Clients = [.. Enumerable.Range(0, clients).Select(i =>
                new ClientInfo(new ClientId(Limits.FirstClientId + i), $"c{i}", PublicKeys.ToPoint(keys[n + i].Q), false, []))],
            ServiceStateBytes = 1 << 20,
            SlotsPerClient = 8,
        };
        Config = adjust?.Invoke(config) ?? config;
        Assert.Null(Config.FirstProblem());
        _service = service ?? (_ => new EchoService());
        for (int i = 0; i < n; i++)
        {
            Logs.Add(new MemoryVoteLog());
            _exchanges.Add(Exchange(keys[i]));
            Stores.Add(new MemoryStore());
            Pages.Add(new PagedState(Replica.StateBytes(Config)));
            Replicas.Add(NewReplica(i));
        }
        for (int i = 0; i < clients; i++)
        {
            var results = new ClientResults();
            Results.Add(results);
            _exchanges.Add(Exchange(keys[n + i]));
            Clients.Add(new BftClient(Config.Clients[i].Id, Config, new Port(this, Config.Clients[i].Id.Value),
                new TestEntropy((ulong)(100 + i)), _exchanges[n + i], results));
        }
    }

    private Replica NewReplica(int i) => new(new ReplicaId(i), Config, Pages[i], _service(i), new Port(this, i),
        new TestEntropy((ulong)i), _exchanges[i], Stores[i], Logs[i], Observer);

    /// <summary>Ends a replica without warning and starts it with nothing but its log and, if it was saved, its image.</summary>
    public void Restart(int i, PagedState? image = null, bool silently = false, bool recover = false)
    {
        Pages[i].Dispose();
        Pages[i] = image ?? new PagedState(Replica.StateBytes(Config));
        Replicas[i] = NewReplica(i);
        if (silently)
        {
            Replicas[i].RejoinSilently();
        }
        if (recover)
        {
            Replicas[i].BeginRecovery();
        }
        Assert.Null(Replicas[i].RestoreLog());
        Replicas[i].Start(Now);
    }

    /// <summary>The keys of a client, for one that does as it likes.</summary>
    public IKeyExchange ExchangeOf(int client) => _exchanges[Config.N + client];

    /// <summary>The keys of a replica, for one that lies in its own name.</summary>
    public IKeyExchange KeysOf(int replica) => _exchanges[replica];

    public ClusterConfig Config { get; }
    public List<MemoryVoteLog> Logs { get; } = [];
    public List<IStableStore> Stores { get; } = [];
    public List<Replica> Replicas { get; } = [];
    public List<PagedState> Pages { get; } = [];
    public List<BftClient> Clients { get; } = [];
    public List<ClientResults> Results { get; } = [];
    public RecordingObserver Observer { get; } = new();
    /// <summary>Lets a millisecond pass after every <see cref="Invoke"/>, in which commits go out.</summary>
    public bool Settle { get; set; } = true;

    public long NowMicros { get; private set; }

    /// <summary>Looks at each message (to, from, bytes); false drops it.</summary>
    public Func<int, int, byte[], bool> Filter { get; set; } = (_, _, _) => true;

    public Instant Now => new(NowMicros, _start + (NowMicros * 1000));

    private KeyExchange Exchange(ECParameters key)
    {
        ulong counter = 0;
        var signer = new KeySigner(key, () => ++counter);
        _signers.Add(signer);
        return new KeyExchange(Config, signer);
    }

    public static ECParameters NewKeyPair()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return key.ExportParameters(true);
    }

    public InMemoryCluster Start()
    {
        Replicas.ForEach(r => r.Start(Now));
        Clients.ForEach(c => c.Start(Now));
        Run();
        return this;
    }

    /// <summary>Delivers until nothing is under way.</summary>
    public void Run()
    {
        do
        {
            while (_wire.TryDequeue(out (int To, int From, byte[] Bytes) message))
            {
                Deliver(message.To, message.From, message.Bytes);
            }
            Replicas.ForEach(r => r.Tick(Now));
            Clients.ForEach(c => c.Tick(Now));
        }
        while (_wire.Count > 0);
    }

    /// <summary>Lets time pass in steps, delivering everything in each.</summary>
    public void Pass(long micros, long stepMicros = 10_000)
    {
        for (long end = NowMicros + micros; NowMicros < end;)
        {
            NowMicros += stepMicros;
            Run();
        }
    }

    /// <summary>Invokes one operation and runs until nothing is under way; the result, or null when there is none yet.</summary>
    public byte[]? Invoke(byte[] operation, bool readOnly = false, int client = 0)
    {
        long tag = Results[client].NextTag++;
        Assert.True(Clients[client].TryInvoke(operation, readOnly, tag));
        Run();
        if (Settle)
        {
            Pass(1_000, 1_000);
        }
        return Results[client].Completed.GetValueOrDefault(tag);
    }

    public void Inject(int to, int from, byte[] bytes) => _wire.Enqueue((to, from, bytes));

    private void Deliver(int to, int from, byte[] bytes)
    {
        if (!Filter(to, from, bytes))
        {
            return;
        }
        if (to < Config.N)
        {
            Replicas[to].Step(bytes, new SourceAddress((ulong)from + 1));
        }
        else
        {
            Clients[to - Limits.FirstClientId].Step(bytes, new SourceAddress((ulong)from + 1));
        }
    }

    public void Dispose()
    {
        Pages.ForEach(p => p.Dispose());
        _signers.ForEach(s => s.Dispose());
    }

    private sealed class Port(InMemoryCluster cluster, int self) : INetwork
    {
        public void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message) => cluster.Inject(to.Value, self, message.ToArray());

        public void MulticastToReplicas(ReadOnlySpan<byte> message)
        {
            for (int i = 0; i < cluster.Config.N; i++)
            {
                if (i != self)
                {
                    cluster.Inject(i, self, message.ToArray());
                }
            }
        }

        public void SendToClient(ClientId to, ReadOnlySpan<byte> message) => cluster.Inject(to.Value, self, message.ToArray());

        public void Answer(SourceAddress to, ReadOnlySpan<byte> message) => cluster.Inject((int)to.Value - 1, self, message.ToArray());

        public void BindClient(ClientId client, SourceAddress address) => Assert.Equal(client.Value, (int)address.Value - 1);
    }
}

internal sealed class ClientResults : IClientHandler
{
    public long NextTag { get; set; } = 1;
    public Dictionary<long, byte[]> Completed { get; } = [];

    void IClientHandler.Completed(long tag, ReadOnlySpan<byte> result) => Completed.Add(tag, result.ToArray());
}

/// <summary>Keeps what replicas executed; asserts that they never differ (agreement, §2.2).</summary>
internal sealed class RecordingObserver : IReplicaObserver
{
    private readonly Dictionary<long, Digest> _committed = [];
    private readonly Dictionary<long, Digest> _checkpoints = [];

    public long StableCheckpoints { get; private set; }
    public long TentativeExecutions { get; private set; }

    public void OnExecuted(ReplicaId replica, View view, SeqNum seq, Digest batch, bool tentative) =>
        TentativeExecutions += tentative ? 1 : 0;

    public void OnCommitted(ReplicaId replica, SeqNum seq, Digest batch)
    {
        _committed.TryAdd(seq.Value, batch);
        Assert.Equal(_committed[seq.Value], batch);
    }

    public void OnCheckpoint(ReplicaId replica, SeqNum seq, Digest state, bool stable)
    {
        _checkpoints.TryAdd(seq.Value, state);
        Assert.Equal(_checkpoints[seq.Value], state);
        StableCheckpoints += stable ? 1 : 0;
    }
}

internal sealed class TestEntropy(ulong seed) : IEntropy
{
    private ulong _state = seed;

    public void Fill(Span<byte> bytes)
    {
        foreach (ref byte b in bytes)
        {
            _state = (_state * 6364136223846793005) + 1442695040888963407;
            b = (byte)(_state >> 56);
        }
    }
}

internal sealed class MemoryStore : IStableStore
{
    private readonly Dictionary<int, ulong> _counters = [];

    public ulong LoadCounter(int principal) => _counters.GetValueOrDefault(principal);

    public void SaveCounter(int principal, ulong counter) => _counters[principal] = counter;

    private View _view;

    public View LoadView() => _view;

    public void SaveView(View view) => _view = view;
}

/// <summary>
/// Counts: operation byte 0 'r' reads, 'a' adds one to a counter; the result is the counter and the agreed time, padded to
/// the length that bytes 1 and 2 of the operation ask for.
/// </summary>
internal sealed class EchoService : IService
{
    private StateRegion _state = null!;

    public void Open(StateRegion state) => _state = state;

    public void StateReplaced() { }

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => operation.Length > 0 && operation[0] == (byte)'r';

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        if (operation.Length < 3)
        {
            return 0;
        }
        if (operation[0] == (byte)'a')
        {
            _state.Modify<long>(0)++;
        }
        int length = Math.Max(16, operation[1] | (operation[2] << 8));
        result[..length].Clear();
        BitConverter.TryWriteBytes(result, _state.Get<long>(0));
        BitConverter.TryWriteBytes(result[8..], context.TimeNanos);
        return length;
    }
}
