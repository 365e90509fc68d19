using System.Buffers.Binary;
using System.Net;

namespace BfsCore.Hosting.Net;

/// <summary>
/// Several messages in one datagram: what one wake-up sends to one receiver costs one system call's share and one wake-up
/// there. A bundle starts with a tag that no message has (u16 0x7ffe, zero u16), then the messages, each of which says its
/// own size; a bundle of one goes without the prefix.
/// </summary>
internal static class Bundle
{
    public const ushort Tag = 0x7ffe;
    public const int PrefixBytes = 4;

    /// <summary>Messages up to this size are bundled, bytes.</summary>
    public const int MaxMessageBytes = 2048;

    /// <summary>A bundle goes out when the next message would make it longer than this, bytes.</summary>
    public const int MaxBytes = 8192;

    public static bool Is(ReadOnlySpan<byte> datagram) =>
        datagram.Length > PrefixBytes && BinaryPrimitives.ReadUInt16LittleEndian(datagram) == Tag;

    /// <summary>Takes the next message off a bundle; false at the end or where the sizes make no sense.</summary>
    public static bool TryTake(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> message)
    {
        message = default;
        if (rest.Length < 8)
        {
            return false;
        }
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
        if (size < 8 || size > rest.Length)
        {
            return false;
        }
        message = rest[..(int)size];
        rest = rest[(int)size..];
        return true;
    }
}

/// <summary>What waits to go to one receiver, or to all replicas, at the end of the wake-up.</summary>
internal sealed class Outbox
{
    private readonly byte[] _bytes = new byte[Bundle.PrefixBytes + Bundle.MaxBytes];
    private int _used = Bundle.PrefixBytes;
    private int _count;

    public Outbox() => BinaryPrimitives.WriteUInt16LittleEndian(_bytes, Bundle.Tag);

    /// <summary>Where it goes; null for all other replicas.</summary>
    public SocketAddress? To { get; set; }

    public bool Empty => _count == 0;

    public bool HasRoomFor(int bytes, int datagramBytes) => _used + bytes <= Math.Min(_bytes.Length, datagramBytes);

    public void Add(ReadOnlySpan<byte> message)
    {
        message.CopyTo(_bytes.AsSpan(_used));
        _used += message.Length;
        _count++;
    }

    /// <summary>The datagram to send; the box is empty afterwards, and the bytes valid until the next <see cref="Add"/>.</summary>
    public ReadOnlySpan<byte> Take()
    {
        int start = _count == 1 ? Bundle.PrefixBytes : 0;
        ReadOnlySpan<byte> datagram = _bytes.AsSpan(start, _used - start);
        _used = Bundle.PrefixBytes;
        _count = 0;
        return datagram;
    }
}
