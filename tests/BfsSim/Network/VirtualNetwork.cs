using BfsCore;

namespace BfsSim.Network;

/// <summary>
/// The network of §2.1: it loses, duplicates, delays, reorders and corrupts messages as the seed says, and may cut nodes
/// off; once healed it does none of that.
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
    private readonly int[] _cutOff;

    public VirtualNetwork(SimOptions options, SimRandom random, EventQueue events)
    {
        (_options, _random, _events) = (options, random, events);
        _strategies = new ISendStrategy?[options.Replicas + options.Clients];
        _cutOff = new int[_strategies.Length];
    }

    public bool Healed { get; set; }
    public int InFlight { get; private set; }
    public long Sent { get; private set; }
    public long Lost { get; private set; }

    /// <summary>The node at this address is faulty from now on; null makes it correct again.</summary>
    public void SetStrategy(int address, ISendStrategy? strategy) => _strategies[address] = strategy;

    /// <summary>Nothing goes to or from the address until as many calls of <see cref="Reconnect"/>.</summary>
    public void CutOff(int address) => _cutOff[address]++;

    public void Reconnect(int address) => _cutOff[address]--;

    public void Send(int from, int to, byte[] message)
    {
        SimulationException.Require(message.Length is > 0 and <= Limits.MaxMessageBytes,
            $"node {from} sent a message of {message.Length} bytes");
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
        return _cutOff[from] == 0 && _cutOff[to] == 0;
    }

    private void Carry(int from, int to, byte[] message)
    {
        Sent++;
        if (_cutOff[from] > 0 || _cutOff[to] > 0 || (!Healed && _random.PerMille(_options.LossPerMille)))
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
