using BfsCore.Messages;

namespace BfsTests.Engine;

/// <summary>
/// A replica that undid a tentative execution is back at a checkpoint, below batches that had committed there: until it has executed
/// them again it answers no reads (simulator seed 9200572 of profile reader, whose history was not linearizable).
/// </summary>
public sealed class ReadsAfterRollbackTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];
    private static readonly byte[] Read = [(byte)'r', 0, 0];

    private static bool IsTag(byte[] message, MessageTag tag) => MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;

    [Fact]
    public void A_read_sees_no_less_than_was_executed_before_a_rollback()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        for (int i = 1; i <= 3; i++)
        {
            Assert.NotNull(cluster.Invoke(Add));
        }
        cluster.Pass(50_000);
        // Only replica 3 prepares the next batch, and executes it tentatively.
        cluster.Filter = (to, _, m) => !IsTag(m, MessageTag.Commit) && (to == 3 || !IsTag(m, MessageTag.Prepare));
        cluster.Clients[1].TryInvoke(Add, false, 100);
        cluster.Run();
        Assert.Equal((4L, 3L), (cluster.Replicas[3].LastExecuted.Value, cluster.Replicas[3].LastCommitted.Value));

        // The others decide on the next view without it; all that reaches it is that decision.
        cluster.Filter = (to, from, m) => from == 3 ? to > 3
            : to != 3 || IsTag(m, MessageTag.ViewChange) || IsTag(m, MessageTag.ViewChangeAck) || IsTag(m, MessageTag.NewView) || IsTag(m, MessageTag.Request);
        for (int i = 0; i < 3; i++)
        {
            cluster.Replicas[i].LeaveView();
        }
        cluster.Run();
        Assert.Equal((1L, 0L), (cluster.Replicas[3].Counters.Rollbacks, cluster.Replicas[3].LastCommitted.Value));
        Assert.NotNull(cluster.Invoke(Read, readOnly: true));
        Assert.Equal((1L, 0L), (cluster.Replicas[0].Counters.ReadOnlyExecuted, cluster.Replicas[3].Counters.ReadOnlyExecuted));

        cluster.Filter = (_, _, _) => true;
        cluster.Pass(3_000_000);
        Assert.NotNull(cluster.Invoke(Add));
        Assert.NotNull(cluster.Invoke(Read, readOnly: true));
        Assert.InRange(cluster.Replicas[3].Counters.ReadOnlyExecuted, 1, 2);
    }
}
