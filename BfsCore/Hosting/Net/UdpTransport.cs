using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace BfsCore.Hosting.Net;

/// <summary>What whole messages are handed to.</summary>
public interface IMessageHandler
{
    void Receive(ReadOnlySpan<byte> message, SourceAddress source);
}

/// <summary>The transport cannot start: the message says what is wrong and what to do.</summary>
public sealed class TransportException : Exception
{
    public TransportException() { }
    public TransportException(string message) : base(message) { }
    public TransportException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>
/// Messages over UDP (§6.1) for a replica or a client: batches in both directions, fragments above one datagram. Best
/// effort: never blocks on a peer.
/// </summary>
public sealed class UdpTransport : INetwork, IDisposable
{
    /// <summary>Most batches of datagrams handled in one wake-up, so that timers are never starved.</summary>
    private const int MaxBatchesPerWake = 4;

    private readonly UdpSocket _socket;
    private readonly UdpSocket? _fromReplicas;
    private readonly SocketAddress?[] _replicas;
    private readonly Outbox _toAll = new();
    private readonly Outbox?[] _toReplica;
    private readonly Outbox?[] _toClient;
    private readonly List<Outbox> _waiting = [];
    private readonly ClusterConfig _config;
    private readonly AddressBook _addresses = new();
    private readonly Reassembler _reassembler = new();
    private readonly Reassembler _replicaReassembler = new();
    private readonly byte[] _fragmentHeader = new byte[Fragment.HeaderBytes];
    private readonly MulticastPath? _multicast;
    private readonly SourceAddress[] _replicaSources;
    private readonly SourceAddress _ownSource;
    private readonly int _self;
    private LinkFaults? _faults;
    private uint _messageNumber;

    private UdpTransport(ClusterConfig config, IPEndPoint local, int self, IPEndPoint[] replicas)
    {
        (_config, _self) = (config, self);
        try
        {
            _socket = new UdpSocket(local);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new TransportException(
                $"UDP port {local.Port} on {local.Address} is in use: another replica runs there, or choose other ports in the cluster file", e);
        }
        catch (SocketException e)
        {
            throw new TransportException($"cannot listen on {local}: {e.Message}", e);
        }
        _replicas = new SocketAddress?[config.N];
        _toReplica = new Outbox?[config.N];
        for (int i = 0; i < config.N; i++)
        {
            if (i != self)
            {
                _replicas[i] = replicas[i].Serialize();
                _toReplica[i] = new Outbox { To = _replicas[i] };
            }
        }
        _toClient = new Outbox?[config.Clients.Count];
        _replicaSources = [.. replicas.Select(r => Source(r.Serialize()))];
        if (self >= 0)
        {
            _ownSource = _replicaSources[self];
            _fromReplicas = config.N > 1 ? ReplicaLane.TryOpen(_socket, replicas.Where((_, i) => i != self)) : null;
            _multicast = config.MulticastGroup is { } group && local.AddressFamily == AddressFamily.InterNetwork
                ? MulticastPath.TryJoin(group, local, _socket.Socket, self, config.N)
                : null;
        }
    }

    private SourceAddress Source(SocketAddress address) => _addresses.Encode(address.Buffer.Span[..address.Size]);

    /// <summary>The transport of a replica, bound to its address in the cluster file.</summary>
    /// <exception cref="TransportException">A host name is unknown or the port is in use.</exception>
    public static UdpTransport ForReplica(ClusterConfig config, ReplicaId self)
    {
        IPEndPoint[] all = ResolveAll(config);
        return new UdpTransport(config, all[self.Value], self.Value, all);
    }

    /// <summary>The transport of a client, bound to any free port.</summary>
    /// <exception cref="TransportException">A host name is unknown.</exception>
    public static UdpTransport ForClient(ClusterConfig config)
    {
        IPEndPoint[] all = ResolveAll(config);
        bool loopback = Array.TrueForAll(all, e => IPAddress.IsLoopback(e.Address));
        IPAddress any = all[0].AddressFamily == AddressFamily.InterNetworkV6
            ? loopback ? IPAddress.IPv6Loopback : IPAddress.IPv6Any
            : loopback ? IPAddress.Loopback : IPAddress.Any;
        return new UdpTransport(config, new IPEndPoint(any, 0), -1, all);
    }

    private static IPEndPoint[] ResolveAll(ClusterConfig config) =>
        [.. config.Replicas.Select(r => new IPEndPoint(Resolve(r), r.Port))];

    private static IPAddress Resolve(ReplicaInfo replica)
    {
        try
        {
            return IPAddress.TryParse(replica.Host, out IPAddress? address)
                ? address
                : Dns.GetHostAddresses(replica.Host).FirstOrDefault()
                    ?? throw new TransportException($"the host {replica.Host} of {replica.Id} has no address");
        }
        catch (SocketException e)
        {
            throw new TransportException($"the host {replica.Host} of {replica.Id} is unknown: {e.Message}", e);
        }
    }

    /// <summary>The descriptor to wait on.</summary>
    public int Descriptor => _socket.Descriptor;

    /// <summary>The descriptor of what other replicas send, to wait on before the others; -1 when it is not apart.</summary>
    public int ReplicaDescriptor => _fromReplicas?.Descriptor ?? -1;

    /// <summary>The descriptor of the multicast group, to wait on as well; -1 when there is none.</summary>
    public int MulticastDescriptor => _multicast?.Receiving.Descriptor ?? -1;

    /// <summary>How many replicas get multicast datagrams, as far as probes tell.</summary>
    public int ReachedByMulticast
    {
        get
        {
            int count = 0;
            for (int i = 0; i < _replicas.Length; i++)
            {
                count += _multicast?.Reaches(i, Environment.TickCount64) == true ? 1 : 0;
            }
            return count;
        }
    }

    public IPEndPoint LocalEndPoint => _socket.LocalEndPoint;

    /// <summary>Where messages of another replica come from; zero for this one itself.</summary>
    public SourceAddress AddressOf(ReplicaId replica) => replica.Value == _self ? default : _replicaSources[replica.Value];

    /// <summary>
    /// Cuts links to other replicas, for tests: what was cut before and is not named now is whole again. Not for a transport
    /// with a multicast group, whose datagrams go to all.
    /// </summary>
    /// <param name="from">One bit for each replica whose datagrams are dropped when they arrive.</param>
    /// <param name="to">One bit for each replica that nothing is sent to.</param>
    public void CutLinks(ulong from, ulong to)
    {
        BfsAssert.That(_multicast is null);
        _faults = from == 0 && to == 0 ? null : new LinkFaults(_replicaSources, from, to);
        for (int i = 0; i < _replicas.Length; i++)
        {
            // Nothing goes to a replica without an address: sending needs no further check.
            _replicas[i] = i == _self || (to >> i & 1) != 0 ? null : _addresses.Decode(_replicaSources[i]);
            _toReplica[i] = _replicas[i] is { } address ? _toReplica[i] ?? new Outbox { To = address } : null;
        }
    }

    /// <summary>Datagrams lost because the kernel did not take them.</summary>
    public long DatagramsDropped => _socket.Dropped;

    public long DatagramsSent => _socket.Sent;

    /// <summary>
    /// Handles the datagrams that are there, up to a bound, those of replicas first (pitfall 2); returns whether there were any.
    /// </summary>
    public bool Receive(IMessageHandler handler) => ReceiveFromReplicas(handler) | ReceiveFromAnybody(handler);

    /// <summary>As <see cref="Receive"/>, for <see cref="ReplicaDescriptor"/> and <see cref="MulticastDescriptor"/>.</summary>
    public bool ReceiveFromReplicas(IMessageHandler handler) =>
        (_fromReplicas is not null && Receive(_fromReplicas, handler))
        | (_multicast is not null && Receive(_multicast.Receiving, handler));

    /// <summary>As <see cref="Receive"/>, for <see cref="Descriptor"/>.</summary>
    public bool ReceiveFromAnybody(IMessageHandler handler) => Receive(_socket, handler);

    private bool Receive(UdpSocket socket, IMessageHandler handler)
    {
        bool received = false;
        for (int batch = 0; batch < MaxBatchesPerWake; batch++)
        {
            int count = socket.Receive();
            for (int i = 0; i < count; i++)
            {
                ReadOnlySpan<byte> datagram = socket.Datagram(i);
                SourceAddress source = _addresses.Encode(socket.Source(i));
                if (_faults is not null && _faults.DropsFrom(source))
                {
                    continue;
                }
                if (_multicast is not null && IsProbe(datagram))
                {
                    OnProbe(datagram, source, byMulticast: socket == _multicast.Receiving);
                }
                else if (source != _ownSource || _multicast is null)
                {
                    // What this replica multicast itself comes back to it.
                    Unpack(datagram, source, handler, socket == _socket ? _reassembler : _replicaReassembler);
                }
            }
            received |= count > 0;
            if (count < UdpSocket.BatchSize)
            {
                break;
            }
        }
        return received;
    }

    private static bool IsProbe(ReadOnlySpan<byte> datagram) =>
        datagram.Length >= 2 && BinaryPrimitives.ReadUInt16LittleEndian(datagram) == MulticastPath.Tag;

    private void OnProbe(ReadOnlySpan<byte> datagram, SourceAddress source, bool byMulticast)
    {
        int from = Array.IndexOf(_replicaSources, source);
        ReadOnlySpan<byte> answer = _multicast!.Handle(datagram, from, byMulticast, Environment.TickCount64);
        if (answer.Length > 0)
        {
            _socket.Queue(_replicas[from]!, default, answer);
        }
    }

    private static void Unpack(ReadOnlySpan<byte> datagram, SourceAddress source, IMessageHandler handler, Reassembler reassembler)
    {
        if (Bundle.Is(datagram))
        {
            ReadOnlySpan<byte> rest = datagram[Bundle.PrefixBytes..];
            while (Bundle.TryTake(ref rest, out ReadOnlySpan<byte> message))
            {
                handler.Receive(message, source);
            }
            return;
        }
        ReadOnlySpan<byte> whole = Fragment.Is(datagram) ? reassembler.Add(datagram, source) : datagram;
        if (whole.Length > 0)
        {
            handler.Receive(whole, source);
        }
    }

    /// <summary>Sends what has been gathered.</summary>
    public void Flush()
    {
        foreach (Outbox box in _waiting)
        {
            SendBundle(box);
        }
        _waiting.Clear();
        if (_multicast is not null)
        {
            ReadOnlySpan<byte> probe = _multicast.NextProbe(Environment.TickCount64);
            if (probe.Length > 0)
            {
                _socket.Queue(_multicast.Group, default, probe);
            }
        }
        _socket.Flush();
    }

    public void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message)
    {
        if (_toReplica[to.Value] is { } box)
        {
            Post(box, message);
        }
    }

    public void MulticastToReplicas(ReadOnlySpan<byte> message) => Post(_toAll, message);

    public void SendToClient(ClientId to, ReadOnlySpan<byte> message)
    {
        int client = _config.ClientIndex(to);
        if (client >= 0 && _toClient[client] is { } box)
        {
            Post(box, message);
        }
    }

    public void Answer(SourceAddress to, ReadOnlySpan<byte> message)
    {
        if (_addresses.Decode(to) is { } address && _faults?.DropsTo(to) != true)
        {
            Send(address, message);
        }
    }

    public void BindClient(ClientId client, SourceAddress address)
    {
        int index = _config.ClientIndex(client);
        if (index >= 0 && _addresses.Decode(address) is { } decoded)
        {
            (_toClient[index] ??= new Outbox()).To = decoded;
        }
    }

    private void Post(Outbox box, ReadOnlySpan<byte> message)
    {
        if (message.Length > Bundle.MaxMessageBytes)
        {
            SendNow(box.To, message);
            return;
        }
        if (!box.HasRoomFor(message.Length, _config.DatagramBytes))
        {
            SendBundle(box);
        }
        if (!box.HasRoomFor(message.Length, _config.DatagramBytes))
        {
            SendNow(box.To, message);
            return;
        }
        if (box.Empty && !_waiting.Contains(box))
        {
            _waiting.Add(box);
        }
        box.Add(message);
    }

    private void SendBundle(Outbox box)
    {
        if (!box.Empty)
        {
            SendNow(box.To, box.Take());
        }
    }

    private void SendNow(SocketAddress? to, ReadOnlySpan<byte> message)
    {
        if (to is not null)
        {
            Send(to, message);
            return;
        }
        bool first = true;
        long now = 0;
        if (_multicast is not null)
        {
            now = Environment.TickCount64;
            Send(_multicast.Group, message);
            first = message.Length > _config.DatagramBytes;
        }
        for (int i = 0; i < _replicas.Length; i++)
        {
            if (_replicas[i] is not { } address || _multicast?.Reaches(i, now) == true)
            {
                continue;
            }
            if (first || message.Length > _config.DatagramBytes)
            {
                Send(address, message);
                first = false;
            }
            else
            {
                _socket.QueueSame(address);
            }
        }
    }

    private void Send(SocketAddress to, ReadOnlySpan<byte> message)
    {
        if (message.Length <= _config.DatagramBytes)
        {
            _socket.Queue(to, default, message);
            return;
        }
        uint number = ++_messageNumber;
        int step = _config.DatagramBytes - Fragment.HeaderBytes;
        for (int offset = 0; offset < message.Length; offset += step)
        {
            Fragment.WriteHeader(_fragmentHeader, number, message.Length, offset);
            _socket.Queue(to, _fragmentHeader, message.Slice(offset, Math.Min(step, message.Length - offset)));
        }
    }

    public void Dispose()
    {
        _multicast?.Dispose();
        _fromReplicas?.Dispose();
        _socket.Dispose();
    }
}

/// <summary>
/// Socket addresses as 64-bit values: an IPv4 address and port as they are; an IPv6 one by its place in a bounded table.
/// </summary>
internal sealed class AddressBook
{
    private const int MaxV6 = 4096;
    private const ulong V6Mark = 1UL << 63;
    private readonly List<SocketAddress> _v6 = [];

    public SourceAddress Encode(ReadOnlySpan<byte> address)
    {
        if (address.Length >= 8 && BinaryPrimitives.ReadUInt16LittleEndian(address) == 2)
        {
            return new SourceAddress(((ulong)BinaryPrimitives.ReadUInt32BigEndian(address[4..]) << 16)
                | BinaryPrimitives.ReadUInt16BigEndian(address[2..]));
        }
        for (int i = 0; i < _v6.Count; i++)
        {
            if (_v6[i].Buffer.Span[.._v6[i].Size].SequenceEqual(address))
            {
                return new SourceAddress(V6Mark | (uint)i);
            }
        }
        if (_v6.Count == MaxV6 || address.Length == 0)
        {
            return default;
        }
        var kept = new SocketAddress(AddressFamily.InterNetworkV6, address.Length);
        address.CopyTo(kept.Buffer.Span);
        _v6.Add(kept);
        return new SourceAddress(V6Mark | (uint)(_v6.Count - 1));
    }

    public SocketAddress? Decode(SourceAddress source)
    {
        if (source.Value == 0)
        {
            return null;
        }
        if ((source.Value & V6Mark) != 0)
        {
            int index = (int)(source.Value & ~V6Mark);
            return index < _v6.Count ? _v6[index] : null;
        }
        uint ip = BinaryPrimitives.ReverseEndianness((uint)(source.Value >> 16));
        return new IPEndPoint(new IPAddress(ip), (int)(source.Value & 0xffff)).Serialize();
    }
}
