using BfsCore;
using BfsCore.Messages;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsTests.Engine;

/// <summary>Reads are executed by 2f+1 replicas, as long as these agree in time (§5.1.3).</summary>
public sealed class PreferredQuorumTests
{
    private static readonly byte[] Read = [(byte)'r', 0, 0];

    /// <summary>Two reads at once.</summary>
    private static byte[]?[] TwoReads(InMemoryCluster cluster, long waitMicros = 0)
    {
        long first = cluster.Results[0].NextTag;
        for (int i = 0; i < 2; i++)
        {
            Assert.True(cluster.Clients[0].TryInvoke(Read, readOnly: true, cluster.Results[0].NextTag++));
        }
        cluster.Run();
        cluster.Pass(waitMicros, 1_000);
        return [.. Enumerable.Range(0, 2).Select(i => cluster.Results[0].Completed.GetValueOrDefault(first + i))];
    }

    private static int[] CountRequests(InMemoryCluster cluster, Func<int, bool> arrives)
    {
        int[] requests = new int[cluster.Config.N];
        cluster.Filter = (to, _, m) =>
        {
            bool request = MessageHeader.TryReadTag(m, out MessageTag tag) && tag == MessageTag.Request;
            if (request)
            {
                requests[to]++;
            }
            return !request || arrives(to);
        };
        return requests;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Reads_go_to_three_of_four_once_these_have_answered(bool preferred)
    {
        using InMemoryCluster cluster = new InMemoryCluster(c => c with { PreferredQuorums = preferred }).Start();
        Assert.All(TwoReads(cluster), Assert.NotNull);
        int[] requests = CountRequests(cluster, _ => true);
        Assert.All(TwoReads(cluster), Assert.NotNull);
        Assert.Equal(preferred ? [0, 2, 2, 2] : [2, 2, 2, 2], requests.Order());
        Assert.Equal(0, cluster.Clients[0].ReadQuorumsWidened);
    }

    [Fact]
    public void One_that_is_silent_costs_a_short_wait_once()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        Assert.All(TwoReads(cluster), Assert.NotNull);
        int[] requests = CountRequests(cluster, _ => true);
        TwoReads(cluster);
        int silent = Array.LastIndexOf(requests, 2);
        CountRequests(cluster, to => to != silent);
        for (int i = 0; i < 20; i++)
        {
            Assert.All(TwoReads(cluster, waitMicros: 60_000), Assert.NotNull);
        }
        Assert.InRange(cluster.Clients[0].ReadQuorumsWidened + cluster.Clients[0].Retransmissions, 1, 3);
        Assert.Equal(0, cluster.Clients[0].ReadOnlyRetries);
    }

    [Fact]
    public void One_that_answers_wrongly_costs_another_round_trip()
    {
        var liar = new Liar();
        int lying = -1;
        using InMemoryCluster cluster = new InMemoryCluster(service: i => i == 2 ? liar : new EchoService()).Start();
        Assert.All(TwoReads(cluster), Assert.NotNull);
        while (lying != 2)
        {
            int[] requests = CountRequests(cluster, _ => true);
            TwoReads(cluster);
            lying = requests[2] == 2 ? 2 : -1;
        }
        liar.Lies = true;
        byte[]?[] results = TwoReads(cluster);
        Assert.All(results, r => Assert.Equal(0, BitConverter.ToInt64(Assert.IsType<byte[]>(r))));
        Assert.Equal(2, cluster.Clients[0].ReadQuorumsWidened);
        Assert.Equal(0, cluster.Clients[0].ReadOnlyRetries);
        for (int i = 0; i < 10; i++)
        {
            Assert.All(TwoReads(cluster, waitMicros: 10_000), r => Assert.Equal(0, BitConverter.ToInt64(Assert.IsType<byte[]>(r))));
        }
    }

    /// <summary>Counts as the echo service does, and says what it likes.</summary>
    private sealed class Liar : IService
    {
        private readonly EchoService _honest = new();

        public bool Lies { get; set; }

        public void Open(StateRegion state) => _honest.Open(state);

        public void StateReplaced() { }

        public bool IsReadOnly(ReadOnlySpan<byte> operation) => _honest.IsReadOnly(operation);

        public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
        {
            int length = _honest.Execute(context, operation, result);
            result[0] ^= Lies ? (byte)1 : (byte)0;
            return length;
        }
    }
}
