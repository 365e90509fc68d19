using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace BfsCore.Hosting.Net;

/// <summary>
/// IP multicast between replicas (§6.1), used as far as it is seen to work: each replica probes the group every second, and
/// who hears a probe says so by unicast. A peer that has not answered lately gets unicast copies instead, so nothing
/// depends on the network's goodwill; what a peer misses nevertheless it asks for by status messages (§5.2).
///
/// Probe and answer: 0 tag 0x7ffc u16, kind u16 (1 probe, 2 heard)   4 replica u32
/// </summary>
internal sealed class MulticastPath : IDisposable
{
    public const ushort Tag = 0x7ffc;
    private const int ProbeBytes = 8;
    private const ushort Probe = 1;
    private const ushort Heard = 2;
    private const long ProbeIntervalMillis = 1_000;
    private const long BelievedMillis = 3_500;

    private readonly UdpSocket _receiving;
    private readonly int _self;
    private readonly long[] _heardMillis;
    private readonly byte[] _message = new byte[ProbeBytes];
    private long _nextProbeMillis;

    private MulticastPath(UdpSocket receiving, IPEndPoint group, int self, int n)
    {
        (_receiving, _self) = (receiving, self);
        Group = group.Serialize();
        _heardMillis = new long[n];
        Array.Fill(_heardMillis, long.MinValue / 2);
    }

    public SocketAddress Group { get; }

    public UdpSocket Receiving => _receiving;

    /// <summary>
    /// Joins the group on the interface of the replica's address, and lets its socket send there; null where the network
    /// does not let it, for example because it has no multicast.
    /// </summary>
    public static MulticastPath? TryJoin(string group, IPEndPoint local, Socket sending, int self, int n)
    {
        IPEndPoint endPoint = IPEndPoint.Parse(group);
        try
        {
            byte[] interfaceAddress = local.Address.GetAddressBytes();
            sending.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastInterface, BitConverter.ToInt32(interfaceAddress));
            sending.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastTimeToLive, 1);
            sending.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastLoopback, true);
            var receiving = new UdpSocket(endPoint, socket =>
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.AddMembership,
                    new MulticastOption(endPoint.Address, local.Address));
            });
            return new MulticastPath(receiving, endPoint, self, n);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    /// <summary>Whether the replica heard a probe lately.</summary>
    public bool Reaches(int replica, long nowMillis) => nowMillis - _heardMillis[replica] < BelievedMillis;

    /// <summary>The probe, when it is time for one; else empty.</summary>
    public ReadOnlySpan<byte> NextProbe(long nowMillis)
    {
        if (nowMillis < _nextProbeMillis)
        {
            return default;
        }
        _nextProbeMillis = nowMillis + ProbeIntervalMillis;
        return Write(Probe);
    }

    /// <summary>
    /// Handles a probe or an answer that came from replica <paramref name="from"/>; returns what to send back to it, perhaps
    /// nothing.
    /// </summary>
    public ReadOnlySpan<byte> Handle(ReadOnlySpan<byte> datagram, int from, bool byMulticast, long nowMillis)
    {
        if (datagram.Length != ProbeBytes || from < 0 || from == _self
            || BinaryPrimitives.ReadUInt32LittleEndian(datagram[4..]) != from)
        {
            return default;
        }
        ushort kind = BinaryPrimitives.ReadUInt16LittleEndian(datagram[2..]);
        if (kind == Heard && !byMulticast)
        {
            _heardMillis[from] = nowMillis;
        }
        return kind == Probe && byMulticast ? Write(Heard) : default;
    }

    private ReadOnlySpan<byte> Write(ushort kind)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_message, Tag);
        BinaryPrimitives.WriteUInt16LittleEndian(_message.AsSpan(2), kind);
        BinaryPrimitives.WriteUInt32LittleEndian(_message.AsSpan(4), (uint)_self);
        return _message;
    }

    public void Dispose() => _receiving.Dispose();
}
