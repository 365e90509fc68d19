using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;

namespace BfsTests.Engine;

/// <summary>Fetching state while others work, lie or change the view (§5.3.2, pitfalls 24 and 28 to 30).</summary>
public sealed class StateTransferTests
{
    private const int Late = 3;
    private const int Pages = 1500;

    /// <summary>Replica 3 was away while all pages were written, and the others no longer have the batches.</summary>
    private static InMemoryCluster NewCluster()
    {
        InMemoryCluster cluster = new InMemoryCluster(
            c => c with { CheckpointPeriod = 4, LogSize = 8, ServiceStateBytes = 8 << 20, ScrubPagesPerSecond = 0 },
            service: _ => new FillingService()).Start();
        cluster.Filter = (to, from, _) => to != Late && from != Late;
        for (int i = 0; i < 20; i++)
        {
            Assert.NotNull(cluster.Invoke(FillingService.Range(0, Pages, (byte)(i + 1))));
        }
        return cluster;
    }

    private static SeqNum TransferBegins(InMemoryCluster cluster)
    {
        for (int i = 0; i < 1000 && cluster.Replicas[Late].TransferTarget.Value == 0; i++)
        {
            cluster.Pass(10_000);
        }
        Assert.NotEqual(0, cluster.Replicas[Late].TransferTarget.Value);
        return cluster.Replicas[Late].TransferTarget;
    }

    private static bool Is(byte[] message, MessageTag tag) => message[0] == (byte)tag;

    /// <summary>Pitfall 28: with sums instead of a Merkle tree d1+x, d2-x would pass.</summary>
    [Fact]
    public void Forged_META_DATA_with_the_right_sum_is_refused_and_its_sender_avoided()
    {
        using InMemoryCluster cluster = NewCluster();
        int forged = 0, askedAfterwards = 0;
        cluster.Filter = (to, from, m) =>
        {
            if (from == 1 && to == Late && Is(m, MessageTag.MetaData))
            {
                m[MetaData.HeaderBytes] += 3;
                m[MetaData.HeaderBytes + Digest.SizeBytes] -= 3;
                forged++;
            }
            askedAfterwards += to == 1 && from == Late && forged > 0 && Is(m, MessageTag.Fetch) ? 1 : 0;
            return true;
        };
        cluster.Pass(3_000_000);
        Assert.InRange(forged, 1, FetchSources.FirstWindow);
        StateCheckingTests.AssertWhole(cluster, Late);
        Assert.Equal(forged, cluster.Replicas[Late].Counters.Dropped(DropReason.BadDigest));
        // What was under way when the first forged answer came, and no more.
        Assert.InRange(askedAfterwards, 0, FetchSources.FirstWindow);
    }

    [Fact]
    public void Forged_DATA_is_refused_and_fetched_elsewhere()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Filter = (to, from, m) =>
        {
            if (from == 2 && to == Late && Is(m, MessageTag.Data))
            {
                m[^1] ^= 1;
            }
            return true;
        };
        cluster.Pass(3_000_000);
        StateCheckingTests.AssertWhole(cluster, Late);
        Assert.True(cluster.Replicas[Late].Counters.Dropped(DropReason.BadDigest) > 0);
        Assert.InRange(cluster.Replicas[Late].Counters.PagesFetched, Pages, Pages + 10);
    }

    /// <summary>Pitfall 29: the work is shared.</summary>
    [Fact]
    public void All_who_have_the_checkpoint_send_parts_of_it()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(3_000_000);
        StateCheckingTests.AssertWhole(cluster, Late);
        for (int i = 0; i < Late; i++)
        {
            Assert.InRange(cluster.Replicas[i].Counters.PagesSent, Pages / 6, Pages);
        }
        Assert.InRange(cluster.Replicas.Sum(r => r.Counters.PagesSent), Pages, Pages + 10);
    }

    /// <summary>Pitfall 29: in a step of 10 ms clients write 60 pages and each replica sends 45: one alone would never do.</summary>
    [Fact]
    public void A_laggard_catches_up_though_clients_write_faster_than_one_replica_sends()
    {
        using InMemoryCluster cluster = NewCluster();
        var held = new Queue<byte[]>[Late];
        int[] sent = new int[Late];
        for (int i = 0; i < Late; i++)
        {
            held[i] = new Queue<byte[]>();
        }
        bool releasing = false;
        cluster.Filter = (to, from, m) =>
        {
            if (to == Late && Is(m, MessageTag.Data) && !releasing)
            {
                held[from].Enqueue(m);
                return false;
            }
            return true;
        };
        int steps = 0;
        for (long quiet = 0; quiet < 30; steps++)
        {
            Assert.True(steps < 2000, "it never catches up");
            Assert.NotNull(cluster.Invoke(FillingService.Range(steps * 60 % Pages, Math.Min(60, Pages - (steps * 60 % Pages)), (byte)(steps + 50))));
            releasing = true;
            for (int i = 0; i < Late; i++)
            {
                for (sent[i] = 0; sent[i] < 3 && held[i].TryDequeue(out byte[]? message); sent[i]++)
                {
                    cluster.Inject(Late, i, message);
                }
            }
            cluster.Run();
            releasing = false;
            cluster.Pass(9_000, 9_000);
            quiet = cluster.Replicas[0].LastCommitted - cluster.Replicas[Late].LastCommitted <= 1 ? quiet + 1 : 0;
        }
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(2_000_000);
        StateCheckingTests.AssertWhole(cluster, Late);
    }

    /// <summary>Pitfall 29: kept for the one that fetches, but not without bounds.</summary>
    [Fact]
    public void A_checkpoint_is_kept_for_a_transfer_within_bounds_and_given_up_after_it()
    {
        using InMemoryCluster cluster = NewCluster();
        // Its questions come, answers do not: the transfer goes on for ever.
        cluster.Filter = (to, _, m) => to != Late || !Is(m, MessageTag.Data);
        SeqNum target = TransferBegins(cluster);
        Assert.True(cluster.Pages[0].HasCheckpoint(target));
        for (int i = 0; i < 12; i++)
        {
            Assert.NotNull(cluster.Invoke(FillingService.Range(i, 1, 7)));
        }
        Assert.True(cluster.Pages[0].HasCheckpoint(target), "it was not kept");
        for (int i = 0; i < 200; i++)
        {
            Assert.NotNull(cluster.Invoke(FillingService.Range(i, 1, 8)));
            Assert.InRange(cluster.Pages[0].CheckpointCount, 1, 20);
        }
        cluster.Filter = (to, from, _) => to != Late && from != Late;
        cluster.Pass(4_000_000);
        for (int i = 0; i < 8; i++)
        {
            Assert.NotNull(cluster.Invoke(FillingService.Range(i, 1, 9)));
        }
        Assert.InRange(cluster.Pages[0].CheckpointCount, 1, 3);
    }

    /// <summary>Pitfall 24: the replica whose state is being fetched is needed for the new view's quorum.</summary>
    [Fact]
    public void A_transfer_goes_on_through_a_view_change_and_its_replica_enters_the_view()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Filter = (to, _, m) => to != Late || !Is(m, MessageTag.Data);
        TransferBegins(cluster);
        bool dataFlows = false;
        cluster.Filter = (to, from, m) => to != 0 && from != 0 && (dataFlows || to != Late || !Is(m, MessageTag.Data));
        long tag = cluster.Results[0].NextTag;
        _ = cluster.Invoke(FillingService.Range(0, 1, 99));
        cluster.Pass(3_000_000);
        Assert.True(cluster.Replicas[1].View.Value > 0);
        Assert.DoesNotContain(tag, cluster.Results[0].Completed.Keys);
        dataFlows = true;
        cluster.Pass(20_000_000);
        Assert.Contains(tag, cluster.Results[0].Completed.Keys);
        Assert.True(cluster.Replicas[Late].StateIsWhole);
        Assert.True(cluster.Replicas[Late].ViewActive);
        Assert.Equal(cluster.Replicas[1].View, cluster.Replicas[Late].View);
        Assert.Equal(cluster.Replicas[1].LastCommitted, cluster.Replicas[Late].LastCommitted);
    }

    /// <summary>Pitfall 30: f+1 equal values, not f+1 messages.</summary>
    [Fact]
    public void Different_digests_for_one_checkpoint_start_no_transfer()
    {
        using InMemoryCluster cluster = NewCluster();
        var votes = new CheckpointVotes(cluster.Config);
        Digest a = Digest.Read(Enumerable.Repeat((byte)1, 32).ToArray());
        Digest b = Digest.Read(Enumerable.Repeat((byte)2, 32).ToArray());
        var seq = new SeqNum(20);
        votes.Add(seq, new ReplicaId(0), a, default);
        votes.Add(seq, new ReplicaId(0), a, default);
        votes.Add(seq, new ReplicaId(1), b, default);
        votes.Add(new SeqNum(24), new ReplicaId(2), a, default);
        Assert.False(votes.TryFindAhead(default, cluster.Config.WeakQuorum, out _, out _));
        votes.Add(seq, new ReplicaId(2), a, default);
        Assert.True(votes.TryFindAhead(default, cluster.Config.WeakQuorum, out SeqNum found, out Digest digest));
        Assert.Equal((seq, a), (found, digest));
    }

    [Fact]
    public void A_FETCH_flood_is_answered_within_bounds()
    {
        using InMemoryCluster cluster = NewCluster();
        byte[]? fetch = null;
        cluster.Filter = (_, from, m) =>
        {
            fetch = from == Late && Is(m, MessageTag.Fetch) && BitConverter.ToUInt64(m, 32) != 0 ? m : fetch;
            return true;
        };
        cluster.Pass(3_000_000);
        long before = cluster.Replicas[1].Counters.PagesSent;
        for (int i = 0; i < 5_000; i++)
        {
            cluster.Inject(1, Late, fetch!);
        }
        cluster.Run();
        Assert.InRange(cluster.Replicas[1].Counters.PagesSent - before, 1, 2_048);
        Assert.True(cluster.Replicas[1].Counters.Dropped(DropReason.OverBudget) > 0);
    }
}
