using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace BfsCore.Hosting.Net;

/// <summary>
/// A UDP socket whose datagrams are received and sent in batches: one system call for up to 32 of them (recvmmsg,
/// sendmmsg). Never blocks: what the kernel does not take is dropped.
/// </summary>
internal sealed unsafe partial class UdpSocket : IDisposable
{
    public const int BatchSize = 32;
    public const int MaxDatagramBytes = 65_507;
    private const int SlotBytes = 65_536;
    private const int SocketBufferBytes = 8 << 20;
    private const int AddressBytes = 28;
    private const int MsgDontWait = 0x40;
    private const int SendArenaBytes = 2 << 20;

    private readonly Socket _socket;
    private readonly int _fd;
    private readonly byte* _receiveBuffers;
    private readonly byte* _arena;
    private readonly MMsgHdr* _receive;
    private readonly MMsgHdr* _send;
    private readonly IoVec* _vectors;
    private readonly byte* _addresses;
    private int _arenaUsed;
    private int _queued;

    /// <exception cref="SocketException">The address cannot be bound.</exception>
    public UdpSocket(IPEndPoint local, Action<Socket>? configure = null)
    {
        _socket = new Socket(local.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            configure?.Invoke(_socket);
            _socket.Bind(local);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
        _socket.Blocking = false;
        _fd = (int)_socket.Handle;
        SetBuffer(8, 33);
        SetBuffer(7, 32);
        _receiveBuffers = (byte*)NativeMemory.Alloc(BatchSize * SlotBytes);
        _arena = (byte*)NativeMemory.Alloc(SendArenaBytes);
        _receive = (MMsgHdr*)NativeMemory.AllocZeroed(BatchSize, (nuint)sizeof(MMsgHdr));
        _send = (MMsgHdr*)NativeMemory.AllocZeroed(BatchSize, (nuint)sizeof(MMsgHdr));
        _vectors = (IoVec*)NativeMemory.AllocZeroed(2 * BatchSize, (nuint)sizeof(IoVec));
        _addresses = (byte*)NativeMemory.AllocZeroed(2 * BatchSize, AddressBytes);
        for (int i = 0; i < BatchSize; i++)
        {
            _vectors[i] = new IoVec { Base = _receiveBuffers + (i * SlotBytes), Length = SlotBytes };
            _receive[i].Header = new MsgHdr { Name = _addresses + (i * AddressBytes), NameLength = AddressBytes, Vectors = _vectors + i, VectorCount = 1 };
            _send[i].Header = new MsgHdr { Vectors = _vectors + BatchSize + i, VectorCount = 1 };
        }
    }

    public int Descriptor => _fd;

    public Socket Socket => _socket;

    public IPEndPoint LocalEndPoint => (IPEndPoint)_socket.LocalEndPoint!;

    /// <summary>Datagrams that the kernel did not take.</summary>
    public long Dropped { get; private set; }

    /// <summary>Datagrams given to the kernel.</summary>
    public long Sent { get; private set; }

    /// <summary>The largest buffer that is allowed; as root beyond the system's bound.</summary>
    private void SetBuffer(int option, int forceOption)
    {
        int bytes = SocketBufferBytes;
        if (SetSockOpt(_fd, 1, forceOption, &bytes, sizeof(int)) != 0)
        {
            _ = SetSockOpt(_fd, 1, option, &bytes, sizeof(int));
        }
    }

    /// <summary>Receives up to a batch; returns how many datagrams there are.</summary>
    public int Receive()
    {
        for (int i = 0; i < BatchSize; i++)
        {
            _receive[i].Header.NameLength = AddressBytes;
        }
        return Math.Max(0, RecvMMsg(_fd, _receive, BatchSize, MsgDontWait, null));
    }

    public ReadOnlySpan<byte> Datagram(int index) =>
        new(_receiveBuffers + (index * SlotBytes), (int)_receive[index].Length);

    public ReadOnlySpan<byte> Source(int index) =>
        new(_addresses + (index * AddressBytes), (int)_receive[index].Header.NameLength);

    /// <summary>Queues a datagram of two parts; it is sent at <see cref="Flush"/> or when the queue is full.</summary>
    public void Queue(SocketAddress to, ReadOnlySpan<byte> head, ReadOnlySpan<byte> body)
    {
        int length = head.Length + body.Length;
        if (_queued == BatchSize || _arenaUsed + length > SendArenaBytes)
        {
            Flush();
        }
        byte* place = _arena + _arenaUsed;
        head.CopyTo(new Span<byte>(place, head.Length));
        body.CopyTo(new Span<byte>(place + head.Length, body.Length));
        _arenaUsed += (length + 7) & ~7;
        Queue(to, place, length);
    }

    /// <summary>Queues the last queued datagram again, for another receiver, without another copy.</summary>
    public void QueueSame(SocketAddress to)
    {
        IoVec last = _vectors[BatchSize + _queued - 1];
        if (_queued == BatchSize)
        {
            // The arena is not reused before the next copy, so the bytes stay where they are.
            SendQueued();
        }
        Queue(to, last.Base, (int)last.Length);
    }

    private void Queue(SocketAddress to, byte* bytes, int length)
    {
        int i = _queued++;
        _vectors[BatchSize + i] = new IoVec { Base = bytes, Length = (nuint)length };
        byte* address = _addresses + ((BatchSize + i) * AddressBytes);
        to.Buffer.Span[..to.Size].CopyTo(new Span<byte>(address, AddressBytes));
        _send[i].Header.Name = address;
        _send[i].Header.NameLength = (uint)to.Size;
    }

    /// <summary>Sends what is queued.</summary>
    public void Flush()
    {
        SendQueued();
        _arenaUsed = 0;
    }

    private void SendQueued()
    {
        int sent = 0;
        while (sent < _queued)
        {
            int result = SendMMsg(_fd, _send + sent, (uint)(_queued - sent), MsgDontWait);
            if (result <= 0)
            {
                // The first one failed: a dead peer's ICMP error, or full buffers. It is lost, like any datagram may be.
                Dropped++;
                result = 1;
            }
            sent += result;
        }
        Sent += _queued;
        _queued = 0;
    }

    public void Dispose()
    {
        _socket.Dispose();
        NativeMemory.Free(_receiveBuffers);
        NativeMemory.Free(_arena);
        NativeMemory.Free(_receive);
        NativeMemory.Free(_send);
        NativeMemory.Free(_vectors);
        NativeMemory.Free(_addresses);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct IoVec
    {
        public byte* Base;
        public nuint Length;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct MsgHdr
    {
        public byte* Name;
        public uint NameLength;
        public IoVec* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct MMsgHdr
    {
        public MsgHdr Header;
        public uint Length;
    }

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetSockOpt(int fd, int level, int option, void* value, uint length);

    [LibraryImport("libc", EntryPoint = "recvmmsg", SetLastError = true)]
    private static partial int RecvMMsg(int fd, MMsgHdr* messages, uint count, int flags, void* timeout);

    [LibraryImport("libc", EntryPoint = "sendmmsg", SetLastError = true)]
    private static partial int SendMMsg(int fd, MMsgHdr* messages, uint count, int flags);
}
