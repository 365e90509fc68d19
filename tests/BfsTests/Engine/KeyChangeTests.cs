using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>Session keys are changed every T_k, and with them goes what is not part of a complete certificate (§4.3.1).</summary>
public sealed class KeyChangeTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static InMemoryCluster NewCluster(int keyRefreshMillis) =>
        new InMemoryCluster(c => c with { KeyRefreshMillis = keyRefreshMillis }).Start();

    [Fact]
    public void They_change_every_period()
    {
        using InMemoryCluster cluster = NewCluster(10_000);
        cluster.Pass(45_000_000, 50_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(5, r.Counters.KeysChosen));
        Assert.NotNull(cluster.Invoke(Add));
    }

    [Fact]
    public void Work_goes_on_meanwhile()
    {
        using InMemoryCluster cluster = NewCluster(100);
        for (int i = 0; i < 300; i++)
        {
            long tag = cluster.Results[0].NextTag++;
            Assert.True(cluster.Clients[0].TryInvoke(Add, false, tag));
            for (int wait = 0; wait < 200 && !cluster.Results[0].Completed.ContainsKey(tag); wait++)
            {
                cluster.Pass(5_000, 1_000);
            }
            Assert.Equal((byte)(i + 1), cluster.Results[0].Completed[tag][0]);
        }
        Assert.All(cluster.Replicas, r => Assert.True(r.Counters.KeysChosen > 3));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.ViewChanges));
    }

    [Fact]
    public void Votes_under_old_keys_do_not_complete_a_certificate()
    {
        using InMemoryCluster cluster = NewCluster(10_000);
        Assert.NotNull(cluster.Invoke(Add));
        int heard = 1;
        cluster.Filter = (to, from, m) => to != 3 || from == heard || (MessageTag)m[0] is not (MessageTag.Commit or MessageTag.Committed);
        Assert.NotNull(cluster.Invoke(Add));
        cluster.Pass(1_000_000, 50_000);
        heard = -1;
        cluster.Pass(12_500_000, 50_000);
        Assert.Equal(2, cluster.Replicas[3].Counters.KeysChosen);
        // It had a commit of replica 1 and gets, under later keys, one of replica 2: with its own never three of one age.
        heard = 2;
        cluster.Pass(3_000_000, 50_000);
        Assert.Equal(1, cluster.Replicas[3].LastCommitted.Value);
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(3_000_000, 50_000);
        Assert.Equal(2, cluster.Replicas[3].LastCommitted.Value);
    }

    [Fact]
    public void A_client_that_was_idle_for_long_is_served_at_once()
    {
        using InMemoryCluster cluster = NewCluster(1_000);
        Assert.NotNull(cluster.Invoke(Add));
        cluster.Pass(60_000_000, 100_000);
        Assert.NotNull(cluster.Invoke(Add));
        Assert.Equal(0, cluster.Clients[0].Retransmissions);
    }

    [Fact]
    public void A_client_that_does_not_change_its_keys_has_to()
    {
        using InMemoryCluster cluster = NewCluster(1_000);
        RawClient client = new RawClient(cluster, 1).Start();
        client.Send(client.Request(0, 1, Add));
        cluster.Pass(2_000, 1_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.Counters.RequestsExecuted));
        cluster.Pass(10_000_000, 100_000);
        client.Send(client.Request(0, 2, Add));
        cluster.Pass(2_000, 1_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.Counters.RequestsExecuted));
        Assert.All(cluster.Replicas, r => Assert.True(r.Counters.Dropped(DropReason.BadMac) > 0));
    }

    [Fact]
    public void A_new_key_with_an_old_counter_is_refused()
    {
        using InMemoryCluster cluster = NewCluster(1_000);
        var sent = new List<byte[]>();
        cluster.Filter = (to, from, m) =>
        {
            if (to == 1 && from == 0 && (MessageTag)m[0] == MessageTag.NewKey)
            {
                sent.Add(m);
            }
            return true;
        };
        cluster.Pass(5_000_000, 100_000);
        Assert.True(sent.Count >= 3);
        long before = cluster.Replicas[1].Counters.Dropped(DropReason.StaleKey);
        sent.ForEach(m => cluster.Replicas[1].Step(m, new SourceAddress(1)));
        Assert.Equal(before + sent.Count, cluster.Replicas[1].Counters.Dropped(DropReason.StaleKey));
        Assert.NotNull(cluster.Invoke(Add));
    }
}
