using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>BFT-PK: every message is signed, and view-changes prove what they say (§2.3).</summary>
public sealed class BftPkTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];
    private static readonly byte[] Read = [(byte)'r', 0, 0];

    private static long Value(byte[]? result) => BitConverter.ToInt64(Assert.IsType<byte[]>(result));

    private static bool IsTag(byte[] message, MessageTag tag) =>
        MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;

    private static ClusterConfig Signed(ClusterConfig config) =>
        config with { Mode = ClusterMode.BftPk, KeyRefreshMillis = 0, WatchdogSeconds = 0 };

    private static InMemoryCluster NewCluster(Func<ClusterConfig, ClusterConfig>? adjust = null, int n = 4) =>
        new InMemoryCluster(c => Signed(adjust?.Invoke(c) ?? c), n).Start();

    private static long Await(InMemoryCluster cluster, long maxMicros = 20_000_000)
    {
        long tag = cluster.Results[0].NextTag;
        cluster.Invoke(Add);
        for (long waited = 0; waited < maxMicros && !cluster.Results[0].Completed.ContainsKey(tag); waited += 20_000)
        {
            cluster.Pass(20_000);
        }
        return Value(cluster.Results[0].Completed.GetValueOrDefault(tag));
    }

    [Fact]
    public void One_operation_takes_the_same_messages_as_with_macs_each_with_one_signature()
    {
        using InMemoryCluster cluster = NewCluster();
        var sizes = new Dictionary<MessageTag, List<int>>();
        cluster.Filter = (_, _, m) =>
        {
            Assert.True(MessageHeader.TryReadTag(m, out MessageTag tag));
            sizes.TryAdd(tag, []);
            sizes[tag].Add(m.Length);
            return true;
        };
        Assert.Equal(1, Value(cluster.Invoke(Add)));
        int request = Request.HeaderBytes + Add.Length + 64;
        Assert.Equal(Enumerable.Repeat(request, 1), sizes[MessageTag.Request]);
        Assert.Equal(Enumerable.Repeat(PrePrepare.HeaderBytes + 4 + request + 64, 3), sizes[MessageTag.PrePrepare]);
        Assert.Equal(Enumerable.Repeat(Vote.HeaderBytes + 64, 9), sizes[MessageTag.Prepare]);
        Assert.Equal(Enumerable.Repeat(Vote.HeaderBytes + 64, 12), sizes[MessageTag.Commit]);
        Assert.Equal(Enumerable.Repeat(Reply.HeaderBytes + 16 + 64, 4), sizes[MessageTag.Reply]);
        Assert.Equal(5, sizes.Count);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.LastCommitted.Value));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(7)]
    public void Operations_reads_and_checkpoints(int n)
    {
        using InMemoryCluster cluster = NewCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }, n);
        for (int i = 1; i <= 13; i++)
        {
            Assert.Equal(i, Value(cluster.Invoke(Add)));
            Assert.Equal(i, Value(cluster.Invoke(Read, readOnly: true)));
        }
        Assert.All(cluster.Replicas, r => Assert.Equal((13, 12), (r.LastCommitted.Value, r.StableCheckpoint.Value)));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.ViewChanges + r.Counters.SignaturesDemanded + r.Counters.ClientsSuspected));
    }

    [Theory]
    [InlineData(MessageTag.PrePrepare)]
    [InlineData(MessageTag.Prepare)]
    [InlineData(MessageTag.Commit)]
    [InlineData(MessageTag.Checkpoint)]
    [InlineData(MessageTag.StatusActive)]
    [InlineData(MessageTag.Reply)]
    public void A_message_of_one_replica_with_a_bad_signature_counts_for_nothing(MessageTag tag)
    {
        using InMemoryCluster cluster = NewCluster(c => c with { CheckpointPeriod = 2, LogSize = 4, WindowSize = 2 });
        cluster.Filter = (_, from, m) =>
        {
            if (from == (tag == MessageTag.PrePrepare ? 0 : 3) && IsTag(m, tag))
            {
                m[^1] ^= 1;
            }
            return true;
        };
        for (int i = 1; i <= 5; i++)
        {
            Assert.Equal(i, Await(cluster));
        }
        cluster.Pass(3_000_000);
        Assert.All(cluster.Replicas.Take(3), r => Assert.Equal((5, 4), (r.LastCommitted.Value, r.StableCheckpoint.Value)));
        // A primary whose pre-prepares nobody takes is replaced; others are done without.
        Assert.All(cluster.Replicas, r => Assert.Equal(tag == MessageTag.PrePrepare, r.View.Value > 0));
    }

    [Fact]
    public void Three_replies_with_bad_signatures_are_no_certificate()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Filter = (_, from, m) =>
        {
            if (from < 2 && IsTag(m, MessageTag.Reply))
            {
                m[^1] ^= 1;
            }
            return true;
        };
        Assert.Null(cluster.Invoke(Add));
    }

    [Fact]
    public void A_request_with_a_bad_signature_is_not_ordered_and_changes_no_view()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Filter = (_, from, m) =>
        {
            if (from >= Limits.FirstClientId && IsTag(m, MessageTag.Request))
            {
                m[^1] ^= 1;
            }
            return true;
        };
        Assert.Null(cluster.Invoke(Add));
        cluster.Pass(5_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal((0, 0L), (r.LastExecuted.Value, r.View.Value)));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.SignaturesDemanded));
    }

    [Fact]
    public void A_primary_that_makes_up_a_request_is_replaced()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Filter = (_, from, m) =>
        {
            if (from == 0 && PrePrepare.TryParse(m, cluster.Config.Format, out PrePrepare honest) && honest.RequestCount == 1)
            {
                // Another operation in the client's name, under digests and a signature of the primary that are right.
                Span<byte> request = m.AsSpan(PrePrepare.HeaderBytes + 4, honest.PayloadBytes - 4);
                Assert.True(Request.TryParse(request, cluster.Config.Format, out Request like));
                byte[] operation = [(byte)'a', 9, 0];
                Request.Write(request, cluster.Config.Format, like.Client, like.Slot, false, like.Session, like.Timestamp, like.Replier, like.Flags, operation);
                byte[] digests = new byte[12 + Digest.SizeBytes];
                request.Slice(16, Digest.SizeBytes).CopyTo(digests.AsSpan(12));
                PrePrepare.BatchDigest(honest.TimeNanos, 1, digests).Write(m.AsSpan(32));
                cluster.KeysOf(0).Sign(0, m.AsSpan(0, PrePrepare.HeaderBytes), m.AsSpan(m.Length - 64));
            }
            return true;
        };
        Assert.Equal(1, Await(cluster));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.True(r.View.Value > 0));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(7)]
    public void Primaries_may_die_one_after_the_other(int n)
    {
        using InMemoryCluster cluster = NewCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }, n);
        int dead = -1;
        cluster.Filter = (to, from, _) => to != dead && from != dead;
        int value = 0;
        for (int round = 0; round < n + 1; round++)
        {
            dead = (int)(cluster.Replicas.Max(r => r.View.Value) % n);
            for (int i = 0; i < 5; i++)
            {
                Assert.Equal(++value, Await(cluster, 60_000_000));
            }
            dead = -1;
            cluster.Pass(6_000_000);
        }
        Assert.Single(cluster.Replicas.Select(r => r.LastCommitted).Distinct());
        Assert.Single(cluster.Replicas.Select(r => r.View).Distinct());
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.Dropped(DropReason.BadCertificate)));
    }

    [Fact]
    public void A_view_change_needs_no_acknowledgments()
    {
        using InMemoryCluster cluster = NewCluster();
        Assert.Equal(1, Await(cluster));
        bool acknowledged = false;
        cluster.Filter = (to, from, m) =>
        {
            acknowledged |= IsTag(m, MessageTag.ViewChangeAck);
            return to != 0 && from != 0;
        };
        Assert.Equal(2, Await(cluster));
        Assert.False(acknowledged);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1, true, 1L), (r.View.Value, r.ViewActive, r.Counters.ViewChanges)));
    }

    /// <summary>A batch that prepared at replica 1 alone; nothing of it has committed anywhere.</summary>
    private static void PrepareAtOneAlone(InMemoryCluster cluster)
    {
        Assert.Equal(1, Await(cluster));
        cluster.Filter = (to, _, m) => !(IsTag(m, MessageTag.Prepare) && to != 1) && !IsTag(m, MessageTag.Commit);
        cluster.Invoke(Add);
        Assert.Equal(2, cluster.Replicas[1].LastExecuted.Value);
        Assert.Equal(1, cluster.Replicas[2].LastExecuted.Value);
    }

    [Fact]
    public void What_prepared_somewhere_is_proposed_again()
    {
        using InMemoryCluster cluster = NewCluster();
        PrepareAtOneAlone(cluster);
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        cluster.Replicas[1].LeaveView();
        cluster.Replicas[2].LeaveView();
        cluster.Pass(10_000_000);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal(1, r.View.Value));
        Assert.Equal(2, Value(cluster.Results[0].Completed[2]));
        Assert.Equal(3, Await(cluster));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.Rollbacks));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal(3, r.Counters.RequestsExecuted));
    }

    [Fact]
    public void What_prepared_is_proven_again_after_a_restart()
    {
        using InMemoryCluster cluster = NewCluster();
        PrepareAtOneAlone(cluster);
        cluster.Filter = (to, from, _) => to != 0 && from != 0 && to < Limits.FirstClientId && from < Limits.FirstClientId;
        cluster.Restart(1);
        cluster.Replicas[1].LeaveView();
        cluster.Replicas[2].LeaveView();
        cluster.Pass(2_000_000);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1L, true, 2L), (r.View.Value, r.ViewActive, r.LastCommitted.Value)));
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        Assert.Equal(3, Await(cluster));
    }

    /// <summary>The second certificate rests on a pre-prepare that the new view's primary signed with its NEW-VIEW.</summary>
    [Fact]
    public void What_prepared_in_a_new_view_only_is_proven_too_also_after_a_restart()
    {
        using InMemoryCluster cluster = NewCluster();
        PrepareAtOneAlone(cluster);
        var proven = new List<View>();
        cluster.Filter = (to, from, m) =>
        {
            if (ViewChange.TryParse(m, cluster.Config, out ViewChange v) && v.PreparedCount > 0)
            {
                proven.Add(v.Prepared(v.PreparedCount - 1).View);
            }
            return to != 0 && from != 0 && to < Limits.FirstClientId && !IsTag(m, MessageTag.Commit) && !IsTag(m, MessageTag.Committed);
        };
        cluster.Replicas[1].LeaveView();
        cluster.Replicas[2].LeaveView();
        cluster.Pass(100_000);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1L, true, 2L), (r.View.Value, r.ViewActive, r.LastExecuted.Value)));
        cluster.Restart(3);
        cluster.Replicas[3].LeaveView();
        cluster.Replicas[2].LeaveView();
        cluster.Pass(100_000);
        Assert.Contains(new View(1), proven);
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        Assert.Equal(3, Await(cluster));
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal(0, r.Counters.Dropped(DropReason.BadCertificate)));
    }

    [Fact]
    public void All_may_end_at_once_and_go_on_in_another_view()
    {
        using InMemoryCluster cluster = NewCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 });
        for (int i = 1; i <= 6; i++)
        {
            Assert.Equal(i, Await(cluster));
        }
        for (int i = 0; i < 4; i++)
        {
            cluster.Restart(i);
        }
        cluster.Replicas[1].LeaveView();
        cluster.Replicas[2].LeaveView();
        cluster.Pass(3_000_000);
        Assert.Equal(7, Await(cluster));
        Assert.All(cluster.Replicas, r => Assert.True(r.View.Value > 0 && r.ViewActive));
    }

    [Fact]
    public void One_that_has_lost_everything_is_silent_and_then_takes_part_in_view_changes()
    {
        using InMemoryCluster cluster = NewCluster(c => c with { CheckpointPeriod = 2, LogSize = 4, WindowSize = 2 });
        int value = 0;
        while (value < 5)
        {
            Assert.Equal(++value, Await(cluster));
        }
        cluster.Logs[3] = new BfsSim.Nodes.MemoryVoteLog();
        cluster.Restart(3, silently: true);
        for (int i = 0; i < 12; i++)
        {
            Assert.Equal(++value, Await(cluster));
            cluster.Pass(500_000);
        }
        Assert.False(cluster.Replicas[3].IsSilent);
        cluster.Filter = (to, from, _) => to != 0 && from != 0;
        Assert.Equal(++value, Await(cluster));
    }

    [Fact]
    public void One_that_was_told_something_else_takes_the_view_change_that_the_new_view_names()
    {
        using InMemoryCluster cluster = NewCluster();
        for (int i = 1; i <= 3; i++)
        {
            Assert.Equal(i, Await(cluster));
        }
        int lies = 0;
        cluster.Filter = (to, from, m) =>
        {
            if (from == 3 && to == 2 && ViewChange.TryParse(m, cluster.Config, out ViewChange honest) && honest.PreparedCount > 0)
            {
                // Nothing prepared, it says to this one: proven too.
                byte[] lie = new byte[ViewChange.SizeFor(0, 0, 0, cluster.Config.Format)];
                ViewChange.Write(lie, cluster.Config.Format, honest.View, honest.StableCheckpoint, honest.Replica, [], [], []);
                cluster.KeysOf(3).Sign(3, lie.AsSpan(0, ViewChange.HeaderBytes), lie.AsSpan(lie.Length - 64));
                cluster.Replicas[2].Step(lie, default);
                lies++;
                return false;
            }
            return to != 0 && from != 0;
        };
        cluster.Replicas[3].LeaveView();
        cluster.Replicas[2].LeaveView();
        cluster.Pass(200_000);
        Assert.True(lies > 0);
        Assert.All(cluster.Replicas.Skip(1), r => Assert.Equal((1L, true), (r.View.Value, r.ViewActive)));
        Assert.Equal(4, Await(cluster));
    }

    [Fact]
    public void A_new_view_with_a_wrong_batch_is_refused()
    {
        using InMemoryCluster cluster = NewCluster();
        PrepareAtOneAlone(cluster);
        bool lied = false;
        cluster.Filter = (to, from, m) =>
        {
            if (from == 1 && NewView.TryParse(m, cluster.Config, out NewView honest) && honest.BatchCount > 0)
            {
                lied = true;
                OverwriteBatch(cluster, m, honest);
            }
            return to != 0 && from != 0;
        };
        cluster.Replicas[2].LeaveView();
        cluster.Replicas[3].LeaveView();
        cluster.Pass(10_000_000);
        Assert.True(lied);
        Assert.Equal(2, Value(cluster.Results[0].Completed[2]));
        Assert.All(cluster.Replicas.Skip(2), r => Assert.True(r.View.Value > 1));
    }

    /// <summary>The primary of view 1 makes the last batch null, with its own right signatures.</summary>
    private static void OverwriteBatch(InMemoryCluster cluster, byte[] message, in NewView honest)
    {
        List<ViewChangeEntry> v = [], x = [];
        for (int i = 0; i < honest.ViewChangeCount; i++)
        {
            (ReplicaId replica, Digest identity) = honest.ViewChangeAt(i);
            v.Add(new ViewChangeEntry(new SeqNum(replica.Value), identity, default));
        }
        byte[] signatures = new byte[honest.BatchCount * 64];
        byte[] header = new byte[PrePrepare.HeaderBytes];
        for (int i = 0; i < honest.BatchCount; i++)
        {
            SeqNum seq = honest.Checkpoint + 1 + i;
            x.Add(new ViewChangeEntry(seq, i == honest.BatchCount - 1 ? default : honest.BatchAt(i), default));
            NewView.PrePrepareHeader(header, cluster.Config.Format, honest.View, seq, x[i].Digest);
            cluster.KeysOf(1).Sign(1, header, signatures.AsSpan(i * 64, 64));
        }
        NewView.Write(message, cluster.Config.Format, honest.View, honest.Checkpoint, honest.CheckpointDigest, honest.Primary, v, x, signatures);
        cluster.KeysOf(1).Sign(1, message.AsSpan(0, NewView.HeaderBytes), message.AsSpan(message.Length - 64));
    }

    [Fact]
    public void A_new_view_without_the_signatures_of_its_pre_prepares_is_refused()
    {
        using InMemoryCluster cluster = NewCluster();
        PrepareAtOneAlone(cluster);
        cluster.Filter = (to, from, m) =>
        {
            if (from == 1 && NewView.TryParse(m, cluster.Config, out NewView honest) && honest.BatchCount > 0)
            {
                int at = m.Length - 128;
                m[at] ^= 1;
                System.Security.Cryptography.SHA256.HashData(m.AsSpan(NewView.HeaderBytes..^64), m.AsSpan(64));
                cluster.KeysOf(1).Sign(1, m.AsSpan(0, NewView.HeaderBytes), m.AsSpan(m.Length - 64));
            }
            return to != 0 && from != 0;
        };
        cluster.Replicas[2].LeaveView();
        cluster.Replicas[3].LeaveView();
        cluster.Pass(10_000_000);
        Assert.Equal(2, Value(cluster.Results[0].Completed[2]));
        Assert.All(cluster.Replicas.Skip(2), r => Assert.True(r.View.Value > 1));
    }

    [Fact]
    public void Recovery_requests_of_replicas_are_not_known()
    {
        ClusterConfig config = NewConfig();
        Assert.Equal(-1, config.RequesterIndex(new ClientId(2), 0));
        Assert.True((config with { Mode = ClusterMode.Bft }).RequesterIndex(new ClientId(2), 0) >= 0);
    }

    private static ClusterConfig NewConfig()
    {
        using InMemoryCluster cluster = NewCluster();
        return cluster.Config;
    }

    [Fact]
    public void What_only_recovery_needs_is_refused_in_the_configuration()
    {
        ClusterConfig config = NewConfig();
        Assert.Null(config.FirstProblem());
        Assert.Contains("watchdogSeconds", (config with { WatchdogSeconds = 3600 }).FirstProblem(), StringComparison.Ordinal);
        Assert.Contains("keyRefreshMillis", (config with { KeyRefreshMillis = 15_000 }).FirstProblem(), StringComparison.Ordinal);
    }
}
