using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsSim;
using BfsSim.Fuzz;
using BfsSim.Nodes;

namespace BfsTests.Engine;

/// <summary>What hostile messages once did, each as a scenario of its own. Replica 0 is the attacker's, and primary of view 0.</summary>
public sealed class FoundByFuzzTests
{
    private const int N = FuzzCluster.N;
    private static readonly ReplicaId Faulty = new(0);

    /// <summary>The first cluster that is as wanted; its clients do nothing.</summary>
    private static FuzzCluster NewCluster(Predicate<ClusterConfig>? wanted = null)
    {
        for (ulong seed = 1; ; seed++)
        {
            var cluster = new FuzzCluster(new SimRandom(seed), new Corpus(), faulty: 0);
            if (wanted?.Invoke(cluster.Config) ?? true)
            {
                cluster.Calm(1_000_000);
                return cluster;
            }
            cluster.Dispose();
        }
    }

    /// <summary>Makes a message authentic and delivers it to all correct replicas.</summary>
    private static void Attack(FuzzCluster cluster, byte[] message)
    {
        Assert.True(MessageHeader.TryReadTag(message, out MessageTag tag));
        var mutator = new Mutator(new SimRandom(2));
        for (int to = 1; to < N; to++)
        {
            mutator.Take(message);
            cluster.Attacker.Seal(mutator, MessageShape.Of(tag), tag, to);
            long bad = cluster.Replicas[to].Counters.Dropped(DropReason.BadMac);
            cluster.Deliver(to, 0, mutator.Message);
            Assert.Equal(bad, cluster.Replicas[to].Counters.Dropped(DropReason.BadMac));
        }
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(long.MaxValue - 5)]
    [InlineData(Limits.MaxNumber)]
    [InlineData(Limits.MaxNumber + 1)]
    public void A_status_near_the_end_of_numbers_is_survived(long executed)
    {
        using FuzzCluster cluster = NewCluster();
        byte[] buffer = new byte[4096];
        var builder = new StatusActive.Builder(buffer, cluster.Config.LogSize, MessageFormat.Macs(N));
        builder.AddMissing(new ClientId(Limits.FirstClientId), 0, default);
        Attack(cluster, buffer[..builder.Finish(new View(0), new SeqNum(0), new SeqNum(executed), Faulty)]);
        cluster.CheckLiveness();
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(long.MaxValue)]
    public void A_wish_for_a_batch_of_no_number_is_survived(long seq)
    {
        using FuzzCluster cluster = NewCluster();
        byte[] message = new byte[StatusPending.SizeFor(1, MessageFormat.Macs(N))];
        StatusPending.Write(message, MessageFormat.Macs(N), new View(0), new SeqNum(0), Faulty, false, 0, [(new SeqNum(seq), Digest.Read(new byte[] { 1 }.Concat(new byte[31]).ToArray()))]);
        Attack(cluster, message);
        cluster.CheckLiveness();
    }

    /// <summary>The difference to the own clock must not run over (§5.4).</summary>
    [Theory]
    [InlineData(long.MinValue)]
    [InlineData(long.MaxValue)]
    [InlineData(1L << 62)]
    public void A_proposed_time_at_the_end_of_time_is_refused(long offset)
    {
        using FuzzCluster cluster = NewCluster();
        byte[] message = new byte[PrePrepare.SizeFor(0, MessageFormat.Macs(N))];
        PrePrepare.WriteHeader(message, MessageFormat.Macs(N), new View(0), new SeqNum(1), unchecked(cluster.Now.WallNanos + offset), default, 0, Faulty, 0);
        Attack(cluster, message);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal(1, r.Counters.Dropped(DropReason.BadTime)));
    }

    /// <summary>A lie about h far ahead, with a P there, must not make anyone list all numbers up to it (Figure 3-3).</summary>
    [Fact]
    public void A_view_change_from_far_ahead_does_not_fill_memory()
    {
        using FuzzCluster cluster = NewCluster();
        ViewChangeEntry far = new(new SeqNum((1L << 61) + 1), default, new View(0));
        byte[] message = new byte[ViewChange.SizeFor(0, 1, 1, MessageFormat.Macs(N))];
        ViewChange.Write(message, MessageFormat.Macs(N), new View(1), new SeqNum(1L << 61), Faulty, [], [far], [far]);
        Attack(cluster, message);
        cluster.BftClients[0].TryInvoke("pXX"u8, false, 0);
        cluster.Calm(10_000_000, cutOff: Faulty.Value);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1, true), (r.View.Value, r.ViewActive)));
    }

    /// <summary>A batch that fits no message could not be handed on in a later view: nobody votes for it.</summary>
    [Theory]
    [InlineData(8, true)]
    [InlineData(16, false)]
    public void A_batch_that_no_message_can_carry_is_not_voted_for(int requests, bool votedFor)
    {
        using FuzzCluster cluster = NewCluster(c => c.MaxBatchRequests == 64);
        byte[] payload = new byte[Limits.MaxMessageBytes];
        byte[] digests = new byte[12 + (requests * Digest.SizeBytes)];
        int at = 0;
        for (int i = 0; i < requests; i++)
        {
            byte[] request = NewRequest(cluster, timestamp: (ulong)i + 1, new byte[Limits.MaxOperationBytes]);
            request.AsSpan(16, Digest.SizeBytes).CopyTo(digests.AsSpan(12 + (i * Digest.SizeBytes)));
            at = PrePrepare.AppendInline(payload, at, request);
        }
        byte[] message = new byte[PrePrepare.SizeFor(at, MessageFormat.Macs(N))];
        long time = cluster.Now.WallNanos;
        PrePrepare.WriteHeader(message, MessageFormat.Macs(N), new View(0), new SeqNum(1), time, PrePrepare.BatchDigest(time, requests, digests), requests, Faulty, at);
        payload.AsSpan(0, at).CopyTo(message.AsSpan(PrePrepare.HeaderBytes));
        long votes = cluster.Sent(MessageTag.Prepare);
        Attack(cluster, message);
        Assert.Equal(votedFor, cluster.Sent(MessageTag.Prepare) > votes);
    }

    private static byte[] NewRequest(FuzzCluster cluster, ulong timestamp, byte[] operation)
    {
        byte[] request = new byte[Request.SizeFor(operation.Length, MessageFormat.Macs(N))];
        Request.Write(request, MessageFormat.Macs(N), cluster.Attacker.Client, 0, false, cluster.Attacker.Session, timestamp, 0, RequestFlags.None, operation);
        var mutator = new Mutator(new SimRandom(3));
        mutator.Take(request);
        cluster.Attacker.Seal(mutator, MessageShape.Of(MessageTag.Request), MessageTag.Request, 0, damage: false);
        return mutator.Message.ToArray();
    }

    /// <summary>A signed copy of a request takes the unsigned one's place in its buffer (§3.2.2), whatever their size is.</summary>
    [Fact]
    public void A_request_of_any_size_may_come_again_with_a_signature()
    {
        using FuzzCluster cluster = NewCluster();
        ulong timestamp = 0;
        for (int size = 0; size < 1_200; size += 8)
        {
            byte[] request = NewRequest(cluster, ++timestamp, new byte[size]);
            cluster.Deliver(1, cluster.Attacker.Client.Value, request);
            byte[] signed = [.. request, .. new byte[Request.SignatureBytes]];
            signed[2] |= (byte)(RequestFlags.Signed | RequestFlags.Retransmission);
            var mutator = new Mutator(new SimRandom(4));
            for (int attempt = 0; attempt < 4; attempt++)
            {
                mutator.Take(signed);
                cluster.Attacker.Seal(mutator, MessageShape.Of(MessageTag.Request), MessageTag.Request, 0, damage: false);
                cluster.Deliver(1, cluster.Attacker.Client.Value, mutator.Message);
            }
            Assert.True(timestamp == 1 || cluster.Replicas[1].Counters.Dropped(DropReason.Duplicate) > (long)timestamp);
        }
    }

    /// <summary>
    /// A null batch of a new view is no second proposal (§3.2.2): 2f prepares are enough, or f silent replicas would end every
    /// view that has one. A liar's P at a high number fills those below it with null.
    /// </summary>
    [Fact]
    public void Null_batches_of_a_new_view_prepare_without_the_faulty_replica()
    {
        using FuzzCluster cluster = NewCluster(c => c.LogSize >= 8);
        ViewChangeEntry p = new(new SeqNum(5), default, new View(0));
        byte[] message = new byte[ViewChange.SizeFor(0, 1, 1, MessageFormat.Macs(N))];
        ViewChange.Write(message, MessageFormat.Macs(N), new View(1), new SeqNum(0), Faulty, [], [p], [p]);
        Attack(cluster, message);
        cluster.BftClients[0].TryInvoke("pXX"u8, false, 0);
        cluster.Calm(10_000_000, cutOff: Faulty.Value);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1, true), (r.View.Value, r.ViewActive)));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.True(r.LastCommitted.Value > 5, $"{r.Id} {r.LastCommitted}"));
    }

    /// <summary>
    /// A replica that learned a batch from others (pitfall 13) may have another one in its log, from a primary that told it
    /// something else: it must not vouch for that one, nor take it for committed after a restart.
    /// </summary>
    [Fact]
    public void A_batch_that_did_not_commit_is_not_claimed_by_who_holds_it()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = (to, from, m) => !IsTag(m, MessageTag.PrePrepare) || to == 3;
        cluster.Clients[0].TryInvoke([(byte)'a', 0, 0], false, 100);
        cluster.Run();
        // The primary forgets what it did, as a liar would, and orders something else at that number.
        cluster.Logs[0] = new MemoryVoteLog();
        cluster.Filter = (_, _, _) => true;
        cluster.Restart(0);
        cluster.Run();
        cluster.Clients[1].TryInvoke([(byte)'a', 5, 0], false, 100);
        cluster.Pass(2_000_000);
        Assert.All(cluster.Replicas, r => Assert.True(r.LastCommitted.Value >= 1));
        // One more that asks for everything from the beginning.
        var claimed = new HashSet<Digest>();
        cluster.Filter = (to, from, m) =>
        {
            if (Vote.TryParse(m, MessageTag.Committed, MessageFormat.Macs(N), out Vote vote) && vote.Seq.Value == 1)
            {
                claimed.Add(vote.Digest);
            }
            return true;
        };
        cluster.Logs[1] = new MemoryVoteLog();
        cluster.Restart(1);
        cluster.Pass(500_000);
        Assert.Single(claimed);
        cluster.Replicas[3].RestartLog();
        cluster.Restart(3);
        cluster.Pass(500_000);
    }

    /// <summary>It says nothing when it leaves a view, so its log has only what it entered.</summary>
    [Fact]
    public void A_view_that_was_entered_in_silence_is_read_back()
    {
        using InMemoryCluster cluster = new InMemoryCluster(n: 7).Start();
        _ = cluster.Invoke([(byte)'a', 0, 0]);
        cluster.Logs[3] = new MemoryVoteLog();
        cluster.Restart(3, silently: true);
        cluster.Pass(1_000_000);
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        _ = cluster.Invoke([(byte)'a', 0, 0]);
        cluster.Pass(5_000_000);
        Assert.Equal((1, true, true), (cluster.Replicas[3].View.Value, cluster.Replicas[3].ViewActive, cluster.Replicas[3].IsSilent));
        cluster.Restart(3);
        Assert.Equal((1, true, true), (cluster.Replicas[3].View.Value, cluster.Replicas[3].ViewActive, cluster.Replicas[3].IsSilent));
    }

    private static bool IsTag(byte[] message, MessageTag tag) => MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;
}
