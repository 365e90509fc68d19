using BfsCore;
using BfsCore.Crypto;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>What one client can take from others (§5.5, pitfalls 2 to 5, 7 and 10).</summary>
public sealed class FairnessTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static bool IsTag(byte[] message, MessageTag tag) => SuspicionTests.IsTag(message, tag);

    /// <summary>The clients of the requests in a pre-prepare, in order.</summary>
    private static List<int> ClientsOf(byte[] message)
    {
        var clients = new List<int>();
        Assert.True(PrePrepare.TryParse(message, MessageFormat.Macs(4), out PrePrepare prePrepare));
        PrePrepare.EntryReader reader = prePrepare.Entries(MessageFormat.Macs(4));
        while (reader.Next())
        {
            clients.Add(reader.Client.Value - Limits.FirstClientId);
        }
        return clients;
    }

    private static List<List<int>> RecordBatches(InMemoryCluster cluster)
    {
        var batches = new List<List<int>>();
        cluster.Filter = (to, from, m) =>
        {
            if (to == 1 && from == 0 && IsTag(m, MessageTag.PrePrepare))
            {
                batches.Add(ClientsOf(m));
            }
            return true;
        };
        return batches;
    }

    [Fact]
    public void A_client_that_floods_leaves_room_in_the_first_batch()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { MaxBatchRequests = 4, WindowSize = 1 }, clients: 3).Start();
        RawClient flood = new RawClient(cluster, 1).Start();
        List<List<int>> batches = RecordBatches(cluster);
        for (ulong round = 1; round <= 5; round++)
        {
            batches.Clear();
            for (int slot = 0; slot < 8; slot++)
            {
                flood.Send(flood.Request(slot, round, Add), to: 0b0001);
            }
            Assert.True(cluster.Clients[0].TryInvoke(Add, false, (long)round));
            Assert.True(cluster.Clients[2].TryInvoke(Add, false, (long)round));
            cluster.Run();
            // One of the flood, both others, and what room is left goes to the flood again.
            Assert.Equal([1, 0, 2, 1], batches[0]);
            Assert.Equal(3, batches.Count);
        }
        Assert.All(cluster.Replicas, r => Assert.Equal(50, r.Counters.RequestsExecuted));
    }

    [Fact]
    public void Suspects_together_get_a_quarter_of_a_batch()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { MaxBatchRequests = 4, WindowSize = 1 }).Start();
        RawClient suspect = new RawClient(cluster, 1).Start();
        suspect.Send(suspect.Request(0, 1, Add, wrong: 0b1110), to: 0b0001);
        cluster.Pass(200_000);
        Assert.True(cluster.Replicas[0].Suspects(new ClientId(suspect.Id)));
        List<List<int>> batches = RecordBatches(cluster);
        for (int slot = 0; slot < 8; slot++)
        {
            suspect.Send(suspect.Request(slot, 2, Add, signature: true), to: 0b0001);
            Assert.True(cluster.Clients[0].TryInvoke(Add, false, slot));
        }
        cluster.Run();
        Assert.All(batches, b => Assert.Equal(1, b.Count(c => c == 1)));
        Assert.Equal(8, batches.Count);
        Assert.Equal(8, batches.Take(3).Sum(b => b.Count(c => c == 0)));
        Assert.All(cluster.Replicas, r => Assert.Equal((16L, 0L), (r.Counters.RequestsExecuted, r.Counters.ViewChanges)));
    }

    [Fact]
    public void What_a_client_holds_is_bounded_by_its_slots()
    {
        using InMemoryCluster cluster = new InMemoryCluster(clients: 3).Start();
        RawClient flood = new RawClient(cluster, 1).Start();
        byte[] large = [(byte)'a', .. new byte[60_000]];
        cluster.Filter = (_, _, m) => !IsTag(m, MessageTag.PrePrepare);
        for (ulong t = 1; t <= 200; t++)
        {
            flood.Send(flood.Request((int)(t % 8), t, large), to: 0b1110);
        }
        Assert.True(cluster.Clients[0].TryInvoke(Add, false, 1));
        cluster.Run();
        Assert.All(cluster.Replicas, r => Assert.InRange(r.RequestBytesHeld, 0, 9 * 65_536));
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(1_000_000);
        Assert.Single(cluster.Results[0].Completed);
    }

    [Fact]
    public void The_greatest_timestamp_locks_its_own_slot_until_the_next_session()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient client = new RawClient(cluster, 1).Start();
        var stale = new List<(ulong Session, ulong Timestamp)>();
        cluster.Filter = (to, _, m) =>
        {
            if (to == client.Id && IsTag(m, MessageTag.Reply) && Reply.TryParse(m, cluster.Config.Format, out Reply reply) && (reply.Flags & ReplyFlags.Stale) != 0)
            {
                stale.Add((reply.Session, reply.Timestamp));
            }
            return true;
        };
        client.Send(client.Request(0, ulong.MaxValue, Add));
        cluster.Pass(10_000);
        client.Send(client.Request(0, 5, Add, signature: true, again: true));
        client.Send(client.Request(1, 5, Add));
        cluster.Pass(3_000_000);
        // Pitfall 4: the stale one is answered with the last, by every replica; the primary hears of it from three backups too.
        Assert.Equal(4, stale.Count);
        Assert.All(stale, s => Assert.Equal((client.Session, ulong.MaxValue), s));
        Assert.All(cluster.Replicas, r => Assert.Equal((2L, 0L), (r.Counters.RequestsExecuted, r.Counters.ViewChanges)));
        client.Start();
        client.Send(client.Request(0, 1, Add));
        cluster.Pass(10_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(3, r.Counters.RequestsExecuted));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Different_requests_under_one_timestamp_end_no_view(bool signed)
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1).Start();
        bool? signature = signed ? true : null;
        for (ulong t = 1; t <= 10; t++)
        {
            for (int replica = 0; replica < 4; replica++)
            {
                byte[] operation = [(byte)'a', (byte)(20 + replica), 0];
                liar.Send(liar.Request(0, t, operation, 0, signature, again: true), to: 1 << replica);
            }
            Assert.NotNull(cluster.Invoke(Add));
            cluster.Pass(600_000);
        }
        Assert.All(cluster.Replicas, r => Assert.Equal((0L, 20L, 0L), (r.Counters.ViewChanges, r.Counters.RequestsExecuted, r.RequestBytesHeld)));
    }

    [Fact]
    public void A_session_that_only_the_primary_knows_ends_no_view()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1).Start();
        byte[] before = liar.Request(0, 1, Add, signature: true, again: true);
        byte[] newKey = liar.NewKeyMessage();
        liar.Send(newKey, to: 0b0001);
        cluster.Run();
        // In the old session, signed, to the backups; in the new one, unsigned, to the primary.
        liar.Send(before, to: 0b1110);
        liar.Send(liar.Request(1, 1, Add), to: 0b0001);
        Assert.True(cluster.Clients[0].TryInvoke(Add, false, 1));
        cluster.Pass(3_000_000);
        Assert.Single(cluster.Results[0].Completed);
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.ViewChanges));
        Assert.All(cluster.Replicas, r => Assert.Equal(2, r.Counters.RequestsExecuted));
    }

    [Fact]
    public void An_executed_request_that_comes_again_starts_no_timer()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient client = new RawClient(cluster, 1).Start();
        byte[] request = client.Request(0, 1, Add, signature: true, again: true);
        for (int i = 0; i < 30; i++)
        {
            client.Send(request);
            cluster.Pass(100_000);
        }
        Assert.All(cluster.Replicas, r => Assert.Equal((1L, 0L, 0L), (r.Counters.RequestsExecuted, r.Counters.ViewChanges, r.Counters.SignaturesChecked)));
    }

    [Fact]
    public void A_client_that_the_primary_drops_gets_another_primary()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        int dropped = Limits.FirstClientId + 1;
        cluster.Filter = (to, from, m) => cluster.Replicas[1].View.Value > 0 || to != 0
            || !((from == dropped && IsTag(m, MessageTag.Request)) || IsTag(m, MessageTag.Relay));
        Assert.True(cluster.Clients[1].TryInvoke(Add, false, 1));
        for (int i = 0; i < 200 && cluster.Results[1].Completed.Count == 0; i++)
        {
            Assert.NotNull(cluster.Invoke(Add));
            cluster.Pass(10_000);
        }
        Assert.Single(cluster.Results[1].Completed);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.View.Value));
    }

    [Fact]
    public void Forgeries_cost_a_bounded_number_of_checks()
    {
        using InMemoryCluster cluster = new InMemoryCluster(clients: 3).Start();
        RawClient victim = new RawClient(cluster, 1).Start();
        Replica replica = cluster.Replicas[1];
        // The checks of its NEW-KEY are past.
        cluster.Pass(200_000);
        for (ulong t = 1; t <= 1_000; t++)
        {
            replica.Step(victim.Request(0, t, Add, wrong: 0b1111, signature: false), new SourceAddress(Limits.FirstClientId + 2));
        }
        Assert.Equal(SignatureBudget.PerClient, replica.Counters.SignaturesChecked);
        Assert.Equal(1_000 - SignatureBudget.PerClient, replica.Counters.Dropped(DropReason.OverBudget));
        // Neither its own requests nor others' are kept out by that; nor is one that a backup relays.
        victim.Send(victim.Request(1, 1, Add), to: 0b0001);
        victim.Send(victim.Request(2, 1, Add, wrong: 0b0011, signature: true, again: true), to: 0b1100);
        Assert.NotNull(cluster.Invoke(Add));
        Assert.All(cluster.Replicas, r => Assert.Equal(3, r.Counters.RequestsExecuted));
    }

    [Fact]
    public void Forged_keys_cost_a_bounded_number_of_checks()
    {
        using InMemoryCluster cluster = new();
        int opened = 0;
        var exchange = new CountingExchange(cluster.ExchangeOf(0), () => opened++);
        var keys = new ReplicaKeys(cluster.Config, new ReplicaId(0), new NoNetwork(), exchange, new TestEntropy(1), new MemoryStore(),
            new SignatureBudget(4, 2));
        byte[] message = new byte[NewKey.SizeFor(4)];
        foreach (int principal in new[] { 2, Limits.FirstClientId })
        {
            for (ulong counter = 1; counter <= 1_000; counter++)
            {
                NewKey.WriteHeader(message, 4, principal, counter, 1, new byte[65]);
                Assert.True(NewKey.TryParse(message, 4, out NewKey newKey));
                Assert.False(keys.OnNewKey(newKey, default, 0));
            }
        }
        Assert.Equal(SignatureBudget.KeysPerReplica + SignatureBudget.PerClient, opened);
    }

    private sealed class CountingExchange(IKeyExchange inner, Action opened) : IKeyExchange
    {
        public ulong NextCounter() => inner.NextCounter();

        public int Create(Span<byte> buffer, int principal, ulong counter, ulong session, ReadOnlySpan<byte> keys) =>
            inner.Create(buffer, principal, counter, session, keys);

        public bool TryOpen(in NewKey message, ReplicaId self, Span<byte> key)
        {
            opened();
            return inner.TryOpen(message, self, key);
        }

        public void Sign(int self, ReadOnlySpan<byte> header, Span<byte> signature) => inner.Sign(self, header, signature);

        public bool Verify(int principal, ReadOnlySpan<byte> header, ReadOnlySpan<byte> signature) =>
            inner.Verify(principal, header, signature);
    }

    private sealed class NoNetwork : INetwork
    {
        public void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message) { }

        public void MulticastToReplicas(ReadOnlySpan<byte> message) { }

        public void SendToClient(ClientId to, ReadOnlySpan<byte> message) { }

        public void Answer(SourceAddress to, ReadOnlySpan<byte> message) { }

        public void BindClient(ClientId client, SourceAddress address) { }
    }
}
