using BfsCore;
using BfsSim.Byzantine;
using BfsSim.Checkers;
using BfsSim.Network;
using BfsSim.Nodes;

namespace BfsSim.Faults;

/// <summary>
/// What goes wrong and when, drawn from the seed: up to f replicas that are faulty for good, and, for any node, times when it
/// is cut off, parted from others, or its process is down. All but the first ends when the network heals.
/// </summary>
public sealed class FaultPlan(ClusterConfig config, SimOptions options, SimRandom random, EventQueue events, VirtualNetwork network,
    ReplicaNode[] replicas, AgreementChecker agreement, Tally tally) : IDisposable
{
    private const int LongestOutageMicros = 3_000_000;
    private const int LongestRebootMicros = 500_000;

    private readonly List<ReplicaNode> _copies = [];
    private Intruder? _intruder;
    private bool _healed;

    public void Draw()
    {
        DrawFaultyReplicas();
        for (int i = 0; i < options.Outages; i++)
        {
            DrawOutage();
        }
        for (int i = 0; i < options.Partitions; i++)
        {
            DrawPartition();
        }
        for (int i = 0; i < options.OneWayCuts; i++)
        {
            DrawOneWayCut();
        }
        for (int i = 0; i < options.Restarts; i++)
        {
            DrawRestart();
        }
        for (int i = 0; i < options.Recoveries; i++)
        {
            DrawRecovery();
        }
        if (options.Intrusions > 0)
        {
            _intruder = new Intruder(config, random.Fork(), events, network, replicas, agreement, tally, LiarAt, DrawStrategies);
            _intruder.Begin(options.Intrusions);
        }
    }

    /// <summary>The network is perfect from now on, and whoever is to come back does so now.</summary>
    public void Heal()
    {
        _healed = true;
        network.Heal();
        _intruder?.Stop();
        foreach (ReplicaNode replica in replicas)
        {
            if (replica.Crashed && options.Intrusions == 0 && !agreement.IsFaulty(new ReplicaId(replica.Address)))
            {
                replica.Restart();
            }
        }
    }

    private void DrawFaultyReplicas()
    {
        var candidates = Enumerable.Range(0, options.Replicas).ToList();
        for (int i = 0; i < options.FaultyReplicas; i++)
        {
            // The first primary more often than others: lies about the order are told by primaries.
            int replica = i == 0 && random.PerMille(400) ? 0 : candidates[random.Below(candidates.Count)];
            candidates.Remove(replica);
            if (random.PerMille(150))
            {
                // It stays correct, but the others cannot count on what it knew: it takes the place of a faulty one.
                At(random.Below(options.HealMicros), "restart without image", () => StopThenStart(replica, node => node.Disk.LoseImage()));
                continue;
            }
            agreement.MarkFaulty(new ReplicaId(replica));
            DrawFault(replica);
        }
    }

    private void DrawFault(int replica)
    {
        if (options.Liars is { } name)
        {
            At(0, "faulty: lies", () => network.SetStrategy(replica, StrategyLibrary.Create(name, LiarAt(replica))));
            return;
        }
        long start = random.PerMille(500) ? 0 : random.Below(options.HealMicros);
        switch (random.Below(10))
        {
            case 0:
                At(start, "faulty: stops", () => replicas[replica].Crash());
                break;
            case 1:
                At(start, "faulty: forgets everything", () => StopThenStart(replica, node => node.Disk.LoseAll()));
                break;
            case 2:
                At(start, "faulty: twins", () => Split(replica));
                break;
            default:
                At(start, "faulty: lies", () => network.SetStrategy(replica, DrawStrategies(LiarAt(replica))));
                break;
        }
    }

    private void Split(int replica)
    {
        ReplicaNode copy = replicas[replica].Twin(events, options);
        _copies.Add(copy);
        network.SetTwins(replica, new Twins(replicas[replica], copy, events, random.Fork()));
    }

    public void Dispose()
    {
        foreach (ReplicaNode copy in _copies)
        {
            copy.Dispose();
        }
    }

    private FaultyReplica LiarAt(int replica) => new(replicas[replica], config, events, random.Fork(), tally,
        (to, message) => network.Carry(replica, to, message));

    /// <summary>Up to three ways of lying together.</summary>
    private ISendStrategy DrawStrategies(FaultyReplica self)
    {
        ISendStrategy strategies = DrawStrategy(self);
        for (int more = random.Choose(0, 0, 1, 2); more > 0; more--)
        {
            ISendStrategy another = DrawStrategy(self);
            // One that flips bits comes last: the others understand what they change.
            strategies = another is Garbler ? new Chain(strategies, another) : new Chain(another, strategies);
        }
        return strategies;
    }

    private ISendStrategy DrawStrategy(FaultyReplica self)
    {
        ISendStrategy strategy = StrategyLibrary.ForReplicas[random.Below(StrategyLibrary.ForReplicas.Count)](self);
        tally.Add($"strategy: {strategy.GetType().Name}");
        return strategy;
    }

    /// <summary>How a faulty client behaves from the start.</summary>
    public void Corrupt(ClientNode client)
    {
        var self = new FaultyClient(client.Client, config.Format, random.Fork(), tally);
        ISendStrategy strategy = options.LyingClients is { } name ? StrategyLibrary.Create(name, self)
            : StrategyLibrary.ForClients[random.Below(StrategyLibrary.ForClients.Count)](self);
        tally.Add($"strategy: {strategy.GetType().Name}");
        network.SetStrategy(client.Address, strategy);
    }

    /// <summary>Does something at a time unless the network has healed by then.</summary>
    private void At(long micros, string name, Action action) => events.After(micros - events.NowMicros, () =>
    {
        if (!_healed)
        {
            tally.Add(name);
            action();
        }
    });

    private void During(string name, Action begin, Action end)
    {
        long start = random.Below(options.HealMicros);
        long length = random.Below(LongestOutageMicros);
        At(start, name, begin);
        events.After(start + length, () =>
        {
            if (!_healed)
            {
                end();
            }
        });
    }

    private void DrawOutage()
    {
        int replica = random.Below(options.Replicas);
        During("outage", () => network.CutOff(replica), () => network.Reconnect(replica));
    }

    /// <summary>Two groups of nodes; in half of the cases one of them still hears the other.</summary>
    private void DrawPartition()
    {
        ulong group = random.NextUInt64();
        bool oneWay = random.PerMille(500);
        During(oneWay ? "one-way partition" : "partition", () => ForPairs(network.Cut), () => ForPairs(network.Mend));

        void ForPairs(Action<int, int> change)
        {
            for (int from = 0; from < network.Nodes; from++)
            {
                for (int to = 0; to < network.Nodes; to++)
                {
                    bool inside = (group >> from & 1) != 0;
                    if (inside != ((group >> to & 1) != 0) && (inside || !oneWay))
                    {
                        change(from, to);
                    }
                }
            }
        }
    }

    private void DrawOneWayCut()
    {
        int from = random.Below(network.Nodes), to = random.Below(options.Replicas);
        (from, to) = random.PerMille(500) ? (from, to) : (to, from);
        During("one-way cut", () => network.Cut(from, to), () => network.Mend(from, to));
    }

    private void DrawRestart()
    {
        bool all = random.PerMille(options.MassRestartsPerMille);
        int one = random.Below(options.Replicas);
        long start = random.Below(options.HealMicros);
        At(start, all ? "restart of all" : "restart", () =>
        {
            for (int i = 0; i < options.Replicas; i++)
            {
                if ((all || i == one) && !agreement.IsFaulty(new ReplicaId(i)))
                {
                    StopThenStart(i, _ => { });
                }
            }
        });
    }

    /// <summary>A monitor restarts its replica, unless another one recovers or is known missing (pitfall 40).</summary>
    private void DrawRecovery()
    {
        int replica = random.Below(options.Replicas);
        At(random.Below(options.HealMicros), "recovery", () =>
        {
            ReplicaNode node = replicas[replica];
            if (agreement.IsFaulty(new ReplicaId(replica)) || Array.Exists(replicas, r => r.Crashed || r.IsRecovering))
            {
                return;
            }
            if (node.Replica.HandOver())
            {
                tally.Add("recovery of the primary");
            }
            node.Crash();
            events.After(random.Below(LongestRebootMicros), () =>
            {
                if (node.Crashed)
                {
                    node.Restart(recover: true);
                }
            });
        });
    }

    /// <summary>Ends a process; later it starts again with its files, unless something has happened to them.</summary>
    private void StopThenStart(int replica, Action<ReplicaNode> damage)
    {
        ReplicaNode node = replicas[replica];
        if (node.Crashed)
        {
            return;
        }
        node.Crash();
        damage(node);
        events.After(random.Below(LongestOutageMicros), () =>
        {
            if (node.Crashed)
            {
                node.Restart();
            }
        });
    }
}
