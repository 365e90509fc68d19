using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>View changes (§2.3.5, §3.2.4).</summary>
public sealed class ViewChangeTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static long Value(byte[]? result) => BitConverter.ToInt64(Assert.IsType<byte[]>(result));

    private static bool IsTag(byte[] message, MessageTag tag) =>
        MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;

    /// <summary>Invokes and lets time pass until there is a result.</summary>
    private static long Await(InMemoryCluster cluster, long maxMicros = 20_000_000)
    {
        long tag = cluster.Results[0].NextTag;
        cluster.Invoke(Add);
        for (long waited = 0; waited < maxMicros && !cluster.Results[0].Completed.ContainsKey(tag); waited += 20_000)
        {
            cluster.Pass(20_000);
        }
        return Value(cluster.Results[0].Completed.GetValueOrDefault(tag));
    }

    [Fact]
    public void A_dead_primary_is_replaced()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        for (int i = 1; i <= 5; i++)
        {
            Assert.Equal(i, Await(cluster));
        }
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        for (int i = 6; i <= 12; i++)
        {
            Assert.Equal(i, Await(cluster));
        }
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1, true, 1L), (r.View.Value, r.ViewActive, r.Counters.ViewChanges)));
    }

    [Fact]
    public void The_old_primary_comes_back_into_the_new_view()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        Assert.Equal(1, Await(cluster));
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        Assert.Equal(2, Await(cluster));
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(5_000_000);
        Assert.Equal(3, Await(cluster));
        cluster.Pass(2_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal((1, true), (r.View.Value, r.ViewActive)));
        Assert.All(cluster.Replicas, r => Assert.Equal(3, r.LastCommitted.Value));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(7)]
    public void Primaries_may_die_one_after_the_other(int n)
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }, n).Start();
        int dead = -1;
        cluster.Filter = (to, from, _) => to != dead && from != dead;
        int value = 0;
        for (int round = 0; round < n + 2; round++)
        {
            dead = (int)(cluster.Replicas.Max(r => r.View.Value) % n);
            for (int i = 0; i < 7; i++)
            {
                Assert.Equal(++value, Await(cluster, 60_000_000));
            }
            dead = -1;
            cluster.Pass(6_000_000);
        }
        Assert.Single(cluster.Replicas.Select(r => r.LastCommitted).Distinct());
        Assert.Single(cluster.Replicas.Select(r => r.View).Distinct());
    }

    [Fact]
    public void What_prepared_somewhere_is_proposed_again()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        Assert.Equal(1, Await(cluster));
        // The batch prepares at replica 1 alone, which executes it tentatively; then the primary dies.
        cluster.Filter = (to, _, m) => !(IsTag(m, MessageTag.Prepare) && to != 1) && !IsTag(m, MessageTag.Commit);
        cluster.Invoke(Add);
        Assert.Equal(2, cluster.Replicas[1].LastExecuted.Value);
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        cluster.Pass(10_000_000);
        Assert.Equal(2, Value(cluster.Results[0].Completed[2]));
        Assert.Equal(3, Await(cluster));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.Rollbacks));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.True(r.Counters.RequestsExecuted == 3));
    }

    [Fact]
    public void A_tentative_execution_that_the_new_view_does_not_know_is_undone()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        Assert.Equal(1, Await(cluster));
        cluster.Pass(10_000);
        // Prepared at replica 3 alone, which is then out of reach while the others go on without that batch.
        cluster.Filter = (to, _, m) => !(IsTag(m, MessageTag.Prepare) && to != 3) && !IsTag(m, MessageTag.Commit) && !IsTag(m, MessageTag.Reply);
        cluster.Clients[0].TryInvoke(Add, false, 100);
        cluster.Run();
        Assert.Equal(2, cluster.Replicas[3].LastExecuted.Value);
        cluster.Filter = (to, from, m) => to != 3 && from != 3 && !(from == 0 && IsTag(m, MessageTag.PrePrepare))
            && !IsTag(m, MessageTag.Prepare) && !(IsTag(m, MessageTag.Commit) || from == Limits.FirstClientId);
        cluster.Clients[1].TryInvoke([(byte)'a', 5, 0], false, 100);
        cluster.Pass(400_000);
        cluster.Filter = (to, from, m) => to != 3 && from != 3 && !(from == 0 && IsTag(m, MessageTag.PrePrepare)) && from != Limits.FirstClientId;
        cluster.Pass(10_000_000);
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(20_000_000);
        Assert.Equal(3, Await(cluster) - (cluster.Results[0].Completed.ContainsKey(100) ? 1 : 0));
        cluster.Pass(5_000_000);
        Assert.Single(cluster.Replicas.Select(r => r.LastCommitted).Distinct());
        Assert.All(cluster.Pages, p => Assert.Equal(cluster.Pages[0].CheckpointDigest(cluster.Pages[0].LastCheckpoint), p.CheckpointDigest(p.LastCheckpoint)));
    }

    [Fact]
    public void One_that_left_alone_is_followed_to_a_view_of_another_primary()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        Assert.Equal(1, Await(cluster));
        cluster.Replicas[1].LeaveView();
        cluster.Pass(1_000_000);
        Assert.Equal((false, true), (cluster.Replicas[1].ViewActive, cluster.Replicas[2].ViewActive));
        cluster.Pass(5_000_000);
        // Not view 1, which would be its own.
        Assert.All(cluster.Replicas, r => Assert.Equal((2, true), (r.View.Value, r.ViewActive)));
        Assert.Contains(cluster.Replicas, r => r.LastViewChangeReason == ViewChangeReason.AnotherLeft);
        Assert.Equal(2, Await(cluster));
    }

    [Fact]
    public void One_that_leaves_again_and_again_is_followed_seldom()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        for (int second = 0; second < 60; second++)
        {
            cluster.Replicas[3].LeaveView();
            cluster.Pass(1_000_000);
            Assert.Equal(second + 1, Await(cluster));
        }
        Assert.All(cluster.Replicas.Take(3), r => Assert.InRange(r.Counters.ViewChanges, 1, 3));
    }
}
