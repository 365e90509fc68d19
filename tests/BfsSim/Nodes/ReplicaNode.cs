using BfsCore;
using BfsCore.Replication;
using BfsCore.State;
using BfsSim.Network;

namespace BfsSim.Nodes;

/// <summary>A replica process: the engine as it is compiled, its memory and its service.</summary>
public sealed class ReplicaNode : SimNode, IDisposable
{
    private readonly NodePort _port;

    public ReplicaNode(int address, ClusterConfig config, EventQueue events, SimRandom random, int clockSkewMillis,
        VirtualNetwork network, IKeyExchange keys, IService service, IReplicaObserver observer)
        : base(address, events, random, clockSkewMillis)
    {
        _port = new NodePort(network, address, config.N);
        State = new PagedState(Replica.StateBytes(config));
        Replica = new Replica(new ReplicaId(address), config, State, service, _port, random.Fork(), keys,
            new SimStableStore(), Votes, observer);
    }

    public Replica Replica { get; }

    public PagedState State { get; }

    /// <summary>What outlives a crash.</summary>
    public MemoryVoteLog Votes { get; } = new();

    public void Start()
    {
        Replica.Start(Now);
        WakeUpSoon();
    }

    protected override long NextDeadlineMicros => Replica.NextDeadlineMicros;

    protected override void Step(byte[] message, SourceAddress source)
    {
        _port.HandlingBytes = message.Length;
        Replica.Step(message, source);
    }

    protected override void Tick(Instant now)
    {
        _port.HandlingBytes = 0;
        Replica.Tick(now);
    }

    public void Dispose() => State.Dispose();
}
