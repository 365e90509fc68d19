using System.Diagnostics;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsBench;

/// <summary>A server that answers every datagram with one as long as the reply to a null operation, and does nothing else.</summary>
internal sealed class EchoServer(ClusterConfig config, INetwork network) : IServerEngine
{
    /// <summary>The service that makes a server process one of these.</summary>
    public const string Name = "echo";

    private readonly byte[] _reply = new byte[Reply.HeaderBytes + config.Format.ReplyProofBytes];
    private SourceAddress _source;

    public long NextDeadlineMicros => long.MaxValue;

    public bool ExpectsMessages => false;

    public void Start(Instant now)
    {
    }

    public void Step(ReadOnlySpan<byte> message, SourceAddress source)
    {
        ClientId client = config.Clients[0].Id;
        if (_source != source)
        {
            network.BindClient(client, _source = source);
        }
        network.SendToClient(client, _reply);
    }

    public void Tick(Instant now)
    {
    }
}

/// <summary>
/// Sends datagrams as long as a null operation's request to as many servers as a read-only one needs, waits for their answers, and so on: what
/// processes, sockets and loops alone take for it.
/// </summary>
internal sealed class EchoClient : ILoopClient, IMessageHandler, IDisposable
{
    /// <summary>A lost datagram must not end the measurement.</summary>
    private const long PatienceMicros = 100_000;

    private readonly EventLoop _loop = new();
    private readonly UdpTransport _transport;
    private readonly byte[] _request;
    private readonly int _needed;
    private readonly List<double> _latencies = new(1 << 16);
    private long _sent;
    private long _sentMicros;
    private int _answers;

    public EchoClient(BenchCluster cluster)
    {
        _transport = UdpTransport.ForClient(cluster.Config);
        _needed = cluster.Config.Quorum;
        _request = new byte[Request.SizeFor(new NullOperation(0, 0, ReadOnly: true).Bytes.Length, cluster.Config.Format)];
        _loop.AddReader(_transport.Descriptor, () => _transport.Receive(this));
        _loop.AddClient(this);
    }

    /// <summary>The median, microseconds, after as long a time for warming up.</summary>
    public double MedianMicros(TimeSpan time)
    {
        Send();
        RunFor(time);
        _latencies.Clear();
        RunFor(time);
        return Statistics.Median(_latencies);
    }

    public long NextDeadlineMicros => _sentMicros + PatienceMicros;

    public bool ExpectsInput => true;

    public void Receive(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (++_answers == _needed)
        {
            _latencies.Add(Stopwatch.GetElapsedTime(_sent).TotalMicroseconds);
            Send();
        }
    }

    public void Tick(Instant now)
    {
        if (now.MonotonicMicros >= NextDeadlineMicros)
        {
            Send();
        }
    }

    public void Flush() => _transport.Flush();

    public void Dispose()
    {
        _transport.Dispose();
        _loop.Dispose();
    }

    private void Send()
    {
        (_sent, _sentMicros, _answers) = (Stopwatch.GetTimestamp(), _loop.Now.MonotonicMicros, 0);
        for (int i = 0; i < _needed; i++)
        {
            _transport.SendToReplica(new ReplicaId(i), _request);
        }
    }

    private void RunFor(TimeSpan time)
    {
        bool over = false;
        _loop.AddTimer(time, () => over = true);
        while (!over)
        {
            _loop.RunOnce();
        }
    }
}
