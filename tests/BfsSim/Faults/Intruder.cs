using BfsCore;
using BfsCore.Crypto;
using BfsCore.Messages;
using BfsSim.Byzantine;
using BfsSim.Checkers;
using BfsSim.Network;
using BfsSim.Nodes;

namespace BfsSim.Faults;

/// <summary>
/// An attacker who owns one replica after the other, never more than one within a window of vulnerability (§4.3.3). While he has
/// it, it lies; he takes its session keys along, changes its memory and its files, and when its monitor has restarted it, he goes
/// on to forge messages of it with the keys that he took. Over a run more than f replicas are faulty.
/// </summary>
public sealed class Intruder(ClusterConfig config, SimRandom random, EventQueue events, VirtualNetwork network, ReplicaNode[] replicas,
    AgreementChecker agreement, Tally tally, Func<int, FaultyReplica> liar, Func<FaultyReplica, ISendStrategy> strategies)
{
    private const int LongestStayMicros = 1_500_000;
    private const int LongestRebootMicros = 300_000;
    private const int PollMicros = 20_000;
    private const int LongestBetweenForgeriesMicros = 100_000;

    private int _left;
    private bool _healed;
    private int _owned = -1;
    private FaultyReplica? _liar;

    /// <summary>Begins so many intrusions, one after the other.</summary>
    public void Begin(int intrusions)
    {
        _left = intrusions;
        events.After(random.Below(LongestStayMicros), Intrude);
    }

    /// <summary>No more of it; the replica that is owned recovers.</summary>
    public void Stop()
    {
        _healed = true;
        _left = 0;
        if (_owned >= 0)
        {
            Restart(_owned);
        }
    }

    private void Intrude()
    {
        if (_left == 0)
        {
            return;
        }
        _left--;
        int replica = random.Below(replicas.Length);
        _owned = replica;
        agreement.MarkFaulty(new ReplicaId(replica));
        _liar = liar(replica);
        network.SetStrategy(replica, strategies(_liar));
        tally.Add("intrusion");
        events.After(random.Below(LongestStayMicros), () => Restart(replica));
    }

    /// <summary>The watchdog goes off: the monitor ends the process and starts right code on whatever it finds.</summary>
    private void Restart(int replica)
    {
        if (_owned != replica)
        {
            return;
        }
        _owned = -1;
        ReplicaNode node = replicas[replica];
        ReplicaKeys stolen = node.Replica.Keys;
        _liar!.Lose();
        network.SetStrategy(replica, null);
        if (random.PerMille(300))
        {
            _ = node.Replica.HandOver();
        }
        node.Crash();
        Damage(node);
        events.After(random.Below(LongestRebootMicros), () =>
        {
            node.Restart(recover: true);
            AwaitRecovery(node);
            Forge(node, stolen);
        });
    }

    private void Damage(ReplicaNode node)
    {
        switch (random.Below(6))
        {
            case 0:
                tally.Add("intrusion: image lost");
                node.Disk.LoseImage();
                break;
            case 1:
                tally.Add("intrusion: everything lost");
                node.Disk.LoseAll();
                break;
            case 2:
                tally.Add("intrusion: view from far away");
                node.Disk.Counters.SaveView(new View(random.Below(1_000_000)));
                break;
            case 3 or 4:
                tally.Add("intrusion: image changed");
                node.Disk.Corrupt(random);
                break;
            default:
                break;
        }
    }

    /// <summary>When it has recovered it counts as correct; the next replica falls a window of vulnerability later.</summary>
    private void AwaitRecovery(ReplicaNode node)
    {
        if (node.IsRecovering)
        {
            events.After(PollMicros, () => AwaitRecovery(node));
            return;
        }
        tally.Add("intrusion: recovered from");
        agreement.MarkCorrect(new ReplicaId(node.Address), node);
        if (!_healed)
        {
            events.After((2 * config.KeyRefreshMillis * 1_000L) + random.Below(LongestStayMicros), Intrude);
        }
    }

    /// <summary>Messages in the replica's name, under keys that it had while it was owned.</summary>
    private void Forge(ReplicaNode node, ReplicaKeys stolen)
    {
        if (_healed)
        {
            return;
        }
        byte[] message = DrawForgery(node, stolen);
        for (int to = 0; to < config.N; to++)
        {
            if (to != node.Address)
            {
                network.Carry(node.Address, to, (byte[])message.Clone());
            }
        }
        tally.Add("forged messages");
        events.After(1 + random.Below(LongestBetweenForgeriesMicros), () => Forge(node, stolen));
    }

    private byte[] DrawForgery(ReplicaNode node, ReplicaKeys stolen)
    {
        var self = new ReplicaId(node.Address);
        View view = node.Replica.View;
        SeqNum seq = node.Replica.LastExecuted + random.Between(-4, 8);
        seq = seq.Value < 1 ? new SeqNum(1) : seq;
        byte[] buffer = new byte[4096];
        (int size, int header) = random.Below(5) switch
        {
            0 => (Vote.Write(buffer, MessageTag.Prepare, config.Format, view, seq, RandomDigest(), self), Vote.HeaderBytes),
            1 => (Vote.Write(buffer, MessageTag.Commit, config.Format, view, seq, RandomDigest(), self), Vote.HeaderBytes),
            2 => (Vote.Write(buffer, MessageTag.Committed, config.Format, view, seq, RandomDigest(), self), Vote.HeaderBytes),
            3 => (Checkpoint.Write(buffer, config.Format, NextCheckpoint(seq), RandomDigest(), self), Checkpoint.HeaderBytes),
            _ => (ViewChange.SizeFor(0, 0, 0, config.Format), ViewChange.HeaderBytes),
        };
        if (header == ViewChange.HeaderBytes && size == ViewChange.SizeFor(0, 0, 0, config.Format))
        {
            ViewChange.Write(buffer.AsSpan(0, size), config.Format, view.Next, node.Replica.StableCheckpoint, self, [], [], []);
        }
        stolen.Authenticate(buffer.AsSpan(0, header), buffer.AsSpan(size - config.Format.AuthenticatorBytes, config.Format.AuthenticatorBytes));
        return buffer[..size];
    }

    private SeqNum NextCheckpoint(SeqNum seq) => new(((seq.Value / config.CheckpointPeriod) + 1) * config.CheckpointPeriod);

    private Digest RandomDigest()
    {
        Span<byte> bytes = stackalloc byte[Digest.SizeBytes];
        ((IEntropy)random).Fill(bytes);
        return Digest.Read(bytes);
    }
}
