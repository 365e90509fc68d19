using BfsCore;
using BfsSim.Byzantine;
using BfsSim.Nodes;

namespace BfsSim.Network;

/// <summary>
/// The network of §2.1: it loses, duplicates, delays, reorders and corrupts messages as the seed says, and may cut links,
/// each direction on its own; once healed it does none of that.
/// </summary>
public sealed class VirtualNetwork
{
    /// <summary>More messages than this under way at once mean that nodes answer each other without end.</summary>
    private const int MaxInFlight = 200_000;

    private const int HealedDelayMicros = 100;

    private readonly SimOptions _options;
    private readonly SimRandom _random;
    private readonly EventQueue _events;
    private readonly ISendStrategy?[] _strategies;
    private readonly Twins?[] _twins;
    private readonly int[] _cuts;

    public VirtualNetwork(SimOptions options, SimRandom random, EventQueue events)
    {
        (_options, _random, _events) = (options, random, events);
        Nodes = options.Replicas + options.Clients + options.FaultyClients;
        _twins = new Twins?[options.Replicas];
        _strategies = new ISendStrategy?[Nodes];
        _cuts = new int[Nodes * Nodes];
    }

    /// <summary>Addresses: replicas come first, then clients.</summary>
    public int Nodes { get; }
    public bool Healed { get; private set; }
    public int InFlight { get; private set; }
    public long Sent { get; private set; }
    public long Lost { get; private set; }

    /// <summary>From now on the network is perfect.</summary>
    public void Heal()
    {
        Healed = true;
        Array.Clear(_cuts);
    }

    /// <summary>The node at this address is faulty from now on; null makes it correct again.</summary>
    public void SetStrategy(int address, ISendStrategy? strategy) => _strategies[address] = strategy;

    /// <summary>The replica at this address has two copies from now on.</summary>
    public void SetTwins(int address, Twins twins) => _twins[address] = twins;

    /// <summary>The process at an address that hears a node: with twins one of two.</summary>
    public SimNode HeardBy(SimNode node, int from) =>
        node.Address < _twins.Length && _twins[node.Address] is { } twins ? twins.For(from) : node;

    /// <summary>A message reaches a node: a faulty one looks at it first.</summary>
    public void Hear(int from, int to, byte[] message) => (_strategies[to] as IListener)?.Hear(from, message);

    /// <summary>Nothing goes from one address to the other until as many calls of <see cref="Mend"/>, or until healed.</summary>
    public void Cut(int from, int to) => _cuts[(from * Nodes) + to]++;

    public void Mend(int from, int to)
    {
        ref int cuts = ref _cuts[(from * Nodes) + to];
        cuts = Math.Max(0, cuts - 1);
    }

    /// <summary>Nothing goes to or from the address until as many calls of <see cref="Reconnect"/>.</summary>
    public void CutOff(int address)
    {
        for (int other = 0; other < Nodes; other++)
        {
            Cut(address, other);
            Cut(other, address);
        }
    }

    public void Reconnect(int address)
    {
        for (int other = 0; other < Nodes; other++)
        {
            Mend(address, other);
            Mend(other, address);
        }
    }

    public void Send(SimNode sender, int to, byte[] message)
    {
        int from = sender.Address;
        SimulationException.Require(message.Length is > 0 and <= Limits.MaxMessageBytes,
            $"node {from} sent a message of {message.Length} bytes");
        if (from < _twins.Length && _twins[from] is { } twins && twins.For(to) != sender)
        {
            return;
        }
        if (_strategies[from] is { } strategy)
        {
            strategy.Send(to, message, changed => Carry(from, to, changed));
        }
        else
        {
            Carry(from, to, message);
        }
    }

    /// <summary>Called when a message arrives: whether it still gets through.</summary>
    public bool Arrives(int from, int to)
    {
        InFlight--;
        return _cuts[(from * Nodes) + to] == 0;
    }

    /// <summary>Sends a message as it is, whatever the strategy of its sender.</summary>
    public void Carry(int from, int to, byte[] message)
    {
        Sent++;
        if (_cuts[(from * Nodes) + to] > 0 || (!Healed && _random.PerMille(_options.LossPerMille)))
        {
            Lost++;
            return;
        }
        int copies = !Healed && _random.PerMille(_options.DuplicationPerMille) ? 2 : 1;
        for (int i = 0; i < copies; i++)
        {
            SimulationException.Require(++InFlight <= MaxInFlight, $"more than {MaxInFlight} messages under way");
            _events.Deliver(Delay(), from, to, MaybeCorrupt(message));
        }
    }

    private long Delay()
    {
        if (Healed)
        {
            return HealedDelayMicros;
        }
        long delay = _options.ShortestDelayMicros + _random.Below(_options.DelaySpreadMicros);
        return _random.PerMille(_options.StragglersPerMille) ? delay * 20 : delay;
    }

    private byte[] MaybeCorrupt(byte[] message)
    {
        if (Healed || !_random.PerMille(_options.CorruptionPerMille))
        {
            return message;
        }
        var corrupt = (byte[])message.Clone();
        corrupt[_random.Below(corrupt.Length)] ^= (byte)(1 << _random.Below(8));
        return corrupt;
    }
}
