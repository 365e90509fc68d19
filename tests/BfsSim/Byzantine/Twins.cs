using BfsSim.Nodes;

namespace BfsSim.Byzantine;

/// <summary>
/// Two live copies of one replica, with the same identity and the same past; each talks to a part of the others, and the
/// parts change. Either of them is a correct process.
/// </summary>
public sealed class Twins
{
    private const int LongestWithoutChangeMicros = 2_000_000;

    private readonly ReplicaNode _first, _second;
    private readonly SimRandom _random;
    private readonly EventQueue _events;
    private ulong _group;

    public Twins(ReplicaNode first, ReplicaNode second, EventQueue events, SimRandom random)
    {
        (_first, _second, _events, _random) = (first, second, events, random);
        second.Crash();
        second.Disk.CopyFrom(first.Disk);
        Part();
        second.Restart();
    }

    /// <summary>Which of the two hears another node and is heard by it.</summary>
    public ReplicaNode For(int other) => (_group >> other & 1) == 0 ? _first : _second;

    private void Part()
    {
        _group = _random.NextUInt64();
        _events.After(1 + _random.Below(LongestWithoutChangeMicros), Part);
    }
}
