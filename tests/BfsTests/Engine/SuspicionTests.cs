using BfsCore;
using BfsCore.Client;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>
/// Clients whose authenticators are right for some replicas and wrong for others (§3.2.2, pitfall 1): no view ends because
/// of them, and others are served.
/// </summary>
public sealed class SuspicionTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];
    private static readonly byte[] LargeAdd = [(byte)'a', .. new byte[1000]];

    public static TheoryData<int, bool> Subsets()
    {
        var data = new TheoryData<int, bool>();
        for (int wrong = 0; wrong < 14; wrong++)
        {
            data.Add(wrong, false);
            data.Add(wrong, true);
        }
        return data;
    }

    internal static bool IsTag(byte[] message, MessageTag tag) =>
        MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;

    /// <summary>Breaks the MACs of client 0 for the replicas in the set; optionally it never signs either.</summary>
    private static Func<int, int, byte[], bool> Attack(int wrong, bool signs) => (to, from, m) =>
    {
        if (from != Limits.FirstClientId || !IsTag(m, MessageTag.Request) || !Request.TryParse(m, 4, out Request request))
        {
            return true;
        }
        int tags = Request.HeaderBytes + request.OperationBytes;
        for (int replica = 0; replica < 4; replica++)
        {
            m[tags + (replica * 8)] ^= (byte)(wrong >> replica & 1);
        }
        return signs || !request.Signed;
    };

    /// <summary>Both clients work for a while; client 1 must complete everything.</summary>
    private static void Work(InMemoryCluster cluster, byte[] operation, int rounds = 10)
    {
        for (int round = 0; round < rounds; round++)
        {
            if (cluster.Clients[0].FreeSlots > 0)
            {
                cluster.Clients[0].TryInvoke(operation, false, cluster.Results[0].NextTag++);
            }
            long tag = cluster.Results[1].NextTag++;
            Assert.True(cluster.Clients[1].TryInvoke(Add, false, tag));
            for (int wait = 0; wait < 50 && !cluster.Results[1].Completed.ContainsKey(tag); wait++)
            {
                cluster.Pass(10_000);
            }
            Assert.Contains(tag, cluster.Results[1].Completed);
        }
    }

    [Theory]
    [MemberData(nameof(Subsets))]
    public void A_correct_client_is_served_whichever_of_its_macs_arrive_damaged(int wrong, bool large)
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = Attack(wrong, signs: true);
        Work(cluster, large ? LargeAdd : Add);
        cluster.Pass(3_000_000);
        Assert.Equal(10, cluster.Results[0].Completed.Count);
        Assert.All(cluster.Replicas, r => Assert.Equal((0L, 0L, 20L), (r.View.Value, r.Counters.ViewChanges, r.Counters.RequestsExecuted)));
        if (wrong == 0)
        {
            Assert.Equal(0, cluster.Clients[0].Signatures);
            Assert.Equal(0, cluster.Clients[1].Signatures);
            Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.SignaturesChecked));
        }
    }

    [Theory]
    [MemberData(nameof(Subsets))]
    public void No_view_ends_because_of_a_client_that_does_not_sign(int wrong, bool large)
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = Attack(wrong, signs: false);
        Work(cluster, large ? LargeAdd : Add);
        cluster.Pass(10_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal((0L, 0L), (r.View.Value, r.Counters.ViewChanges)));
        Assert.Equal(10, cluster.Results[1].Completed.Count);
        Assert.Single(cluster.Replicas.Select(r => r.LastCommitted).Distinct());
    }
}
