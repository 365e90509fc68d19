using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>The end of a process makes a replica forget nothing that others count on (pitfall 33).</summary>
public sealed class VoteLogTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static InMemoryCluster NewCluster(int period = 128) =>
        new InMemoryCluster(c => c with { CheckpointPeriod = period, LogSize = 2 * period }).Start();

    private static void Invoke(InMemoryCluster cluster, int times)
    {
        for (int i = 0; i < times; i++)
        {
            Assert.NotNull(cluster.Invoke(Add));
        }
    }

    /// <summary>Keys have to be agreed on anew before the operation comes through.</summary>
    private static long InvokeAfterRestart(InMemoryCluster cluster, int client = 0)
    {
        long tag = cluster.Results[client].NextTag;
        _ = cluster.Invoke(Add, client: client);
        cluster.Pass(5_000_000);
        return BitConverter.ToInt64(cluster.Results[client].Completed[tag]);
    }

    [Fact]
    public void What_committed_is_executed_again()
    {
        using InMemoryCluster cluster = NewCluster();
        byte[] large = new byte[3000];
        Add.CopyTo(large, 0);
        Invoke(cluster, 5);
        Assert.NotNull(cluster.Invoke(large));
        cluster.Restart(1);
        Assert.Equal(6, cluster.Replicas[1].LastCommitted.Value);
        Assert.Equal(0, cluster.Replicas[1].Counters.StateTransfers);
        cluster.Pass(100_000);
        Invoke(cluster, 5);
        Assert.Equal(11, cluster.Replicas[1].LastCommitted.Value);
    }

    [Fact]
    public void All_replicas_may_end_at_once()
    {
        using InMemoryCluster cluster = NewCluster(period: 8);
        Invoke(cluster, 30);
        for (int i = 0; i < 4; i++)
        {
            cluster.Restart(i);
        }
        Assert.Equal(31, InvokeAfterRestart(cluster));
        Assert.All(cluster.Replicas, r => Assert.Equal(31, r.LastCommitted.Value));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.StateTransfers));
        Assert.All(cluster.Replicas, r => Assert.Equal(24, r.StableCheckpoint.Value));
    }

    [Fact]
    public void A_prepared_batch_is_named_in_the_view_change_of_the_next_life()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 1);
        // Everybody prepares batch 2 and nobody hears a commit.
        cluster.Filter = (_, _, m) => m[0] != (byte)MessageTag.Commit;
        cluster.Settle = false;
        _ = cluster.Invoke(Add);
        for (int i = 0; i < 4; i++)
        {
            cluster.Restart(i);
        }
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        Assert.Equal(3, InvokeAfterRestart(cluster, client: 1));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.True(r.View.Value > 0));
    }

    [Fact]
    public void The_view_and_how_it_came_about_survive()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 1);
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        _ = cluster.Invoke(Add);
        cluster.Pass(3_000_000);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal(1, r.View.Value));
        for (int i = 1; i < 4; i++)
        {
            cluster.Restart(i);
            Assert.Equal(1, cluster.Replicas[i].View.Value);
            Assert.True(cluster.Replicas[i].ViewActive);
        }
        // The old primary learns of the view from those who were restarted in it.
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(3_000_000);
        Assert.Equal(1, cluster.Replicas[0].View.Value);
        Assert.True(cluster.Replicas[0].ViewActive);
        Assert.Equal(3, InvokeAfterRestart(cluster, client: 1));
    }

    [Fact]
    public void A_log_that_begins_above_the_state_keeps_its_replica_out_until_the_state_is_there()
    {
        using InMemoryCluster cluster = NewCluster(period: 8);
        Invoke(cluster, 20);
        cluster.Replicas[3].RestartLog();
        cluster.Restart(3);
        Assert.Equal(0, cluster.Replicas[3].LastCommitted.Value);
        int votes = 0;
        cluster.Filter = (_, from, m) =>
        {
            votes += from == 3 && m[0] == (byte)MessageTag.Prepare && BitConverter.ToInt64(m, 16) <= 16 ? 1 : 0;
            return true;
        };
        cluster.Pass(3_000_000);
        Invoke(cluster, 1);
        Assert.Equal(0, votes);
        Assert.Equal(21, cluster.Replicas[3].LastCommitted.Value);
    }

    [Fact]
    public void A_saved_image_shortens_the_log()
    {
        using InMemoryCluster cluster = NewCluster(period: 8);
        Invoke(cluster, 20);
        Replica replica = cluster.Replicas[2];
        Assert.Equal(16, replica.StableCheckpoint.Value);
        long before = cluster.Logs[2].Bytes;
        replica.RestartLog();
        Assert.InRange(cluster.Logs[2].Bytes, 1, before / 2);
    }
}
