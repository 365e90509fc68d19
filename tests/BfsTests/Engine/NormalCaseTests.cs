using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>The normal case: §2.3.2 to §2.3.4, §3.2.2, §3.2.3, §5.1.</summary>
public sealed class NormalCaseTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];
    private static readonly byte[] Read = [(byte)'r', 0, 0];

    private static long Value(byte[]? result) => BitConverter.ToInt64(Assert.IsType<byte[]>(result));

    private static bool IsTag(byte[] message, MessageTag tag) =>
        MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;

    [Fact]
    public void One_operation_takes_the_messages_of_figure_5_1()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        var counts = new Dictionary<MessageTag, int>();
        cluster.Filter = (_, _, m) =>
        {
            MessageHeader.TryReadTag(m, out MessageTag tag);
            counts[tag] = counts.GetValueOrDefault(tag) + 1;
            return true;
        };
        Assert.Equal(1, Value(cluster.Invoke(Add)));
        Assert.Equal(1, counts[MessageTag.Request]);
        Assert.Equal(3, counts[MessageTag.PrePrepare]);
        Assert.Equal(9, counts[MessageTag.Prepare]);
        Assert.Equal(12, counts[MessageTag.Commit]);
        Assert.Equal(4, counts[MessageTag.Reply]);
        Assert.Equal(5, counts.Count);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.LastCommitted.Value));
    }

    [Fact]
    public void Commits_wait_for_the_next_batch_and_go_alone_when_none_comes()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Settle = false;
        int commits = 0;
        cluster.Filter = (_, _, m) =>
        {
            commits += IsTag(m, MessageTag.Commit) ? 1 : 0;
            return true;
        };
        cluster.Invoke(Add);
        Assert.Equal(0, commits);
        Assert.All(cluster.Replicas, r => Assert.Equal((1, 0), (r.LastExecuted.Value, r.LastCommitted.Value)));
        cluster.Invoke(Add);
        Assert.Equal(12, commits);
        Assert.All(cluster.Replicas, r => Assert.Equal((2, 1), (r.LastExecuted.Value, r.LastCommitted.Value)));
        cluster.Pass(1_000, stepMicros: 500);
        Assert.Equal(24, commits);
        Assert.All(cluster.Replicas, r => Assert.Equal(2, r.LastCommitted.Value));
    }

    [Fact]
    public void Read_only_operations_take_one_round_trip()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Invoke(Add);
        cluster.Settle = false;
        int messages = 0;
        cluster.Filter = (_, _, _) => ++messages > 0;
        Assert.Equal(1, Value(cluster.Invoke(Read, readOnly: true)));
        Assert.Equal(8, messages);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.LastExecuted.Value));
    }

    [Fact]
    public void A_write_flagged_read_only_is_not_executed()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        Assert.Null(cluster.Invoke(Add, readOnly: true));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.Counters.ReadOnlyExecuted));
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.Counters.Dropped(DropReason.NotReadOnly)));
    }

    [Fact]
    public void Checkpoints_become_stable_and_truncate_the_log()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }).Start();
        for (int i = 1; i <= 50; i++)
        {
            Assert.Equal(i, Value(cluster.Invoke(Add)));
        }
        Assert.All(cluster.Replicas, r => Assert.Equal(48, r.StableCheckpoint.Value));
        Assert.All(cluster.Pages, p => Assert.Equal(1, p.CheckpointCount));
        Assert.Single(cluster.Replicas.Select(r => r.StableDigest).Distinct());
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.RequestBytesHeld));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5_000)]
    [InlineData(60_000)]
    public void Large_requests_travel_separately_and_large_results_come_once(int bytes)
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        byte[] operation = new byte[3 + bytes];
        Add.CopyTo(operation, 0);
        operation[1] = (byte)bytes;
        operation[2] = (byte)(bytes >> 8);
        int large = 0, prePrepareBytes = 0;
        cluster.Filter = (_, _, m) =>
        {
            large += IsTag(m, MessageTag.Reply) && m.Length > 1000 ? 1 : 0;
            prePrepareBytes = IsTag(m, MessageTag.PrePrepare) ? m.Length : prePrepareBytes;
            return true;
        };
        byte[]? result = cluster.Invoke(operation);
        Assert.Equal(Math.Max(16, bytes), result!.Length);
        Assert.Equal(bytes > 1000 ? 1 : 0, large);
        Assert.True(prePrepareBytes < 300);
    }

    [Fact]
    public void Concurrent_requests_share_batches()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { WindowSize = 1 }).Start();
        for (int i = 0; i < 8; i++)
        {
            Assert.True(cluster.Clients[0].TryInvoke(Add, false, 100 + i));
            Assert.True(cluster.Clients[1].TryInvoke(Add, false, 100 + i));
        }
        Assert.False(cluster.Clients[0].TryInvoke(Add, false, 200));
        cluster.Run();
        Assert.Equal(8, cluster.Results[0].Completed.Count);
        Assert.Equal(8, cluster.Results[1].Completed.Count);
        Assert.All(cluster.Replicas, r => Assert.Equal(16, r.Counters.RequestsExecuted));
        Assert.InRange(cluster.Replicas[0].LastExecuted.Value, 1, 3);
    }

    [Fact]
    public void Agreed_time_grows_with_every_batch_though_clocks_stand_still()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        long last = 0;
        for (int i = 0; i < 5; i++)
        {
            long time = BitConverter.ToInt64(cluster.Invoke(Add)!, 8);
            Assert.True(time > last);
            last = time;
        }
    }

    [Fact]
    public void A_request_is_executed_once_however_often_it_is_sent()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        byte[]? request = null;
        cluster.Filter = (_, _, m) =>
        {
            request = IsTag(m, MessageTag.Request) ? m : request;
            return true;
        };
        cluster.Invoke(Add);
        for (int i = 0; i < 4; i++)
        {
            cluster.Inject(i, Limits.FirstClientId, request!);
        }
        cluster.Run();
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.Counters.RequestsExecuted));
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.Counters.Retransmitted));
        Assert.Equal(2, Value(cluster.Invoke(Add)));
    }

    [Fact]
    public void One_mute_backup_changes_nothing()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }).Start();
        cluster.Filter = (_, from, _) => from != 2;
        for (int i = 1; i <= 20; i++)
        {
            Assert.Equal(i, Value(cluster.Invoke(Add)));
            Assert.Equal(i, Value(cluster.Invoke(Read, readOnly: true)));
        }
        Assert.Equal(20, cluster.Replicas[0].StableCheckpoint.Value);
    }

    [Theory]
    [InlineData(MessageTag.Request)]
    [InlineData(MessageTag.PrePrepare)]
    [InlineData(MessageTag.Prepare)]
    [InlineData(MessageTag.Commit)]
    [InlineData(MessageTag.Reply)]
    public void The_first_messages_of_any_kind_may_be_lost(MessageTag lost)
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        int left = 12;
        cluster.Filter = (_, _, m) => !(IsTag(m, lost) && left-- > 0);
        cluster.Invoke(Add);
        cluster.Pass(10_000_000);
        Assert.Equal(1, Value(cluster.Results[0].Completed[1]));
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.LastCommitted.Value));
        Assert.Equal(2, Value(cluster.Invoke(Add)));
    }

    [Fact]
    public void A_large_request_that_missed_a_backup_is_fetched_from_another_replica()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        byte[] operation = new byte[2000];
        Add.CopyTo(operation, 0);
        cluster.Filter = (to, from, m) => !(IsTag(m, MessageTag.Request) && to == 3 && from >= Limits.FirstClientId);
        Assert.Equal(1, Value(cluster.Invoke(operation)));
        Assert.Equal(0, cluster.Replicas[3].LastExecuted.Value);
        cluster.Pass(1_000_000);
        Assert.Equal(1, cluster.Replicas[3].LastCommitted.Value);
    }

    [Fact]
    public void A_replica_that_was_cut_off_catches_up_inside_the_log()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 16, LogSize = 32 }).Start();
        cluster.Filter = (to, from, _) => to != 3 && from != 3;
        for (int i = 1; i <= 30; i++)
        {
            Assert.Equal(i, Value(cluster.Invoke(Add)));
        }
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(20_000_000);
        Assert.Equal(30, cluster.Replicas[3].LastCommitted.Value);
        Assert.Equal(16, cluster.Replicas[3].StableCheckpoint.Value);
    }

    [Fact]
    public void A_replica_left_behind_fetches_only_the_pages_that_differ()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }).Start();
        for (int i = 1; i <= 4; i++)
        {
            cluster.Invoke(Add);
        }
        cluster.Filter = (to, from, _) => to != 3 && from != 3;
        for (int i = 5; i <= 100; i++)
        {
            Assert.Equal(i, Value(cluster.Invoke(Add)));
        }
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(5_000_000);
        Replica late = cluster.Replicas[3];
        Assert.Equal(100, late.LastCommitted.Value);
        Assert.Equal(100, late.StableCheckpoint.Value);
        Assert.Equal(1, late.Counters.StateTransfers);
        // The counter's page, the table's header and the record of the client's slot.
        Assert.Equal(3, late.Counters.PagesFetched);
        Assert.Equal(101, Value(cluster.Invoke(Add)));
        Assert.Equal(101, late.LastCommitted.Value);
    }

    [Fact]
    public void Exactly_once_survives_a_state_transfer()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }).Start();
        byte[]? request = null;
        cluster.Filter = (to, from, m) =>
        {
            request = IsTag(m, MessageTag.Request) ? m : request;
            return to != 3 && from != 3;
        };
        for (int i = 1; i <= 20; i++)
        {
            cluster.Invoke(Add);
        }
        byte[] last = request!;
        cluster.Filter = (_, _, _) => true;
        cluster.Pass(5_000_000);
        cluster.Inject(3, Limits.FirstClientId, last);
        cluster.Run();
        Assert.Equal(0, cluster.Replicas[3].Counters.RequestsExecuted);
        Assert.Equal(1, cluster.Replicas[3].Counters.Retransmitted);
    }

    [Fact]
    public void Corrupt_answers_to_FETCH_are_refused_and_asked_for_elsewhere()
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { CheckpointPeriod = 4, LogSize = 8 }).Start();
        cluster.Filter = (to, from, _) => to != 3 && from != 3;
        for (int i = 1; i <= 40; i++)
        {
            cluster.Invoke(Add);
        }
        cluster.Filter = (_, from, m) =>
        {
            if (from == 1 && (IsTag(m, MessageTag.MetaData) || IsTag(m, MessageTag.Data)))
            {
                m[^100] ^= 1;
            }
            return true;
        };
        cluster.Pass(5_000_000);
        Assert.Equal(40, cluster.Replicas[3].LastCommitted.Value);
        Assert.Equal(41, Value(cluster.Invoke(Add)));
    }

    [Fact]
    public void A_replica_whose_results_do_not_come_is_not_asked_for_them()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = (_, from, _) => from != 2;
        byte[] operation = [(byte)'a', 100, 0];
        for (int i = 1; i <= 100; i++)
        {
            cluster.Invoke(operation);
            cluster.Pass(100_000);
            Assert.Equal(i, cluster.Results[0].Completed.Count);
        }
        // Every fourth without the memory.
        Assert.InRange(cluster.Clients[0].Retransmissions, 1, 3);
    }
}
