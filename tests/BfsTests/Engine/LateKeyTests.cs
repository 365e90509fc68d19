using BfsCore;
using BfsCore.Messages;

namespace BfsTests.Engine;

/// <summary>
/// A client changes its keys, and its next request reaches a replica in the primary's batch before the keys do (§4.3.1): no fault of the
/// client, which is neither suspected nor has to sign.
/// </summary>
public sealed class LateKeyTests
{
    private const int Late = 2;
    private const int Client = Limits.FirstClientId;

    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private byte[]? _newKey;
    private int _prepares;

    /// <summary>Keeps the client's new keys from one replica, and if asked what others prepared.</summary>
    private InMemoryCluster BeforeNewKeys(bool withoutPrepares)
    {
        InMemoryCluster cluster = new InMemoryCluster(c => c with { KeyRefreshMillis = 10_000 }).Start();
        Assert.NotNull(cluster.Invoke(Add));
        cluster.Pass(11_000_000, 50_000);
        cluster.Filter = (to, from, m) =>
        {
            bool keys = to == Late && from == Client && SuspicionTests.IsTag(m, MessageTag.NewKey);
            _newKey = keys ? m : _newKey;
            _prepares += from == Late && SuspicionTests.IsTag(m, MessageTag.Prepare) ? 1 : 0;
            return !keys && !(withoutPrepares && to == Late && SuspicionTests.IsTag(m, MessageTag.Prepare));
        };
        Assert.NotNull(cluster.Invoke(Add));
        Assert.NotNull(_newKey);
        return cluster;
    }

    private void DeliverKeys(InMemoryCluster cluster)
    {
        cluster.Filter = (_, from, m) =>
        {
            _prepares += from == Late && SuspicionTests.IsTag(m, MessageTag.Prepare) ? 1 : 0;
            return true;
        };
        cluster.Inject(Late, Client, _newKey!);
        cluster.Run();
    }

    [Fact]
    public void It_is_not_suspected_when_the_keys_come()
    {
        using InMemoryCluster cluster = BeforeNewKeys(withoutPrepares: false);
        Assert.Equal(3, _prepares);
        cluster.Pass(10_000);
        DeliverKeys(cluster);
        cluster.Pass(1_000_000);
        Assert.NotNull(cluster.Invoke(Add));
        Assert.All(cluster.Replicas, r => Assert.Equal((3L, 0L, 0L), (r.Counters.RequestsExecuted, r.Counters.ClientsSuspected, r.Counters.SignaturesDemanded)));
        Assert.Equal(0, cluster.Clients[0].Signatures);
    }

    [Fact]
    public void What_overtook_the_keys_is_prepared_when_they_come()
    {
        using InMemoryCluster cluster = BeforeNewKeys(withoutPrepares: true);
        Assert.Equal(0, _prepares);
        DeliverKeys(cluster);
        Assert.Equal(3, _prepares);
        cluster.Pass(1_000_000);
        Assert.All(cluster.Replicas, r => Assert.Equal((2L, 0L), (r.LastCommitted.Value, r.Counters.ClientsSuspected)));
    }

    [Fact]
    public void It_is_suspected_when_they_do_not_come()
    {
        using InMemoryCluster cluster = BeforeNewKeys(withoutPrepares: false);
        cluster.Pass(100_000);
        Assert.Equal([0L, 0, 1, 0], cluster.Replicas.Select(r => r.Counters.ClientsSuspected));
    }

    /// <summary>One that writes wrong MACs does not escape by changing its keys.</summary>
    [Fact]
    public void New_keys_do_not_excuse_what_is_wrong_under_them_too()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        RawClient liar = new RawClient(cluster, 1).Start();
        liar.Send(liar.Request(0, 1, Add, wrong: 1 << Late), to: 0b0001);
        cluster.Run();
        byte[] newKey = liar.NewKeyMessage(sameSession: true);
        for (int i = 0; i < 4; i++)
        {
            cluster.Inject(i, liar.Id, newKey);
        }
        cluster.Pass(10_000);
        Assert.Equal(0, cluster.Replicas[Late].Counters.ClientsSuspected);
        cluster.Pass(100_000);
        Assert.Equal([0L, 0, 1, 0], cluster.Replicas.Select(r => r.Counters.ClientsSuspected));
    }
}
