using BfsCore;
using BfsCore.Client;
using BfsSim.Checkers;
using BfsSim.Network;

namespace BfsSim.Nodes;

/// <summary>A client process: invokes operations in several lanes, one after the other in each, and records them.</summary>
public sealed class ClientNode : SimNode, IClientHandler
{
    private readonly EventQueue _events;
    private readonly SimRandom _random;
    private readonly SimOptions _options;
    private readonly IWorkload _workload;
    private readonly History _history;
    private readonly NodePort _port;
    private readonly Dictionary<long, HistoryEntry> _outstanding = [];
    private long _nextTag;

    public ClientNode(int address, ClientId id, ClusterConfig config, SimOptions options, EventQueue events, SimRandom random,
        VirtualNetwork network, IKeyExchange keys, IWorkload workload, History history)
        : base(address, events, random, options.ClockSkewMillis)
    {
        (_events, _random, _options, _workload, _history) = (events, random.Fork(), options, workload, history);
        _port = new NodePort(network, this, config.N);
        Client = new BftClient(id, config, _port, random.Fork(), keys, this);
    }

    public BftClient Client { get; }

    public int Outstanding => _outstanding.Count;

    public void Start()
    {
        Client.Start(Now);
        WakeUpSoon();
        for (int lane = 0; lane < _options.SlotsPerClient; lane++)
        {
            ThinkThenInvoke();
        }
    }

    protected override long NextDeadlineMicros => Client.NextDeadlineMicros;

    protected override void Step(byte[] message, SourceAddress source)
    {
        _port.HandlingBytes = message.Length;
        Client.Step(message, source);
    }

    protected override void Tick(Instant now) => Client.Tick(now);

    void IClientHandler.Completed(long tag, ReadOnlySpan<byte> result)
    {
        SimulationException.Require(_outstanding.Remove(tag, out HistoryEntry? entry), $"result for an unknown tag {tag}");
        _history.Return(entry, result);
        _workload.Completed(entry.Operation, result);
        ThinkThenInvoke();
    }

    private void ThinkThenInvoke() => _events.After(_random.Below(_options.LongestThinkMicros), Invoke);

    private void Invoke()
    {
        if (_workload.Remaining <= 0)
        {
            return;
        }
        (byte[] operation, bool readOnly) = _workload.Next();
        Tick(Now);
        long tag = _nextTag++;
        _outstanding.Add(tag, _history.Invoke(Client.Id.Value, operation));
        SimulationException.Require(Client.TryInvoke(operation, readOnly, tag), "a client has no slot for its lane");
        WakeUpSoon();
    }
}
