using System.Buffers.Binary;
using BfsCore;
using BfsCore.Client;
using BfsCore.Crypto;
using BfsCore.Replication;
using BfsCore.State;

namespace BfsTests.Engine;

/// <summary>A replica allocates nothing per message once it is warm (§3 of the design).</summary>
public sealed class AllocationTests
{
    private const int Requests = 10_000;

    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(4000, 0, false)]
    [InlineData(9000, 9000, false)]
    [InlineData(0, 0, true)]
    [InlineData(0, 9000, true)]
    public void Nothing_is_allocated_over_10000_requests(int operationBytes, int resultBytes, bool readOnly)
    {
        using var cluster = new PooledCluster();
        byte[] operation = new byte[3 + operationBytes];
        operation[0] = (byte)(readOnly ? 'r' : 'a');
        BinaryPrimitives.WriteUInt16LittleEndian(operation.AsSpan(1), (ushort)resultBytes);
        cluster.Run(operation, readOnly, Requests);
        long before = GC.GetAllocatedBytesForCurrentThread();
        cluster.Run(operation, readOnly, Requests);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(2 * Requests, cluster.Completed);
        Assert.Equal(0, allocated);
    }

    /// <summary>Replicas and a client joined by preallocated rings, so that the harness itself allocates nothing.</summary>
    private sealed class PooledCluster : IClientHandler, IDisposable
    {
        private readonly Ring _ring = new();
        private readonly List<PagedState> _pages = [];
        private readonly Replica[] _replicas;
        private readonly BftClient _client;
        private long _now;

        public PooledCluster()
        {
            using InMemoryCluster template = new(clients: 1);
            ClusterConfig config = template.Config;
            var keys = Enumerable.Range(0, 5).Select(_ => InMemoryCluster.NewKeyPair()).ToArray();
            config = config with
            {
                Replicas = [.. config.Replicas.Select((r, i) => r with { PublicKey = PublicKeys.ToPoint(keys[i].Q) })],
                Clients = [config.Clients[0] with { PublicKey = PublicKeys.ToPoint(keys[4].Q) }],
            };
            _replicas = new Replica[4];
            for (int i = 0; i < 4; i++)
            {
                var pages = new PagedState(Replica.StateBytes(config));
                _pages.Add(pages);
                _replicas[i] = new Replica(new ReplicaId(i), config, pages, new EchoService(), new Port(_ring, i),
                    new TestEntropy((ulong)i), new KeyExchange(config, new KeySigner(keys[i], () => 1)), new MemoryStore(), new ForgetfulVoteLog());
            }
            _client = new BftClient(config.Clients[0].Id, config, new Port(_ring, 4), new TestEntropy(9),
                new KeyExchange(config, new KeySigner(keys[4], () => 1)), this);
            Array.ForEach(_replicas, r => r.Start(Now));
            _client.Start(Now);
            Drain();
        }

        public int Completed { get; private set; }

        private Instant Now => new(_now, 1_700_000_000_000_000_000 + (_now * 1000));

        public void Run(byte[] operation, bool readOnly, int count)
        {
            for (int i = 0; i < count; i++)
            {
                _now += 10;
                _client.TryInvoke(operation, readOnly, i);
                Drain();
            }
        }

        void IClientHandler.Completed(long tag, ReadOnlySpan<byte> result) => Completed++;

        private void Drain()
        {
            do
            {
                while (_ring.TryTake(out int to, out int from, out ReadOnlySpan<byte> message))
                {
                    if (to < 4)
                    {
                        _replicas[to].Step(message, new SourceAddress((ulong)from));
                    }
                    else
                    {
                        _client.Step(message, new SourceAddress((ulong)from));
                    }
                }
                foreach (Replica replica in _replicas)
                {
                    replica.Tick(Now);
                }
                _client.Tick(Now);
            }
            while (!_ring.Empty);
        }

        public void Dispose() => _pages.ForEach(p => p.Dispose());
    }

    private sealed class Ring
    {
        private readonly byte[][] _bytes = [.. Enumerable.Range(0, 256).Select(_ => new byte[Limits.MaxResultBytes + 4096])];
        private readonly (int To, int From, int Length)[] _messages = new (int, int, int)[256];
        private int _head;
        private int _tail;

        public bool Empty => _head == _tail;

        public void Put(int to, int from, ReadOnlySpan<byte> message)
        {
            Assert.True(_tail - _head < 256);
            message.CopyTo(_bytes[_tail % 256]);
            _messages[_tail++ % 256] = (to, from, message.Length);
        }

        public bool TryTake(out int to, out int from, out ReadOnlySpan<byte> message)
        {
            if (Empty)
            {
                (to, from) = (0, 0);
                message = default;
                return false;
            }
            int at = _head++ % 256;
            (to, from, int length) = _messages[at];
            message = _bytes[at].AsSpan(0, length);
            return true;
        }
    }

    private sealed class Port(Ring ring, int self) : INetwork
    {
        public void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message) => ring.Put(to.Value, self, message);

        public void MulticastToReplicas(ReadOnlySpan<byte> message)
        {
            for (int i = 0; i < 4; i++)
            {
                if (i != self)
                {
                    ring.Put(i, self, message);
                }
            }
        }

        public void SendToClient(ClientId to, ReadOnlySpan<byte> message) => ring.Put(4, self, message);

        public void Answer(SourceAddress to, ReadOnlySpan<byte> message) => ring.Put((int)to.Value, self, message);

        public void BindClient(ClientId client, SourceAddress address) { }
    }
}
