using BfsCore;
using BfsCore.Messages;

namespace BfsTests.Engine;

/// <summary>
/// Reads of what was executed and has not committed (§5.1.2, §5.1.3): 2f+1 equal replies of one state and view are enough; else the
/// state must be one of committed batches.
/// </summary>
public sealed class TentativeReadTests : IDisposable
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];
    private static readonly byte[] Read = [(byte)'r', 0, 0];

    /// <summary>Has the same empty result in every state.</summary>
    private static readonly byte[] ReadNothing = [(byte)'r'];

    private readonly InMemoryCluster _cluster = new InMemoryCluster().Start();

    public TentativeReadTests() => _cluster.Settle = false;

    public void Dispose() => _cluster.Dispose();

    private static bool IsTag(byte[] message, MessageTag tag) => MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;

    private IEnumerable<(long Executed, long Committed)> Numbers => _cluster.Replicas.Select(r => (r.LastExecuted.Value, r.LastCommitted.Value));

    /// <summary>Of the first client's second operation.</summary>
    private byte[] SecondResult => _cluster.Results[0].Completed[2];

    private long ReadsExecuted => _cluster.Replicas.Sum(r => r.Counters.ReadOnlyExecuted);

    [Fact]
    public void A_read_after_a_write_needs_no_commits()
    {
        int commits = 0;
        _cluster.Filter = (_, _, m) =>
        {
            commits += IsTag(m, MessageTag.Commit) ? 1 : 0;
            return true;
        };
        _cluster.Invoke(Add);
        Assert.Equal(1, BitConverter.ToInt64(_cluster.Invoke(Read, readOnly: true)!));
        Assert.Equal(0, commits);
        Assert.All(Numbers, n => Assert.Equal((1, 0), n));
    }

    /// <summary>The second batch prepares at replicas 0 and 1 only: there reads are of another state than at 2 and 3.</summary>
    private void Divide()
    {
        _cluster.Invoke(Add);
        _cluster.Filter = (to, _, m) => to is 0 or 1 || to >= Limits.FirstClientId || !IsTag(m, MessageTag.Prepare);
        _cluster.Clients[1].TryInvoke(Add, false, 1);
        _cluster.Run();
        Assert.Equal([(2, 1), (2, 1), (1, 1), (1, 1)], Numbers);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Replies_of_different_states_are_no_certificate(bool sameResult)
    {
        Divide();
        Assert.Null(_cluster.Invoke(sameResult ? ReadNothing : Read, readOnly: true));
        Assert.Equal((1, 0), (_cluster.Clients[0].CommittedReads, _cluster.Clients[0].ReadOnlyRetries));
        // Two tentative executions, and what the others answered twice.
        Assert.Equal(2 + 2 + 2, ReadsExecuted);
        _cluster.Filter = (_, _, _) => true;
        _cluster.Pass(1_000_000);
        byte[] result = SecondResult;
        Assert.Equal((1, sameResult ? 0 : 1), (_cluster.Clients[0].CommittedReads, _cluster.Clients[0].ReadOnlyRetries));
        Assert.Equal(sameResult ? 0 : 2, result.Length == 0 ? 0 : BitConverter.ToInt64(result));
    }

    /// <summary>So that one that is faulty does not make the client ask for ever.</summary>
    [Fact]
    public void Who_was_asked_for_committed_state_is_not_heard_with_another()
    {
        Divide();
        List<(int To, int From, byte[] Bytes)> tentative = [];
        Func<int, int, byte[], bool> divided = _cluster.Filter;
        _cluster.Filter = (to, from, m) =>
        {
            if (from is 0 or 1 && to >= Limits.FirstClientId && IsTag(m, MessageTag.Reply))
            {
                tentative.Add((to, from, m));
            }
            return divided(to, from, m);
        };
        Assert.Null(_cluster.Invoke(ReadNothing, readOnly: true));
        Assert.Equal(2, tentative.Count);
        foreach ((int to, int from, byte[] bytes) in tentative.ToArray())
        {
            _cluster.Inject(to, from, bytes);
        }
        _cluster.Run();
        Assert.Equal((1, 0), (_cluster.Clients[0].CommittedReads, _cluster.Clients[0].ReadOnlyRetries));
    }

    /// <summary>Others may have executed it, and the commits of the one before come with it.</summary>
    [Fact]
    public void While_the_next_batch_is_coming_a_read_waits_for_commits()
    {
        _cluster.Invoke(Add);
        _cluster.Filter = (_, _, m) => !IsTag(m, MessageTag.Prepare) && !IsTag(m, MessageTag.Commit);
        _cluster.Clients[1].TryInvoke(Add, false, 1);
        _cluster.Run();
        Assert.All(Numbers, n => Assert.Equal((1, 0), n));
        Assert.Null(_cluster.Invoke(Read, readOnly: true));
        Assert.Equal((0, 0), (ReadsExecuted, _cluster.Clients[0].CommittedReads));
        _cluster.Filter = (_, _, _) => true;
        _cluster.Pass(1_000_000);
        Assert.InRange(BitConverter.ToInt64(SecondResult), 1, 2);
    }

    [Fact]
    public void Who_has_left_the_view_answers_no_reads_of_it_before_they_have_committed()
    {
        _cluster.Invoke(Add);
        _cluster.Filter = (to, from, _) => to >= Limits.FirstClientId || from >= Limits.FirstClientId;
        _cluster.Replicas.ForEach(r => r.LeaveView());
        Assert.Null(_cluster.Invoke(Read, readOnly: true));
        Assert.Equal(0, ReadsExecuted);
        _cluster.Filter = (_, _, _) => true;
        _cluster.Pass(3_000_000);
        Assert.Equal(1, BitConverter.ToInt64(SecondResult));
    }

    /// <summary>A replica that others' commits are enough for reads at once, but the others need its own.</summary>
    [Fact]
    public void A_read_in_committed_state_hurries_the_commits_of_all_who_get_it()
    {
        Divide();
        List<int> committed = [];
        Func<int, int, byte[], bool> divided = _cluster.Filter;
        _cluster.Filter = (to, from, m) =>
        {
            if (IsTag(m, MessageTag.Commit))
            {
                committed.Add(from);
            }
            return divided(to, from, m);
        };
        _cluster.Invoke(Read, readOnly: true);
        Assert.Equal([0, 0, 0, 1, 1, 1], committed.Order());
    }

    /// <summary>Whether such a read came after the last batch tells whether one will come after this one.</summary>
    [Fact]
    public void Where_reads_in_committed_state_come_between_batches_commits_do_not_wait()
    {
        Divide();
        _cluster.Invoke(Read, readOnly: true);
        _cluster.Filter = (_, _, _) => true;
        _cluster.Pass(1_000_000);
        long before = _cluster.Replicas[0].LastCommitted.Value;
        // Lost on its way to everybody, and sent again: then it is to be executed in committed state.
        _cluster.Filter = (to, _, m) => to >= Limits.FirstClientId || !IsTag(m, MessageTag.Request);
        Assert.Null(_cluster.Invoke(Read, readOnly: true));
        _cluster.Filter = (_, _, _) => true;
        _cluster.Pass(200_000);
        _cluster.Invoke(Add);
        Assert.All(Numbers, n => Assert.Equal((before + 1, before + 1), n));
        _cluster.Invoke(Read, readOnly: true);
        _cluster.Invoke(Add);
        Assert.All(Numbers, n => Assert.Equal((before + 2, before + 1), n));
    }
}
