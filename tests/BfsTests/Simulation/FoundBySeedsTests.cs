using System.Buffers.Binary;
using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsTests.Engine;

namespace BfsTests.Simulator;

/// <summary>What seeds of the simulator found, as scenarios.</summary>
public sealed class FoundBySeedsTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    /// <summary>
    /// A pre-prepare names client and slot of a request that travels separately (§5.1.5) beside its digest. Only the digest
    /// is agreed on, so only the request itself may say whose it is: otherwise a primary that tells one backup another
    /// client makes the reply tables of correct replicas differ.
    /// </summary>
    [Fact]
    public void A_primary_that_names_another_client_beside_a_digest_changes_nothing()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }).Start();
        byte[] large = new byte[2000];
        Add.CopyTo(large, 0);
        int changed = 0;
        cluster.Filter = (to, _, m) =>
        {
            if (to == 3 && MessageHeader.TryReadTag(m, out MessageTag tag) && tag == MessageTag.PrePrepare
                && BinaryPrimitives.ReadUInt32LittleEndian(m.AsSpan(PrePrepare.HeaderBytes)) == 0)
            {
                BinaryPrimitives.WriteInt32LittleEndian(m.AsSpan(PrePrepare.HeaderBytes + 4), Limits.FirstClientId + 1);
                changed++;
            }
            return true;
        };
        cluster.Invoke(large);
        cluster.Pass(1_000_000);
        Assert.True(changed > 0);
        Assert.Equal(1, cluster.Replicas[3].LastCommitted.Value);
        for (int i = 0; i < 3; i++)
        {
            cluster.Invoke(Add);
        }
        cluster.Pass(1_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(4, r.StableCheckpoint.Value));
        Assert.All(cluster.Replicas, r => Assert.False(r.Diverged));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.StateTransfers));
    }

    /// <summary>
    /// Seed 17431: of seven replicas four held checkpoint 50, and two of them had gone on to 52. Those left behind counted
    /// last announcements only, never found f+1 = 3 alike, and without them the rest could not go on.
    /// </summary>
    [Fact]
    public void A_checkpoint_counts_for_those_left_behind_though_some_have_gone_on()
    {
        using InMemoryCluster cluster = new(c => c with { CheckpointPeriod = 2, LogSize = 6, WindowSize = 2 }, n: 7);
        var votes = new CheckpointVotes(cluster.Config);
        var zero = new SeqNum(0);
        Digest fifty = Digest.Read(new byte[] { 50 }.Concat(new byte[31]).ToArray());
        Digest fiftyTwo = Digest.Read(new byte[] { 52 }.Concat(new byte[31]).ToArray());
        foreach (int replica in new[] { 0, 1, 5, 6 })
        {
            votes.Add(new SeqNum(50), new ReplicaId(replica), fifty, zero);
        }
        votes.Add(new SeqNum(52), new ReplicaId(0), fiftyTwo, zero);
        votes.Add(new SeqNum(52), new ReplicaId(1), fiftyTwo, zero);
        Assert.True(votes.TryFindAhead(new SeqNum(8), cluster.Config.WeakQuorum, out SeqNum seq, out Digest digest));
        Assert.Equal((new SeqNum(50), fifty), (seq, digest));
        Assert.True(votes.Announced(new ReplicaId(0), new SeqNum(50), fifty));
        Assert.False(votes.Announced(new ReplicaId(0), new SeqNum(50), fiftyTwo));
        Assert.False(votes.TryFindAhead(new SeqNum(50), cluster.Config.WeakQuorum, out _, out _));
    }

    /// <summary>
    /// Seed 491: a correct and a faulty replica name the checkpoint that a new view starts from, and nobody else holds it; the
    /// faulty one then announces another state for that number. The view-changes were proof enough of it for the view, and are
    /// for those who have to fetch it (§3.2.4).
    /// </summary>
    [Fact]
    public void Where_a_new_view_starts_is_fetched_though_a_replica_that_named_it_takes_back_its_word()
    {
        using InMemoryCluster cluster = new InMemoryCluster(
            c => c with { CheckpointPeriod = 4, LogSize = 16, TentativeExecution = false, ViewChangeTimeoutMillis = 60_000 }).Start();
        for (int i = 0; i < 3; i++)
        {
            cluster.Invoke(Add);
        }
        cluster.Filter = (to, from, m) => !MessageHeader.TryReadTag(m, out MessageTag tag)
            || !(tag is MessageTag.Commit && to is 1 or 2) && !(from == 0 && tag is MessageTag.Checkpoint or MessageTag.Committed);
        cluster.Invoke(Add);
        Assert.Equal([4, 3, 3, 4], cluster.Replicas.Select(r => r.LastCommitted.Value));
        Announce(cluster, new SeqNum(4), Digest.Read(new byte[Digest.SizeBytes]));
        foreach (Replica replica in cluster.Replicas)
        {
            replica.LeaveView();
        }
        Func<int, int, byte[], bool> cut = cluster.Filter;
        cluster.Filter = (to, from, m) => MessageHeader.TryReadTag(m, out MessageTag tag)
            && !(from == 2 && tag == MessageTag.ViewChange) && (tag == MessageTag.Commit || cut(to, from, m));
        cluster.Pass(2_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.View.Value));
        Assert.All(cluster.Replicas, r => Assert.Equal(4, r.LastCommitted.Value));
    }

    /// <summary>
    /// Seeds 54925 and 57588: a batch lacked a request when its view was left. In the next view its number was not used yet, another
    /// batch lacked a request too, and when the first request came the old batch was prepared, in the view that was left: this
    /// replica had told the new primary that it had not.
    /// </summary>
    [Fact]
    public void A_batch_of_a_view_that_was_left_is_not_voted_for()
    {
        using InMemoryCluster cluster = new InMemoryCluster(
            c => c with { WindowSize = 4, MaxBatchRequests = 1, ViewChangeTimeoutMillis = 60_000 }).Start();
        byte[] large = new byte[2000];
        Add.CopyTo(large, 0);
        byte[][] requests = new byte[2][];
        int oldVotes = 0;
        cluster.Filter = (to, from, m) =>
        {
            MessageTag tag = MessageHeader.TryReadTag(m, out MessageTag found) ? found : default;
            if (tag == MessageTag.Request && from >= Limits.FirstClientId)
            {
                requests[from - Limits.FirstClientId] = m;
                return to == 0;
            }
            oldVotes += tag == MessageTag.Prepare && from == 3 && m[8] == 0 ? 1 : 0;
            return tag is not (MessageTag.Relay or MessageTag.StatusActive or MessageTag.StatusPending);
        };
        cluster.Invoke(large, client: 0);
        cluster.Invoke(large, client: 1);
        cluster.Replicas.ForEach(r => r.LeaveView());
        cluster.Run();
        Assert.All(cluster.Replicas, r => Assert.Equal((1, true), (r.View.Value, r.ViewActive)));
        // The new primary proposes the first request, which replica 3 lacks; the second one belongs to number 2 of the view before.
        cluster.Replicas[1].Step(requests[0], new SourceAddress(Limits.FirstClientId + 1));
        cluster.Replicas[1].Tick(cluster.Now);
        cluster.Run();
        cluster.Replicas[3].Step(requests[1], new SourceAddress(Limits.FirstClientId + 2));
        cluster.Run();
        Assert.Equal(0, oldVotes);
        Assert.Equal(1, cluster.Replicas[3].View.Value);
    }

    /// <summary>A CHECKPOINT of replica 0 to all others.</summary>
    private static void Announce(InMemoryCluster cluster, SeqNum seq, Digest state)
    {
        var message = new byte[Checkpoint.SizeFor(cluster.Config.Format)];
        Checkpoint.Write(message, cluster.Config.Format, seq, state, new ReplicaId(0));
        cluster.Replicas[0].Keys.Authenticate(message.AsSpan(0, Checkpoint.HeaderBytes), message.AsSpan(Checkpoint.HeaderBytes));
        Func<int, int, byte[], bool> filter = cluster.Filter;
        cluster.Filter = (to, from, m) => ReferenceEquals(m, message) || filter(to, from, m);
        for (int to = 1; to < cluster.Config.N; to++)
        {
            cluster.Inject(to, 0, message);
        }
        cluster.Run();
    }

    /// <summary>Pitfall 2: what is not authenticated is never answered with more bytes than it had.</summary>
    [Fact]
    public void A_request_under_an_unknown_key_is_answered_with_less()
    {
        using InMemoryCluster cluster = new InMemoryCluster();
        byte[]? request = null;
        cluster.Filter = (_, from, m) =>
        {
            request ??= from >= Limits.FirstClientId && MessageHeader.TryReadTag(m, out MessageTag tag)
                && tag == MessageTag.Request ? m : null;
            return from < Limits.FirstClientId;
        };
        cluster.Start();
        cluster.Invoke([]);
        Assert.NotNull(request);
        int answers = 0;
        cluster.Filter = (to, _, m) =>
        {
            if (to >= Limits.FirstClientId)
            {
                answers++;
                Assert.True(m.Length < request.Length, $"{m.Length} bytes in answer to {request.Length}");
            }
            return to < Limits.FirstClientId;
        };
        cluster.Inject(0, Limits.FirstClientId, request);
        cluster.Filter = WithInjected(cluster.Filter, request);
        cluster.Pass(200_000);
        Assert.True(answers > 0);
    }

    /// <summary>Lets the injected message itself pass, which comes from a client's address.</summary>
    private static Func<int, int, byte[], bool> WithInjected(Func<int, int, byte[], bool> filter, byte[] injected) =>
        (to, from, m) => ReferenceEquals(m, injected) || filter(to, from, m);
}
