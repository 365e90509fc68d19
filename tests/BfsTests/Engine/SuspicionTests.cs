using BfsCore;
using BfsCore.Client;
using BfsCore.Crypto;
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
        for (int wrong = 0; wrong < 16; wrong++)
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
        if (from != Limits.FirstClientId || !IsTag(m, MessageTag.Request) || !Request.TryParse(m, MessageFormat.Macs(4), out Request request))
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
    [InlineData(0b1110)]
    [InlineData(0b0001)]
    public void A_client_that_had_to_sign_by_mistake_is_soon_trusted_again(int wrong)
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = Attack(wrong, signs: true);
        Work(cluster, Add);
        Assert.NotEqual(0, cluster.Clients[0].Signatures);
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(1_000_000);
        // A round that still may be signed changes the keys.
        Work(cluster, Add, rounds: 1);
        long signatures = cluster.Clients[0].Signatures;
        Work(cluster, Add);
        Assert.Equal(signatures, cluster.Clients[0].Signatures);
        Assert.All(cluster.Replicas, r => Assert.False(r.Suspects(cluster.Clients[0].Id)));
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

    [Fact]
    public void A_batch_is_proposed_anew_without_what_nobody_else_can_authenticate()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1).Start();
        liar.Send(liar.Request(0, 1, Add, wrong: 0b1110), to: 0b0001);
        Assert.True(cluster.Clients[0].TryInvoke(Add, false, 1));
        cluster.Pass(200_000);
        // Both were in batch 1; the other client's request stays in it.
        Assert.Single(cluster.Results[0].Completed);
        Assert.Equal(1, cluster.Replicas[0].Counters.ProposedAnew);
        Assert.All(cluster.Replicas, r => Assert.Equal((1L, 1L, 0L), (r.LastCommitted.Value, r.Counters.RequestsExecuted, r.Counters.ViewChanges)));
        Assert.True(cluster.Replicas[0].Suspects(new ClientId(liar.Id)));
        // From now on unsigned requests of that client are not taken, so it can do this once.
        for (ulong t = 2; t < 10; t++)
        {
            liar.Send(liar.Request(0, t, Add, wrong: 0b1110), to: 0b0001);
            Assert.True(cluster.Clients[0].TryInvoke(Add, false, (long)t));
            cluster.Run();
            Assert.Contains((long)t, cluster.Results[0].Completed);
        }
        Assert.Equal(1, cluster.Replicas[0].Counters.ProposedAnew);
        liar.Send(liar.Request(0, 20, Add, wrong: 0b1111, signature: true), to: 0b0001);
        cluster.Pass(10_000, 1_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(10, r.Counters.RequestsExecuted));
    }

    [Fact]
    public void What_was_proposed_anew_survives_the_primary()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1).Start();
        // The second proposal prepares, and its commits are lost with the primary.
        cluster.Filter = (_, _, m) => !IsTag(m, MessageTag.Commit) && !IsTag(m, MessageTag.Reply);
        liar.Send(liar.Request(0, 1, Add, wrong: 0b1110), to: 0b0001);
        Assert.True(cluster.Clients[0].TryInvoke(Add, false, 1));
        cluster.Pass(100_000);
        Assert.Equal(1, cluster.Replicas[0].Counters.ProposedAnew);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.Counters.RequestsExecuted));
        cluster.Filter = (to, from, m) => to != 0 && from != 0 && (!(IsTag(m, MessageTag.Commit) || IsTag(m, MessageTag.Committed)) || cluster.Replicas[1].View.Value > 0);
        cluster.Pass(5_000_000);
        Assert.Single(cluster.Results[0].Completed);
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(5_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal((1L, 0L), (r.View.Value, r.Counters.Rollbacks)));
        Assert.Single(cluster.Replicas.Select(r => r.LastCommitted).Distinct());
    }

    [Fact]
    public void A_primary_that_proposed_anew_remembers_both_over_a_restart()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1).Start();
        liar.Send(liar.Request(0, 1, Add, wrong: 0b1110), to: 0b0001);
        Assert.True(cluster.Clients[0].TryInvoke(Add, false, 1));
        cluster.Filter = (_, _, m) => !IsTag(m, MessageTag.Prepare);
        cluster.Pass(100_000);
        Assert.Equal(1, cluster.Replicas[0].Counters.ProposedAnew);
        cluster.Replicas[0].RestartLog();
        cluster.Restart(0);
        int named = 0;
        cluster.Filter = (_, from, m) =>
        {
            if (from == 0 && IsTag(m, MessageTag.ViewChange) && ViewChange.TryParse(m, cluster.Config, out ViewChange left))
            {
                int first = 0;
                for (int i = 0; i < left.PrePreparedCount; i++)
                {
                    first += left.PrePrepared(i).Seq.Value == 1 ? 1 : 0;
                }
                named = Math.Max(named, first);
            }
            return !IsTag(m, MessageTag.Prepare) || cluster.Replicas[0].View.Value > 0;
        };
        cluster.Pass(20_000_000);
        Assert.Equal(2, named);
        Assert.Single(cluster.Results[0].Completed);
        Assert.Single(cluster.Replicas.Select(r => r.LastCommitted).Distinct());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_view_is_not_ended_by_requests_that_only_backups_can_authenticate(bool badSignature)
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1).Start();
        for (ulong t = 1; t <= 30; t++)
        {
            liar.Send(liar.Request((int)(t % 8), t, Add, wrong: 0b0001, badSignature ? false : null, again: true), to: 0b1110);
            Assert.NotNull(cluster.Invoke(Add));
            cluster.Pass(300_000);
        }
        Assert.All(cluster.Replicas, r => Assert.Equal((0L, 0L, 30L), (r.View.Value, r.Counters.ViewChanges, r.Counters.RequestsExecuted)));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal(badSignature, r.Suspects(new ClientId(liar.Id))));
    }

    [Fact]
    public void A_signed_request_that_the_primary_does_not_order_ends_its_view()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient client = new RawClient(cluster, 1).Start();
        cluster.Filter = (to, from, m) => to != 0 || !(IsTag(m, MessageTag.Relay) || IsTag(m, MessageTag.Request)) || from == Limits.FirstClientId;
        client.Send(client.Request(0, 1, Add, wrong: 0b1001, signature: true));
        for (int i = 0; i < 12; i++)
        {
            // The primary serves the other client, which must not keep it in office (pitfall 10).
            cluster.Invoke(Add);
            cluster.Pass(100_000);
        }
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.View.Value));
        Assert.All(cluster.Replicas, r => Assert.Equal(13, r.Counters.RequestsExecuted));
    }

    [Fact]
    public void With_a_silent_backup_such_a_client_ends_one_view_and_no_more()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = (_, from, _) => from != 3;
        RawClient liar = new RawClient(cluster, 1).Start();
        ulong t = 0;
        for (int round = 0; round < 10; round++)
        {
            liar.Send(liar.Request(0, ++t, Add, wrong: 0b1110), to: 0b0001);
            liar.Send(liar.Request(1, ++t, Add, wrong: 0b1101), to: 0b0010);
            cluster.Clients[0].TryInvoke(Add, false, round);
            cluster.Pass(5_000_000);
            Assert.Contains(round, cluster.Results[0].Completed);
        }
        Assert.All(cluster.Replicas.Take(3), r => Assert.InRange(r.View.Value, 1, 2));
    }

    [Fact]
    public void New_keys_make_a_client_trusted_again_ever_more_seldom()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1);
        foreach ((long wait, bool forgiven) in new[] { (0L, true), (0, true), (9, false), (2, true), (18, false), (3, true), (39, false), (2, true) })
        {
            cluster.Pass(wait * 1_000_000, 100_000);
            liar.Start();
            Assert.Equal(!forgiven, cluster.Replicas[2].Suspects(new ClientId(liar.Id)));
            // Replica 2 prepares by condition 2, and notes whose request it was.
            liar.Send(liar.Request(0, 1, Add, wrong: 0b0100), to: 0b0001);
            cluster.Pass(100_000);
            Assert.True(cluster.Replicas[2].Suspects(new ClientId(liar.Id)));
            Assert.False(cluster.Replicas[1].Suspects(new ClientId(liar.Id)));
        }
        Assert.All(cluster.Replicas, r => Assert.Equal(8, r.Counters.RequestsExecuted));
    }

    /// <summary>One that has to sign by mistake is not slowed down by the bound on what others could make a replica check.</summary>
    [Fact]
    public void A_suspect_that_signs_well_spends_no_budget()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient client = new RawClient(cluster, 1).Start();
        client.Send(client.Request(0, 1, Add, wrong: 0b1110), to: 0b0001);
        cluster.Pass(200_000);
        Assert.True(cluster.Replicas[0].Suspects(new ClientId(client.Id)));
        int executed = (int)cluster.Replicas[0].Counters.RequestsExecuted;
        const int More = 3 * SignatureBudget.PerClient;
        for (int i = 0; i < More; i++)
        {
            client.Send(client.Request(0, (ulong)(2 + i), Add, signature: true), to: 0b0001);
            cluster.Run();
        }
        Assert.All(cluster.Replicas, r => Assert.Equal(executed + More, r.Counters.RequestsExecuted));
        Assert.Equal(0, cluster.Replicas[0].Counters.Dropped(DropReason.OverBudget));

        // One bad signature under right MACs, and the bound holds.
        client.Send(client.Request(0, 2 + More, Add, signature: false), to: 0b0001);
        cluster.Run();
        for (int i = 0; i < More; i++)
        {
            client.Send(client.Request(0, (ulong)(3 + More + i), Add, signature: true), to: 0b0001);
            cluster.Run();
        }
        Assert.InRange(cluster.Replicas[0].Counters.RequestsExecuted, executed + More, executed + More + SignatureBudget.PerClient);
    }
}
