using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>A primary just inside the timeout is replaced, and none stays for ever (pitfall 9).</summary>
public sealed class SlowPrimaryTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    /// <summary>Runs one operation after the other for a time; how many completed.</summary>
    private static int Work(InMemoryCluster cluster, long micros)
    {
        int completed = 0;
        long tag = cluster.Results[0].NextTag;
        cluster.Settle = false;
        _ = cluster.Invoke(Add);
        for (long end = cluster.NowMicros + micros; cluster.NowMicros < end;)
        {
            cluster.Pass(1_000, 1_000);
            if (cluster.Results[0].Completed.ContainsKey(tag))
            {
                completed++;
                tag = cluster.Results[0].NextTag;
                _ = cluster.Invoke(Add);
            }
        }
        return completed;
    }

    [Fact]
    public void A_primary_that_delays_every_batch_is_replaced()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { ViewRotationCheckpoints = 0 }).Start();
        int faultFree = Work(cluster, 10_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.View.Value));

        // Replica 0 as primary holds each pre-prepare back for 0.9 of the shortest timeout.
        var held = new Queue<(long Due, int To, byte[] Bytes)>();
        bool releasing = false;
        cluster.Filter = (to, from, bytes) =>
        {
            if (from != 0 || bytes[0] != (byte)MessageTag.PrePrepare || releasing)
            {
                return true;
            }
            held.Enqueue((cluster.NowMicros + 225_000, to, bytes));
            return false;
        };
        long tag = cluster.Results[0].NextTag;
        _ = cluster.Invoke(Add);
        for (int i = 0; i < 30_000 && cluster.Replicas[1].View.Value == 0; i++)
        {
            cluster.Pass(1_000, 1_000);
            while (held.TryPeek(out (long Due, int To, byte[] Bytes) next) && next.Due <= cluster.NowMicros)
            {
                releasing = true;
                cluster.Inject(next.To, 0, held.Dequeue().Bytes);
                cluster.Run();
                releasing = false;
            }
            if (cluster.Results[0].Completed.ContainsKey(tag))
            {
                tag = cluster.Results[0].NextTag;
                _ = cluster.Invoke(Add);
            }
        }
        Assert.Equal(ViewChangeReason.SlowPrimary, cluster.Replicas.Skip(1).First(r => r.LastViewChangeReason != ViewChangeReason.OthersLeft).LastViewChangeReason);
        cluster.Pass(1_000_000);
        Assert.InRange(Work(cluster, 10_000_000), faultFree / 2, int.MaxValue);
    }

    [Fact]
    public void Views_change_regularly_and_nobody_leaves_alone()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with
        {
            CheckpointPeriod = 4,
            LogSize = 8,
            ViewRotationCheckpoints = 2,
        }).Start();
        for (int i = 1; i <= 34; i++)
        {
            Assert.Equal(i, BitConverter.ToInt64(cluster.Invoke(Add) ?? new byte[8]));
            cluster.Pass(100_000);
        }
        Assert.All(cluster.Replicas, r => Assert.Equal((4, true, 4L), (r.View.Value, r.ViewActive, r.Counters.ViewChanges)));
        Assert.All(cluster.Replicas, r => Assert.Equal(ViewChangeReason.Regular, r.LastViewChangeReason));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.StateTransfers));
    }

    [Fact]
    public void Idle_clients_are_no_fault_of_the_primary()
    {
        var watch = new PrimaryWatch(4);
        watch.EnterView(default, 0);
        for (long t = 0; t < 60_000_000; t += 1_000)
        {
            if (t < 10_000_000)
            {
                watch.Executed(0);
            }
            Assert.False(watch.IsTooSlow(t, waiting: t < 10_000_000, othersLeft: true, responseMicros: 1_000));
        }
    }

    [Fact]
    public void When_all_primaries_have_become_slower_so_has_the_work()
    {
        var watch = new PrimaryWatch(4);
        long t = 0;
        for (; t < 10_000_000; t += 1_000)
        {
            watch.Executed(0);
            Assert.False(watch.IsTooSlow(t, waiting: true, othersLeft: false, responseMicros: 1_000));
        }
        int changes = 0;
        for (long view = 0; t < 200_000_000; t += 10_000)
        {
            watch.Executed(0);
            if (watch.IsTooSlow(t, waiting: true, othersLeft: false, responseMicros: 1_000))
            {
                changes++;
                watch.EnterView(new View(++view), t);
            }
        }
        Assert.Equal(4, changes);
    }
}
