using BfsCore;
using BfsCore.Replication;
using BfsCore.State;

namespace BfsTests.Engine;

/// <summary>Damage in memory is found in the background and repaired from the others (§5.3.3, pitfall 31).</summary>
public sealed class ScrubbingTests
{
    private static void Damage(InMemoryCluster cluster, int replica, params int[] pagesInUse)
    {
        PagedState pages = cluster.Pages[replica];
        foreach (int nth in pagesInUse)
        {
            long page = -1;
            for (int i = 0; i <= nth; i++)
            {
                page = pages.NextUsedPage(page + 1);
            }
            StateCheckingTests.Memory(pages)[(int)(page * PagedState.PageBytes) + 77] ^= 8;
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void A_damaged_page_is_found_reported_and_fetched(int replica)
    {
        using InMemoryCluster cluster = StateCheckingTests.NewCluster();
        var found = new List<long>();
        cluster.Replicas[replica].DamagedPageFound = found.Add;
        Damage(cluster, replica, 17);
        cluster.Pass(1_000_000);
        Assert.Single(found);
        ReplicaCounters counters = cluster.Replicas[replica].Counters;
        Assert.Equal((1, 1, 1), (counters.PagesDamaged, counters.PagesFetched, counters.StateTransfers));
        StateCheckingTests.AssertWhole(cluster, replica);
        Assert.NotNull(cluster.Invoke([(byte)'f', 50]));
        StateCheckingTests.AssertWhole(cluster, replica);
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.View.Value));
    }

    [Fact]
    public void Damage_under_work_since_the_checkpoint_is_repaired_and_the_work_done_again()
    {
        using InMemoryCluster cluster = StateCheckingTests.NewCluster();
        Assert.NotNull(cluster.Invoke([(byte)'f', 17]));
        Assert.NotNull(cluster.Invoke([(byte)'f', 60]));
        Damage(cluster, 1, 3, 30, 40);
        for (int i = 0; i < 30; i++)
        {
            Assert.NotNull(cluster.Invoke([(byte)'f', (byte)(70 + i)]));
            cluster.Pass(40_000);
        }
        ReplicaCounters counters = cluster.Replicas[1].Counters;
        Assert.Equal(3, counters.PagesDamaged);
        StateCheckingTests.AssertWhole(cluster, 1);
        Assert.False(cluster.Replicas[1].Diverged);
    }

    [Fact]
    public void Only_pages_in_use_are_looked_at_and_no_more_than_the_rate()
    {
        using InMemoryCluster cluster = StateCheckingTests.NewCluster();
        ReplicaCounters counters = cluster.Replicas[3].Counters;
        long used = 0;
        for (long page = cluster.Pages[3].NextUsedPage(0); page >= 0; page = cluster.Pages[3].NextUsedPage(page + 1))
        {
            used++;
        }
        (long pages, long passes) = (counters.PagesScrubbed, counters.ScrubPasses);
        cluster.Pass(10_000_000);
        Assert.InRange(counters.PagesScrubbed - pages, (counters.ScrubPasses - passes - 1) * used, (counters.ScrubPasses - passes + 1) * used);
        Assert.InRange(counters.PagesScrubbed - pages, 2_000, 10 * cluster.Config.ScrubPagesPerSecond);
        Assert.Equal(0, counters.PagesDamaged);
    }

    [Fact]
    public void The_rate_zero_means_never()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { ScrubPagesPerSecond = 0 }).Start();
        cluster.Pass(5_000_000);
        Assert.Equal(0, cluster.Replicas[0].Counters.PagesScrubbed);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(70)]
    [InlineData(5000)]
    public void Holes_are_skipped(int pageCount)
    {
        using var state = new PagedState((long)pageCount * PagedState.PageBytes);
        var random = new Random(pageCount);
        var used = new SortedSet<long>();
        for (int i = 0; i < 20; i++)
        {
            used.Add(random.Next(pageCount));
        }
        foreach (long page in used)
        {
            state.Modify(page * PagedState.PageBytes, 1)[0] = 1;
        }
        state.TakeCheckpoint(new SeqNum(1));
        var found = new List<long>();
        for (long page = state.NextUsedPage(0); page >= 0; page = state.NextUsedPage(page + 1))
        {
            found.Add(page);
        }
        Assert.Equal(used, found);
    }
}
