using BfsCore;
using BfsCore.Crypto;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;
using BfsSim.Nodes;

namespace BfsTests.Engine;

/// <summary>Proactive recovery (§4.3.2, pitfalls 39 to 42).</summary>
public sealed class RecoveryTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static InMemoryCluster NewCluster(int n = 4) =>
        new InMemoryCluster(c => c with { CheckpointPeriod = 8, LogSize = 16, KeyRefreshMillis = 0 }, n).Start();

    private static void Invoke(InMemoryCluster cluster, int times)
    {
        for (int i = 0; i < times; i++)
        {
            _ = Invoke(cluster);
        }
    }

    /// <summary>It may take the time of a retransmission.</summary>
    private static byte[] Invoke(InMemoryCluster cluster)
    {
        long tag = cluster.Results[0].NextTag;
        _ = cluster.Invoke(Add);
        for (int wait = 0; wait < 300 && !cluster.Results[0].Completed.ContainsKey(tag); wait++)
        {
            cluster.Pass(10_000);
        }
        return cluster.Results[0].Completed[tag];
    }

    private static void AssertRecovered(InMemoryCluster cluster, int replica)
    {
        RecoveryReport report = cluster.Replicas[replica].Recovery;
        Assert.Equal(RecoveryPhase.Recovered, report.Phase);
        Assert.True(report.Point >= report.Bound && report.Point > report.RequestSeq && report.RequestSeq.Value > 0);
        Assert.True(cluster.Replicas[replica].StableCheckpoint >= report.Point);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(7)]
    public void It_ends_though_no_client_does_anything(int n)
    {
        using InMemoryCluster cluster = NewCluster(n);
        Invoke(cluster, 20);
        long[] chosen = [.. cluster.Replicas.Select(r => r.Counters.KeysChosen)];
        cluster.Restart(2, recover: true);
        cluster.Pass(1_000_000);
        AssertRecovered(cluster, 2);
        RecoveryReport report = cluster.Replicas[2].Recovery;
        // c_M is the checkpoint at 16, the request comes after the 20 batches of the clients: H_M = 32, H_R = 16 + 16.
        Assert.Equal((32, 21, 32), (report.Bound.Value, report.RequestSeq.Value, report.Point.Value));
        Assert.All(cluster.Replicas, r => Assert.Equal((1, 0), (r.Counters.RecoveriesExecuted, r.Counters.ViewChanges)));
        Assert.All(Enumerable.Range(0, n).Where(i => i != 2), i => Assert.Equal(chosen[i] + 1, cluster.Replicas[i].Counters.KeysChosen));
        Assert.Equal(1, cluster.Replicas[2].Counters.KeysChosen);
        Assert.Single(cluster.Replicas.Select(r => (r.StableCheckpoint, r.StableDigest)).Distinct());
        Invoke(cluster, 20);
        Assert.Single(cluster.Replicas.Select(r => r.LastCommitted).Distinct());
    }

    [Fact]
    public void A_primary_costs_one_view_change_and_no_timeout()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 3);
        Assert.True(cluster.Replicas[0].HandOver());
        cluster.Run();
        cluster.Restart(0, recover: true);
        cluster.Pass(1_000_000);
        AssertRecovered(cluster, 0);
        Invoke(cluster, 3);
        Assert.All(cluster.Replicas, r => Assert.Equal(new View(1), r.View));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1, ViewChangeReason.PrimaryLeft), (r.Counters.ViewChanges, r.LastViewChangeReason)));
    }

    [Fact]
    public void A_backup_does_not_hand_over_and_its_leaving_moves_nobody()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 1);
        Assert.False(cluster.Replicas[2].HandOver());
        cluster.Replicas[2].LeaveView();
        cluster.Run();
        Assert.All(new[] { 0, 1, 3 }, i => Assert.Equal(default, cluster.Replicas[i].View));
    }

    [Fact]
    public void It_ends_while_another_is_mute()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 20);
        cluster.Filter = (to, from, _) => to != 3 && from != 3;
        cluster.Restart(2, recover: true);
        cluster.Pass(2_000_000);
        AssertRecovered(cluster, 2);
        Invoke(cluster, 3);
    }

    [Fact]
    public void All_may_recover_one_after_the_other()
    {
        using InMemoryCluster cluster = NewCluster();
        for (int i = 0; i < 8; i++)
        {
            int replica = i % 4;
            Invoke(cluster, 3);
            _ = cluster.Replicas[replica].HandOver();
            cluster.Run();
            cluster.Restart(replica, recover: true);
            Invoke(cluster, 3);
            cluster.Pass(3_000_000);
            AssertRecovered(cluster, replica);
        }
        Assert.Equal((byte)48, Invoke(cluster)[0] - 1);
    }

    [Fact]
    public void Keys_that_were_stolen_are_of_no_use_afterwards()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 3);
        ReplicaKeys stolen = cluster.Replicas[2].Keys;
        byte[] forged = new byte[Checkpoint.SizeFor(MessageFormat.Macs(4))];
        long Refused() => cluster.Replicas[1].Counters.Dropped(DropReason.BadMac);

        void Forge(int checkpoint)
        {
            _ = Checkpoint.Write(forged, MessageFormat.Macs(4), new SeqNum(checkpoint), default, new ReplicaId(2));
            stolen.Authenticate(forged.AsSpan(0, Checkpoint.HeaderBytes), forged.AsSpan(Checkpoint.HeaderBytes));
            cluster.Replicas[1].Step(forged, default);
        }

        Forge(8);
        Assert.Equal(0, Refused());
        cluster.Restart(2, recover: true);
        cluster.Pass(1_000_000);
        AssertRecovered(cluster, 2);
        long before = Refused();
        Forge(400);
        Assert.Equal(before + 1, Refused());
    }

    [Fact]
    public void State_that_reflects_a_recovery_changes_the_keys_too()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 3);
        cluster.Filter = (to, from, _) => to != 3 && from != 3;
        cluster.Restart(2, recover: true);
        cluster.Pass(1_000_000);
        Invoke(cluster, 40);
        long before = cluster.Replicas[3].Counters.KeysChosen;
        Assert.Equal(0, cluster.Replicas[3].Counters.RecoveriesExecuted);
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(2_000_000);
        Assert.Equal((0, before + 1), (cluster.Replicas[3].Counters.RecoveriesExecuted, cluster.Replicas[3].Counters.KeysChosen));
        Assert.True(cluster.Replicas[3].Counters.StateTransfers > 0);
    }

    [Fact]
    public void A_key_of_a_client_that_may_be_known_to_others_is_not_taken_back()
    {
        using InMemoryCluster cluster = NewCluster();
        var newKeys = new List<byte[]>();
        cluster.Filter = (to, from, m) =>
        {
            if (to == 2 && from == Limits.FirstClientId && (MessageTag)m[0] == MessageTag.NewKey)
            {
                newKeys.Add(m);
            }
            return true;
        };
        Invoke(cluster, 3);
        byte[] first = cluster.Clients[0].LastNewKey.ToArray();
        cluster.Restart(2, recover: true);
        cluster.Replicas[2].Step(first, new SourceAddress(Limits.FirstClientId + 1));
        Assert.Equal(1, cluster.Replicas[2].Counters.Dropped(DropReason.StaleKey));
        cluster.Pass(3_000_000);
        AssertRecovered(cluster, 2);
        // It asks for a new one, and then counts in this client's certificates again.
        cluster.Filter = (to, from, m) => (to != 3 && from != 3) && (to != 2 || (MessageTag)m[0] != MessageTag.NewKey || Note(m));
        bool Note(byte[] m)
        {
            newKeys.Add(m);
            return true;
        }

        long tag = cluster.Results[0].NextTag++;
        Assert.True(cluster.Clients[0].TryInvoke(Add, false, tag));
        cluster.Pass(3_000_000);
        Assert.True(cluster.Results[0].Completed.ContainsKey(tag));
        Assert.Contains(newKeys, m => !m.AsSpan().SequenceEqual(first));
    }

    [Fact]
    public void Requests_for_it_are_served_at_a_limited_rate()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 3);
        cluster.Restart(2, recover: true);
        cluster.Pass(500_000);
        AssertRecovered(cluster, 2);
        cluster.Restart(2, recover: true);
        cluster.Pass(500_000);
        Assert.Equal(RecoveryPhase.Request, cluster.Replicas[2].Recovery.Phase);
        Assert.Equal(1, cluster.Replicas[0].Counters.RecoveriesExecuted);
        cluster.Pass(2_000_000);
        AssertRecovered(cluster, 2);
        Assert.Equal(2, cluster.Replicas[0].Counters.RecoveriesExecuted);
    }

    [Fact]
    public void A_view_that_an_attacker_left_is_given_up()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 3);
        cluster.Logs[2] = new MemoryVoteLog();
        cluster.Stores[2].SaveView(new View(1_000_000));
        cluster.Restart(2, recover: true);
        cluster.Pass(3_000_000);
        AssertRecovered(cluster, 2);
        Assert.Equal((1_000_000, 0), (cluster.Replicas[2].Recovery.ViewBefore.Value, cluster.Replicas[2].View.Value));
        Invoke(cluster, 20);
        Assert.True(cluster.Replicas[2].ViewActive);
        Assert.False(cluster.Replicas[2].IsSilent);
        cluster.Filter = (to, from, _) => to != 3 && from != 3;
        Invoke(cluster, 3);
    }

    [Fact]
    public void A_state_that_claims_to_be_ahead_of_all_is_fetched_anew()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 20);
        var image = new PagedState(Replica.StateBytes(cluster.Config));
        image.Window(0, 4096).Modify(4000, 8)[0] = 66;
        image.TakeCheckpoint(new SeqNum(8_000));
        image.DiscardBefore(new SeqNum(8_000));
        cluster.Logs[2] = new MemoryVoteLog();
        int distrusted = 0;
        cluster.Restart(2, image, recover: true);
        cluster.Replicas[2].StateDistrusted = () => distrusted++;
        cluster.Pass(3_000_000);
        AssertRecovered(cluster, 2);
        Assert.Equal(1, distrusted);
        Assert.Single(cluster.Replicas.Select(r => (r.StableCheckpoint, r.StableDigest)).Distinct());
    }

    [Fact]
    public void One_that_takes_too_long_is_noticed_by_the_others()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with
        {
            CheckpointPeriod = 8,
            LogSize = 16,
            KeyRefreshMillis = 0,
            RecoveryAlarmSeconds = 5,
        }).Start();
        Invoke(cluster, 3);
        // Everything but the last checkpoint comes about.
        cluster.Filter = (_, _, m) => (MessageTag)m[0] != MessageTag.Checkpoint;
        cluster.Restart(2, recover: true);
        cluster.Pass(4_000_000);
        Assert.Equal(0UL, cluster.Replicas[0].SlowRecoveries);
        cluster.Pass(2_000_000);
        Assert.Equal(0b100UL, cluster.Replicas[0].SlowRecoveries);
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(2_000_000);
        Assert.Equal(0UL, cluster.Replicas[0].SlowRecoveries);
        AssertRecovered(cluster, 2);
    }
}
