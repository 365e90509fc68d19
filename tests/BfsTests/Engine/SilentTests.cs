using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsSim.Nodes;

namespace BfsTests.Engine;

/// <summary>A replica that may have forgotten its votes contradicts none of them (§4.3.2, pitfall 33).</summary>
public sealed class SilentTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static InMemoryCluster NewCluster(int n = 4) =>
        new InMemoryCluster(c => c with { CheckpointPeriod = 8, LogSize = 16 }, n).Start();

    private static void Invoke(InMemoryCluster cluster, int times)
    {
        for (int i = 0; i < times; i++)
        {
            Assert.NotNull(cluster.Invoke(Add));
        }
    }

    private static bool IsVote(byte[] message) => (MessageTag)message[0] is MessageTag.PrePrepare or MessageTag.Prepare
        or MessageTag.Commit or MessageTag.ViewChange or MessageTag.ViewChangeAck or MessageTag.NewView;

    private static void LoseEverything(InMemoryCluster cluster, int replica)
    {
        cluster.Logs[replica] = new MemoryVoteLog();
        cluster.Restart(replica, silently: true);
    }

    [Fact]
    public void It_votes_again_above_everything_it_can_have_voted_for()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 20);
        var voted = new List<long>();
        cluster.Filter = (_, from, m) =>
        {
            if (from == 3 && (MessageTag)m[0] is MessageTag.Prepare or MessageTag.Commit)
            {
                voted.Add(BitConverter.ToInt64(m, 16));
            }
            return true;
        };
        LoseEverything(cluster, 3);
        cluster.Pass(3_000_000);
        Assert.True(cluster.Replicas[3].IsSilent);
        Invoke(cluster, 3);
        Assert.Equal(23, cluster.Replicas[3].LastCommitted.Value);
        Assert.Empty(voted);
        // It knew a stable checkpoint of at most 16, so it voted for nothing above 32.
        Invoke(cluster, 17);
        Assert.False(cluster.Replicas[3].IsSilent);
        Assert.Equal(40, cluster.Replicas[3].StableCheckpoint.Value);
        Assert.All(voted, seq => Assert.True(seq > 32));
        Assert.NotEmpty(voted);
    }

    [Fact]
    public void Silence_outlives_another_restart()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 20);
        LoseEverything(cluster, 3);
        cluster.Pass(1_000_000);
        cluster.Restart(3);
        Assert.True(cluster.Replicas[3].IsSilent);
        int votes = 0;
        cluster.Filter = (_, from, m) =>
        {
            votes += from == 3 && IsVote(m) ? 1 : 0;
            return true;
        };
        cluster.Pass(1_000_000);
        Invoke(cluster, 2);
        Assert.Equal(0, votes);
    }

    [Theory]
    [InlineData(1_000_000)]
    [InlineData(0)]
    public void Silence_outlives_a_log_that_begins_anew(long knownMicros)
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 20);
        LoseEverything(cluster, 3);
        cluster.Pass(knownMicros);
        // The host saved an image; then the process ends again.
        cluster.Replicas[3].RestartLog();
        cluster.Restart(3);
        Assert.True(cluster.Replicas[3].IsSilent);
    }

    [Fact]
    public void A_silent_replica_follows_a_view_change_without_taking_part()
    {
        using InMemoryCluster cluster = NewCluster(n: 7);
        Invoke(cluster, 5);
        LoseEverything(cluster, 3);
        cluster.Pass(1_000_000);
        int votes = 0;
        cluster.Filter = (to, from, m) =>
        {
            votes += from == 3 && IsVote(m) ? 1 : 0;
            return to != 0 && from != 0;
        };
        long tag = cluster.Results[0].NextTag;
        _ = cluster.Invoke(Add);
        cluster.Pass(5_000_000);
        Assert.Equal(6, BitConverter.ToInt64(cluster.Results[0].Completed[tag]));
        Assert.Equal((1, true), (cluster.Replicas[3].View.Value, cluster.Replicas[3].ViewActive));
        Assert.Equal(0, votes);
    }

    [Fact]
    public void When_more_than_f_have_forgotten_they_go_on_with_what_they_have()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 20);
        for (int i = 0; i < 4; i++)
        {
            cluster.Restart(i, silently: true);
        }
        long tag = cluster.Results[0].NextTag;
        _ = cluster.Invoke(Add);
        cluster.Pass(5_000_000);
        Assert.Equal(21, BitConverter.ToInt64(cluster.Results[0].Completed[tag]));
        Assert.All(cluster.Replicas, r => Assert.False(r.IsSilent));
    }

    [Fact]
    public void A_log_that_lost_a_view_change_is_noticed()
    {
        using InMemoryCluster cluster = NewCluster();
        Invoke(cluster, 1);
        cluster.Stores[2].SaveView(new View(1));
        cluster.Restart(2);
        Assert.True(cluster.Replicas[2].IsSilent);
        Assert.Equal((1, false), (cluster.Replicas[2].View.Value, cluster.Replicas[2].ViewActive));
    }

    [Fact]
    public void The_bound_is_above_every_stable_checkpoint_of_before_whatever_f_liars_say()
    {
        // Others 1 to 3 of n = 4; the stable checkpoint of before was 16, so two of them have it or a later one.
        foreach ((int lie, int liesPrepared) in new[] { (0, 0), (8, 90), (1000, 1000), (24, 24) })
        {
            var estimate = new StableEstimate(4, 1, new ReplicaId(0));
            estimate.Add(new ReplicaId(1), new SeqNum(16), new SeqNum(25), default, silent: false);
            Assert.False(estimate.TryFind(out _));
            estimate.Add(new ReplicaId(2), new SeqNum(24), new SeqNum(25), default, silent: false);
            Assert.False(estimate.TryFind(out _));
            estimate.Add(new ReplicaId(3), new SeqNum(lie), new SeqNum(liesPrepared), default, silent: true);
            Assert.False(estimate.IsPointless);
            // One that answers for nobody can only keep this replica silent: with it, that is all of f.
            Assert.Equal(lie != 1000, estimate.TryFind(out SeqNum bound));
            Assert.True(lie == 1000 || bound.Value is >= 16 and <= 24);
        }
    }
}
