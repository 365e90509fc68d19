using System.Net.Sockets;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;
using BfsCore.Messages;
using BfsTests.Engine;

namespace BfsTests.Hosting;

/// <summary>Messages over loopback: batches, bundles, fragments (§6.1, pitfall 43).</summary>
public sealed class UdpTransportTests
{
    private static ClusterConfig Config(int datagramBytes = 65_507)
    {
        using InMemoryCluster cluster = new();
        int port = FreePorts();
        return cluster.Config with
        {
            DatagramBytes = datagramBytes,
            Replicas = [.. cluster.Config.Replicas.Select(r => r with { Port = port + r.Id.Value })],
        };
    }

    private static int FreePorts() => 20_000 + (Environment.ProcessId * 7 % 300 * 100) + (Interlocked.Increment(ref _next) * 4);

    private static int _next;

    private static byte[] Message(int bytes, byte fill = 7)
    {
        byte[] message = new byte[bytes];
        message.AsSpan().Fill(fill);
        MessageHeader.Write(message, MessageTag.Prepare, 0, bytes);
        return message;
    }

    private sealed class Inbox : IMessageHandler
    {
        public List<(byte[] Bytes, SourceAddress Source)> Messages { get; } = [];

        public void Receive(ReadOnlySpan<byte> message, SourceAddress source) => Messages.Add((message.ToArray(), source));
    }

    private static Inbox ReceiveAll(UdpTransport transport)
    {
        var inbox = new Inbox();
        while (transport.Receive(inbox))
        {
        }
        return inbox;
    }

    /// <summary>The faults of tests: each direction by itself, large and small messages, one peer or all, and healed again.</summary>
    [Fact]
    public void Cut_links_carry_nothing_and_whole_ones_everything()
    {
        ClusterConfig config = Config();
        using var a = UdpTransport.ForReplica(config, new ReplicaId(0));
        using var b = UdpTransport.ForReplica(config, new ReplicaId(1));
        using var c = UdpTransport.ForReplica(config, new ReplicaId(2));
        using var client = UdpTransport.ForClient(config);
        (int ToB, int ToC, int ToA) Exchange()
        {
            a.MulticastToReplicas(Message(64));
            a.MulticastToReplicas(Message(200_000));
            a.SendToReplica(new ReplicaId(1), Message(64));
            a.Answer(a.AddressOf(new ReplicaId(1)), Message(64));
            b.MulticastToReplicas(Message(64));
            b.SendToReplica(new ReplicaId(0), Message(9_000));
            client.MulticastToReplicas(Message(64));
            a.Flush();
            b.Flush();
            client.Flush();
            // What the client sent passes always.
            return (ReceiveAll(b).Messages.Count - 1, ReceiveAll(c).Messages.Count - 2, ReceiveAll(a).Messages.Count - 1);
        }
        Assert.Equal((4, 2, 2), Exchange());
        a.CutLinks(from: 0b0010, to: 0b0010);
        Assert.Equal((0, 2, 0), Exchange());
        a.CutLinks(from: 0b0010, to: 0);
        Assert.Equal((4, 2, 0), Exchange());
        a.CutLinks(from: 0, to: 0b1111);
        Assert.Equal((0, 0, 2), Exchange());
        a.CutLinks(from: 0, to: 0);
        Assert.Equal((4, 2, 2), Exchange());
    }

    [Theory]
    [InlineData(65_507)]
    [InlineData(1_400)]
    public void Messages_of_every_size_arrive_whole_and_in_order(int datagramBytes)
    {
        ClusterConfig config = Config(datagramBytes);
        using var a = UdpTransport.ForReplica(config, new ReplicaId(0));
        using var b = UdpTransport.ForReplica(config, new ReplicaId(1));
        int[] sizes = [64, 96, 1_500, 2_048, 2_049, 9_000, 64_000, 65_507, 65_508, 300_000];
        foreach (int size in sizes)
        {
            a.SendToReplica(new ReplicaId(1), Message(size, (byte)size));
        }
        a.Flush();
        Inbox inbox = ReceiveAll(b);
        Assert.Equal(sizes.Order(), inbox.Messages.Select(m => m.Bytes.Length).Order());
        Assert.All(inbox.Messages, m => Assert.Equal(Message(m.Bytes.Length, (byte)m.Bytes.Length), m.Bytes));
    }

    [Fact]
    public void What_one_wake_up_sends_to_one_receiver_is_one_datagram()
    {
        ClusterConfig config = Config();
        using var a = UdpTransport.ForReplica(config, new ReplicaId(0));
        using var b = UdpTransport.ForReplica(config, new ReplicaId(1));
        using var c = UdpTransport.ForReplica(config, new ReplicaId(2));
        for (int i = 0; i < 10; i++)
        {
            a.MulticastToReplicas(Message(96, (byte)i));
        }
        Assert.Empty(ReceiveAll(b).Messages);
        a.Flush();
        Assert.Equal(10, ReceiveAll(b).Messages.Count);
        Assert.Equal(10, ReceiveAll(c).Messages.Count);
        Assert.Equal(3, a.DatagramsSent);
    }

    /// <summary>Replicas are served first, and a flood of others cannot take their place in the kernel (pitfall 2).</summary>
    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public void A_flood_leaves_what_replicas_send_alone(string host)
    {
        ClusterConfig config = Config();
        config = config with { Replicas = [.. config.Replicas.Select(r => r with { Host = host })] };
        using var a = UdpTransport.ForReplica(config, new ReplicaId(0));
        using var b = UdpTransport.ForReplica(config, new ReplicaId(1));
        Assert.True(b.ReplicaDescriptor >= 0);
        using var flood = new Socket(b.LocalEndPoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        byte[] junk = Message(60_000);
        for (int i = 0; i < 1_000; i++)
        {
            flood.SendTo(junk, b.LocalEndPoint);
        }
        for (int i = 0; i < 20; i++)
        {
            a.SendToReplica(new ReplicaId(1), Message(9_000, (byte)i));
        }
        a.Flush();
        var inbox = new Inbox();
        b.Receive(inbox);
        Assert.True(inbox.Messages.Count > 20);
        Assert.All(inbox.Messages.Take(20), m => Assert.Equal(b.AddressOf(new ReplicaId(0)), m.Source));
        Assert.All(inbox.Messages.Skip(20), m => Assert.NotEqual(b.AddressOf(new ReplicaId(0)), m.Source));
        Assert.Throws<TransportException>(() => UdpTransport.ForReplica(config, new ReplicaId(1)));
    }

    [Fact]
    public void Who_never_finishes_a_message_pushes_out_only_its_own()
    {
        byte[] part = new byte[Fragment.HeaderBytes + 1_000];
        var reassembler = new Reassembler();
        Fragment.WriteHeader(part, 1, 2_000, 0);
        Assert.True(reassembler.Add(part, new SourceAddress(1)).IsEmpty);
        for (uint number = 0; number < 100; number++)
        {
            Fragment.WriteHeader(part, number, 2_000, 0);
            Assert.True(reassembler.Add(part, new SourceAddress(2)).IsEmpty);
        }
        Fragment.WriteHeader(part, 1, 2_000, 1_000);
        Assert.Equal(2_000, reassembler.Add(part, new SourceAddress(1)).Length);
    }

    /// <summary>Flushes and receives everywhere until nothing more comes.</summary>
    private static List<Inbox> Exchange(params UdpTransport[] transports)
    {
        List<Inbox> inboxes = [.. transports.Select(_ => new Inbox())];
        bool more = true;
        while (more)
        {
            more = false;
            for (int i = 0; i < transports.Length; i++)
            {
                transports[i].Flush();
                more |= transports[i].Receive(inboxes[i]);
            }
        }
        return inboxes;
    }

    [Fact]
    public void Multicast_reaches_who_answers_probes_and_unicast_the_others()
    {
        ClusterConfig config = Config();
        ClusterConfig grouped = config with { MulticastGroup = $"239.77.1.1:{config.Replicas[0].Port + 1000}" };
        using var a = UdpTransport.ForReplica(grouped, new ReplicaId(0));
        using var b = UdpTransport.ForReplica(grouped, new ReplicaId(1));
        using var deaf = UdpTransport.ForReplica(config, new ReplicaId(2));
        Exchange(a, b, deaf);
        Assert.Equal(1, a.ReachedByMulticast);
        foreach (int size in new[] { 100, 5_000, 200_000 })
        {
            long sent = a.DatagramsSent;
            a.MulticastToReplicas(Message(size));
            List<Inbox> inboxes = Exchange(a, b, deaf);
            Assert.Equal([0, 1, 1], inboxes.Select(i => i.Messages.Count));
            Assert.Equal(size, inboxes[1].Messages[0].Bytes.Length);
            // One to the group, one to the deaf replica and one to the fourth, which does not run.
            Assert.Equal(3 * ((size + 65_506) / 65_507), a.DatagramsSent - sent);
        }
    }

    [Fact]
    public void A_group_that_is_none_is_said_clearly()
    {
        ClusterConfig config = Config() with { MulticastGroup = "10.0.0.1:7777" };
        Assert.Contains("multicastGroup", config.FirstProblem(), StringComparison.Ordinal);
        Assert.Null((config with { MulticastGroup = "239.0.0.1:7777" }).FirstProblem());
    }

    [Fact]
    public void A_client_is_answered_where_its_datagram_came_from()
    {
        ClusterConfig config = Config();
        using var replica = UdpTransport.ForReplica(config, new ReplicaId(0));
        using var client = UdpTransport.ForClient(config);
        replica.SendToClient(config.Clients[0].Id, Message(64));
        client.SendToReplica(new ReplicaId(0), Message(100));
        client.Flush();
        (byte[] _, SourceAddress source) = Assert.Single(ReceiveAll(replica).Messages);
        replica.Answer(source, Message(64, 1));
        replica.BindClient(config.Clients[0].Id, source);
        replica.SendToClient(config.Clients[0].Id, Message(64, 2));
        replica.Flush();
        Assert.Equal(2, ReceiveAll(client).Messages.Count);
    }

    [Fact]
    public void Hostile_datagrams_do_no_harm()
    {
        ClusterConfig config = Config();
        using var replica = UdpTransport.ForReplica(config, new ReplicaId(0));
        using var attacker = new UdpSocketProbe();
        var entropy = new TestEntropy(3);
        byte[] noise = new byte[600];
        for (int i = 0; i < 20_000; i++)
        {
            entropy.Fill(noise);
            BitConverter.TryWriteBytes(noise, i % 3 == 0 ? (ushort)0x7fff : i % 3 == 1 ? (ushort)0x7ffe : (ushort)1);
            noise[3] = noise[2] = 0;
            noise[11] = noise[10] = noise[15] = noise[14] = 0;
            attacker.Send(noise.AsSpan(0, 1 + (noise[20] * 2)), config.Replicas[0].Port);
            if (i % 20 == 0)
            {
                ReceiveAll(replica);
            }
        }
        using var friend = UdpTransport.ForReplica(config, new ReplicaId(1));
        ReceiveAll(replica);
        friend.SendToReplica(new ReplicaId(0), Message(200_000));
        friend.Flush();
        Assert.Equal(200_000, Assert.Single(ReceiveAll(replica).Messages).Bytes.Length);
    }

    [Fact]
    public void A_port_in_use_is_said_clearly()
    {
        ClusterConfig config = Config();
        using var first = UdpTransport.ForReplica(config, new ReplicaId(2));
        var error = Assert.Throws<TransportException>(() => UdpTransport.ForReplica(config, new ReplicaId(2)));
        Assert.Contains($"port {config.Replicas[2].Port}", error.Message, StringComparison.Ordinal);
        Assert.Contains("in use", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Steady_state_allocates_nothing()
    {
        ClusterConfig config = Config();
        using var a = UdpTransport.ForReplica(config, new ReplicaId(0));
        using var b = UdpTransport.ForReplica(config, new ReplicaId(1));
        var counter = new Counter();
        byte[] message = Message(200);
        // The runtime allocates a little when it recompiles a method; what a message cost would show in every round.
        long least = long.MaxValue;
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 1_000; i++)
            {
                a.MulticastToReplicas(message);
                a.SendToReplica(new ReplicaId(1), message);
                a.Flush();
                b.Receive(counter);
            }
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.Equal(10_000, counter.Count);
        Assert.Equal(0, least);
    }

    private sealed class Counter : IMessageHandler
    {
        public int Count { get; private set; }

        public void Receive(ReadOnlySpan<byte> message, SourceAddress source) => Count++;
    }

    private sealed class UdpSocketProbe : IDisposable
    {
        private readonly System.Net.Sockets.Socket _socket = new(System.Net.Sockets.AddressFamily.InterNetwork,
            System.Net.Sockets.SocketType.Dgram, System.Net.Sockets.ProtocolType.Udp);

        public void Send(ReadOnlySpan<byte> bytes, int port) =>
            _socket.SendTo(bytes, System.Net.Sockets.SocketFlags.None,
                new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, port));

        public void Dispose() => _socket.Dispose();
    }

    /// <summary>Waits for input that never comes.</summary>
    private sealed class Expectant : ILoopClient
    {
        public bool ExpectsInput => true;
        public long NextDeadlineMicros => long.MaxValue;
        public void Tick(Instant now) { }
        public void Flush() { }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_loop_runs_timers_posted_work_and_ticks(bool expectsInput)
    {
        using var loop = new EventLoop();
        var log = new List<string>();
        if (expectsInput)
        {
            loop.AddClient(new Expectant());
        }
        loop.AddTimer(TimeSpan.FromMilliseconds(20), () =>
        {
            log.Add("timer");
            loop.Stop();
        });
        var poster = new Thread(() => loop.Post(() => log.Add("posted")));
        poster.Start();
        loop.Run();
        poster.Join();
        Assert.Equal(["posted", "timer"], log.Order());
    }
}
