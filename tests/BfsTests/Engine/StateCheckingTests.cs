using System.Runtime.InteropServices;
using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;
using BfsSim.Nodes;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsTests.Engine;

/// <summary>A replica that starts from damaged or old files checks them and fetches what differs (§5.3.3).</summary>
public sealed class StateCheckingTests
{
    private const int Period = 4;

    /// <summary>A cluster whose service has filled many pages, at checkpoint 40.</summary>
    internal static InMemoryCluster NewCluster()
    {
        InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = Period, LogSize = 2 * Period },
            service: _ => new FillingService()).Start();
        for (int i = 0; i < 40; i++)
        {
            Assert.NotNull(cluster.Invoke([(byte)'f', (byte)i]));
        }
        Assert.All(cluster.Replicas, r => Assert.Equal(40, r.StableCheckpoint.Value));
        return cluster;
    }

    /// <summary>What <see cref="BfsCore.Hosting.Storage.StateFile"/> makes of an image that is not what it should be.</summary>
    private static PagedState Damaged(PagedState from, Action<byte[]> damage)
    {
        byte[] content = from.Read(0, (int)from.SizeBytes).ToArray();
        damage(content);
        PagedState image = Loaded(content, 0);
        image.Distrust();
        return image;
    }

    private static PagedState Loaded(byte[] content, long checkpoint)
    {
        var image = new PagedState(content.Length);
        content.CopyTo(Memory(image));
        image.HashImagePages(0, image.PageCount);
        image.FinishImage(new SeqNum(checkpoint));
        return image;
    }

    /// <summary>Memory that changes without anybody noticing.</summary>
    internal static Span<byte> Memory(PagedState state) =>
        MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(state.Read(0, (int)state.SizeBytes)), (int)state.SizeBytes);

    private static void FlipBits(byte[] content, int seed, int count)
    {
        var random = new Random(seed);
        for (int i = 0; i < count; i++)
        {
            content[random.Next(content.Length)] ^= (byte)(1 << random.Next(8));
        }
    }

    private static long PagesThatDiffer(PagedState a, PagedState b) =>
        Enumerable.Range(0, (int)a.PageCount).Count(p => !a.Read(p * 4096L, 4096).SequenceEqual(b.Read(p * 4096L, 4096)));

    internal static void AssertWhole(InMemoryCluster cluster, int replica)
    {
        Assert.True(cluster.Replicas[replica].StateIsWhole);
        Assert.Equal(cluster.Replicas[0].LastCommitted, cluster.Replicas[replica].LastCommitted);
        Assert.Equal(0, PagesThatDiffer(cluster.Pages[0], cluster.Pages[replica]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    [InlineData(1000)]
    public void A_damaged_image_is_repaired_by_fetching_the_pages_that_differ(int bits)
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Replicas[2].RestartLog();
        PagedState image = Damaged(cluster.Pages[2], content => FlipBits(content, bits, bits));
        long differ = PagesThatDiffer(cluster.Pages[0], image);
        cluster.Restart(2, image);
        Assert.False(cluster.Replicas[2].StateIsWhole);
        cluster.Pass(1_000_000);
        AssertWhole(cluster, 2);
        ReplicaCounters counters = cluster.Replicas[2].Counters;
        Assert.Equal(differ, counters.PagesFetched + counters.PagesCleared);
        Assert.Equal(1, counters.StateTransfers);
        Assert.NotNull(cluster.Invoke([(byte)'f', 50]));
        AssertWhole(cluster, 2);
    }

    [Fact]
    public void A_whole_image_whose_description_was_lost_is_checked_and_nothing_is_fetched()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Replicas[2].RestartLog();
        cluster.Restart(2, Damaged(cluster.Pages[2], _ => { }));
        cluster.Pass(1_000_000);
        AssertWhole(cluster, 2);
        Assert.Equal(1, cluster.Replicas[2].Counters.StateTransfers);
        Assert.Equal(0, cluster.Replicas[2].Counters.PagesFetched);
    }

    [Fact]
    public void Without_a_log_a_damaged_replica_rejoins_too()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Logs[2] = new MemoryVoteLog();
        cluster.Restart(2, Damaged(cluster.Pages[2], content => FlipBits(content, 7, 1000)));
        cluster.Pass(1_000_000);
        AssertWhole(cluster, 2);
    }

    [Fact]
    public void A_deleted_state_and_log_are_fetched_though_nobody_asks_for_anything()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Logs[2] = new MemoryVoteLog();
        cluster.Restart(2);
        cluster.Pass(3_000_000);
        AssertWhole(cluster, 2);
        Assert.Equal(1, cluster.Replicas[2].Counters.StateTransfers);
    }

    [Fact]
    public void A_stale_image_is_brought_up_to_date()
    {
        using InMemoryCluster cluster = NewCluster();
        byte[] old = cluster.Pages[2].Read(0, (int)cluster.Pages[2].SizeBytes).ToArray();
        for (int i = 0; i < 30; i++)
        {
            Assert.NotNull(cluster.Invoke([(byte)'f', (byte)(60 + i)]));
        }
        cluster.Replicas[2].RestartLog();
        Assert.Equal(68, cluster.Replicas[2].StableCheckpoint.Value);
        cluster.Restart(2, Loaded(old, 40));
        cluster.Pass(1_000_000);
        AssertWhole(cluster, 2);
        // Those that 28 operations filled, the reply's record, the table's header.
        Assert.Equal(30, cluster.Replicas[2].Counters.PagesFetched);
    }

    /// <summary>Pitfall 33: the log of votes is taken up although the state lies far below it.</summary>
    [Fact]
    public void Votes_above_a_lost_state_are_not_forgotten()
    {
        using InMemoryCluster cluster = NewCluster();
        Assert.NotNull(cluster.Invoke([(byte)'f', 70]));
        cluster.Replicas[2].RestartLog();
        cluster.Restart(2);
        // A second restart finds what the first one wrote down when it began its log anew.
        cluster.Replicas[2].RestartLog();
        cluster.Restart(2);
        var prepared = new List<long>();
        cluster.Filter = (_, from, m) =>
        {
            if (from == 2 && m[0] == (byte)MessageTag.ViewChange
                && ViewChange.TryParse(m, cluster.Config, out ViewChange message))
            {
                Assert.Equal(40, message.StableCheckpoint.Value);
                prepared.Add(message.Prepared(0).Seq.Value);
            }
            return from != 0;
        };
        _ = cluster.Invoke([(byte)'f', 71]);
        cluster.Pass(4_000_000);
        Assert.Contains(41, prepared);
    }

    [Fact]
    public void A_damaged_image_of_a_young_cluster_is_blank_again_and_the_log_brings_the_rest()
    {
        using InMemoryCluster cluster = new InMemoryCluster(service: _ => new FillingService()).Start();
        for (int i = 0; i < 10; i++)
        {
            Assert.NotNull(cluster.Invoke([(byte)'f', (byte)i]));
        }
        cluster.Replicas[2].RestartLog();
        PagedState image = Damaged(new PagedState(cluster.Pages[2].SizeBytes), content => FlipBits(content, 3, 100));
        cluster.Restart(2, image);
        AssertWhole(cluster, 2);
        Assert.Equal(0, cluster.Replicas[2].Counters.StateTransfers);
    }

    /// <summary>
    /// Simulator seed 50541: it executes again what its lost image held, and learns late that the others have a checkpoint of it.
    /// </summary>
    [Fact]
    public void A_checkpoint_above_a_lost_state_becomes_stable_when_it_was_reached_by_execution()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 2, LogSize = 6, WindowSize = 2 }).Start();
        for (int i = 0; i < 9; i++)
        {
            Assert.NotNull(cluster.Invoke([(byte)'a', 0, 0]));
        }
        Assert.Equal(8, cluster.Replicas[0].StableCheckpoint.Value);
        cluster.Replicas[0].RestartLog();
        cluster.Filter = (to, _, m) => to != 0 || (MessageTag)m[0] != MessageTag.Checkpoint;
        cluster.Restart(0);
        cluster.Pass(2_000_000);
        Assert.Equal((9, 0), (cluster.Replicas[0].LastCommitted.Value, cluster.Replicas[0].StableCheckpoint.Value));
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(2_000_000);
        Assert.Equal(8, cluster.Replicas[0].StableCheckpoint.Value);
    }
}
