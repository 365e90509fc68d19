using BfsCore;
using BfsCore.Client;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;
using BfsCore.Replication;

namespace BfsBench;

/// <summary>Joins a server engine and its transport to a loop.</summary>
internal sealed class ServerOnLoop : ILoopClient, IMessageHandler
{
    private readonly IServerEngine _engine;
    private readonly UdpTransport _transport;

    public ServerOnLoop(EventLoop loop, UdpTransport transport, IServerEngine engine)
    {
        (_engine, _transport) = (engine, transport);
        if (transport.ReplicaDescriptor >= 0)
        {
            loop.AddReader(transport.ReplicaDescriptor, () => _transport.ReceiveFromReplicas(this));
        }
        loop.AddReader(transport.Descriptor, () => _transport.ReceiveFromAnybody(this));
        if (transport.MulticastDescriptor >= 0)
        {
            loop.AddReader(transport.MulticastDescriptor, () => _transport.ReceiveFromReplicas(this));
        }
        loop.AddClient(this);
        engine.Start(loop.Now);
        transport.Flush();
    }

    public long NextDeadlineMicros => _engine.NextDeadlineMicros;

    public bool ExpectsInput => _engine.ExpectsMessages;

    public void Receive(ReadOnlySpan<byte> message, SourceAddress source) => _engine.Step(message, source);

    public void Tick(Instant now) => _engine.Tick(now);

    public void Flush() => _transport.Flush();
}

/// <summary>Joins a client and its transport to a loop.</summary>
internal sealed class ClientOnLoop : ILoopClient, IMessageHandler
{
    private readonly BftClient _client;
    private readonly UdpTransport _transport;

    public ClientOnLoop(EventLoop loop, UdpTransport transport, BftClient client)
    {
        (_client, _transport) = (client, transport);
        loop.AddReader(transport.Descriptor, () => _transport.Receive(this));
        loop.AddClient(this);
        client.Start(loop.Now);
        transport.Flush();
    }

    public long NextDeadlineMicros => _client.NextDeadlineMicros;

    public bool ExpectsInput => _client.ExpectsMessages;

    public void Receive(ReadOnlySpan<byte> message, SourceAddress source) => _client.Step(message, source);

    public void Tick(Instant now) => _client.Tick(now);

    public void Flush() => _transport.Flush();
}
