using System.Diagnostics;
using BfsCore.Client;
using BfsCore.Crypto;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;

namespace BfsBench;

/// <summary>One measured load: operations, how long they took, and what they cost each process.</summary>
internal sealed record LoadResult(double OperationsPerSecond, double MedianLatencyMicros, double[] ServerCpuMicrosPerOperation,
    double ClientCpuMicrosPerOperation, long Retransmissions)
{
    public double BusiestServerCpuMicros => ServerCpuMicrosPerOperation.Max();
}

/// <summary>
/// Closed-loop clients, each with a key, a socket and one operation under way, all in this process on one loop; the first
/// part of a run warms up and is not counted.
/// </summary>
internal sealed class Load : IDisposable
{
    private readonly BenchCluster _cluster;
    private readonly EventLoop _loop = new();
    private readonly List<OneClient> _clients = [];
    private readonly List<IDisposable> _owned = [];

    public Load(BenchCluster cluster, int clients)
    {
        _cluster = cluster;
        for (int i = 0; i < clients; i++)
        {
            UdpTransport transport = UdpTransport.ForClient(cluster.Config);
            FileSigner signer = FileSigner.ForClient(cluster.Directory, cluster.Config, cluster.Config.Clients[i].Id);
            _owned.Add(transport);
            _owned.Add(signer);
            var one = new OneClient(_loop);
            one.Client = new BftClient(cluster.Config.Clients[i].Id, cluster.Config, transport, new SystemEntropy(),
                new KeyExchange(cluster.Config, signer), one);
            _ = new ClientOnLoop(_loop, transport, one.Client);
            _clients.Add(one);
        }
    }

    public LoadResult Run(byte[] operation, bool readOnly, TimeSpan warmUp, TimeSpan measured) =>
        Run(() => (operation, readOnly), warmUp, measured);

    public LoadResult Run(Func<(byte[] Operation, bool ReadOnly)> operations, TimeSpan warmUp, TimeSpan measured)
    {
        Begin(operations);
        RunFor(warmUp);
        long sentAgain = _clients.Sum(c => c.Client.Retransmissions);
        double[] serverCpu = _cluster.CpuMicros();
        double clientCpu = OwnCpuMicros();
        _clients.ForEach(c => c.Reset());
        long start = Stopwatch.GetTimestamp();
        RunFor(measured);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        long done = _clients.Sum(c => (long)c.Latencies.Count);
        double[] latencies = [.. _clients.SelectMany(c => c.Latencies).Order()];
        double[] serverCpuAfter = _cluster.CpuMicros();
        double clientCpuAfter = OwnCpuMicros();
        Finish();
        return new LoadResult(done / seconds, latencies.Length == 0 ? double.NaN : latencies[latencies.Length / 2],
            [.. serverCpuAfter.Zip(serverCpu, (after, before) => (after - before) / Math.Max(1, done))],
            (clientCpuAfter - clientCpu) / Math.Max(1, done), _clients.Sum(c => c.Client.Retransmissions) - sentAgain);
    }

    /// <summary>All clients invoke one operation after the other, from now on.</summary>
    public void Begin(Func<(byte[] Operation, bool ReadOnly)> operations) =>
        _loop.Post(() => _clients.ForEach(c => c.Begin(operations)));

    /// <summary>Ends that, and waits for what is under way.</summary>
    public void Finish()
    {
        _clients.ForEach(c => c.Finish());
        while (_clients.Exists(c => c.UnderWay))
        {
            RunFor(TimeSpan.FromMilliseconds(20));
        }
    }

    /// <summary>Operations completed since the last call.</summary>
    public long TakeCompleted()
    {
        long done = _clients.Sum(c => (long)c.Latencies.Count);
        _clients.ForEach(c => c.Reset());
        return done;
    }

    /// <summary>The longest that an operation took which completed since the last call, microseconds; 0 when there was none.</summary>
    public double TakeLongestMicros()
    {
        double longest = _clients.SelectMany(c => c.Latencies).DefaultIfEmpty().Max();
        _clients.ForEach(c => c.Reset());
        return longest;
    }

    private static double OwnCpuMicros()
    {
        using var self = Process.GetCurrentProcess();
        return self.TotalProcessorTime.TotalMicroseconds;
    }

    /// <summary>Lets the clients work for a time.</summary>
    public void RunFor(TimeSpan time)
    {
        bool over = false;
        _loop.AddTimer(time, () => over = true);
        while (!over)
        {
            _loop.RunOnce();
        }
    }

    public void Dispose()
    {
        _owned.ForEach(o => o.Dispose());
        _loop.Dispose();
    }

    private sealed class OneClient : IClientHandler
    {
        private readonly EventLoop _loop;
        private readonly Action _next;
        private Func<(byte[] Operation, bool ReadOnly)> _operations = null!;
        private bool _finished = true;
        private long _sent;

        public OneClient(EventLoop loop)
        {
            _loop = loop;
            _next = Next;
        }

        public BftClient Client { get; set; } = null!;
        public List<double> Latencies { get; } = new(1 << 16);
        public bool UnderWay { get; private set; }

        public void Begin(Func<(byte[] Operation, bool ReadOnly)> operations)
        {
            (_operations, _finished) = (operations, false);
            Next();
        }

        public void Reset() => Latencies.Clear();

        public void Finish() => _finished = true;

        private void Next()
        {
            if (!_finished)
            {
                _sent = Stopwatch.GetTimestamp();
                (byte[] operation, bool readOnly) = _operations();
                UnderWay = Client.TryInvoke(operation, readOnly, 0);
            }
        }

        public void Completed(long tag, ReadOnlySpan<byte> result)
        {
            Latencies.Add(Stopwatch.GetElapsedTime(_sent).TotalMicroseconds);
            UnderWay = false;
            // Not from within the reply's handling: the slot is still busy there.
            _loop.Defer(_next);
        }
    }
}
