using BfsCore;
using BfsCore.Client;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;

namespace BfsClient.FileSystem;

/// <summary>
/// Invokes operations on a cluster: the client's state machine and its transport, driven by the relay's event loop.
/// </summary>
public sealed class ClusterInvoker : SlotInvoker, IClientHandler, IMessageHandler, ILoopClient
{
    private readonly EventLoop _loop;
    private readonly BftClient _client;
    private readonly UdpTransport _transport;

    /// <param name="transport">Of a client; used, not owned.</param>
    /// <param name="timeoutMicros">After this an operation ends with EIO; 0: it waits for ever.</param>
    public ClusterInvoker(EventLoop loop, ClusterConfig config, ClientId id, UdpTransport transport, IKeyExchange exchange,
        long timeoutMicros)
        : base(loop, timeoutMicros)
    {
        (_loop, _transport) = (loop, transport);
        _client = new BftClient(id, config, transport, new SystemEntropy(), exchange, this);
        _client.Start(loop.Now);
        loop.AddReader(transport.Descriptor, () => transport.Receive(this));
        loop.AddClient(this);
    }

    /// <summary>The view that the replicas are in, as far as replies tell.</summary>
    public View View => _client.View;

    public long NextDeadlineMicros => _client.NextDeadlineMicros;

    public bool ExpectsInput => _client.ExpectsMessages;

    public void Completed(long tag, ReadOnlySpan<byte> result) => Complete(tag, result);

    public void Receive(ReadOnlySpan<byte> message, SourceAddress source) => _client.Step(message, source);

    public void Tick(Instant now) => _client.Tick(now);

    public void Flush()
    {
        // The client frees a slot only after it has told of the result.
        SendQueued();
        _transport.Flush();
    }

    /// <summary>Leaves the loop; what is under way stays without a result.</summary>
    public void Detach()
    {
        _loop.RemoveClient(this);
        _loop.RemoveReader(_transport.Descriptor);
    }

    protected override bool TrySubmit(ReadOnlySpan<byte> operation, bool readOnly, long tag) =>
        _client.TryInvoke(operation, readOnly, tag);
}
