using System.Buffers.Binary;

namespace BfsCore.Messages;

/// <summary>
/// What kind of message follows (§6.1). Frozen numbers; below 0x7f00, where the transport's own begin.
/// Tags without a type yet are reserved for the rest of the thesis's messages.
/// </summary>
public enum MessageTag : ushort
{
    Request = 1,
    Reply = 2,
    PrePrepare = 3,
    Prepare = 4,
    Commit = 5,
    Checkpoint = 6,
    ViewChange = 7,
    ViewChangeAck = 8,
    NewView = 9,
    NewKey = 10,
    StatusActive = 11,
    StatusPending = 12,
    Fetch = 13,
    MetaData = 14,
    Data = 15,
    QueryStable = 16,
    ReplyStable = 17,

    /// <summary>"I have no key to authenticate messages to you": asks for the receiver's last NEW-KEY.</summary>
    KeyRequest = 18,

    /// <summary>A whole batch, for a replica that knows its digest and lacks it.</summary>
    Batch = 19,

    /// <summary>The sender has executed this batch, and it had committed: f+1 of these stand for the certificate.</summary>
    Committed = 20,

    /// <summary>A backup passes a client's request on to the primary.</summary>
    Relay = 21,
}

/// <summary>
/// The first eight bytes of every message: tag u16, flags u16 (specific to the tag), total size u32 including the
/// authenticator. Integers are little-endian; padding is zero and checked.
/// </summary>
public static class MessageHeader
{
    public const int SizeBytes = 8;

    /// <summary>Bytes of one MAC.</summary>
    public const int TagBytes = 8;

    /// <summary>The tag, when the message is at least a header long and says its own true size.</summary>
    public static bool TryReadTag(ReadOnlySpan<byte> message, out MessageTag tag)
    {
        tag = default;
        if (message.Length < SizeBytes || BinaryPrimitives.ReadUInt32LittleEndian(message[4..]) != message.Length)
        {
            return false;
        }
        tag = (MessageTag)BinaryPrimitives.ReadUInt16LittleEndian(message);
        return true;
    }

    public static void Write(Span<byte> message, MessageTag tag, ushort flags, int sizeBytes)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(message, (ushort)tag);
        BinaryPrimitives.WriteUInt16LittleEndian(message[2..], flags);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], (uint)sizeBytes);
    }

    /// <summary>Whether the message has this tag, its own true size, at least <paramref name="minimumBytes"/>, and no unknown flag.</summary>
    internal static bool Is(ReadOnlySpan<byte> message, MessageTag tag, int minimumBytes, ushort knownFlags = 0) =>
        message.Length >= minimumBytes && TryReadTag(message, out MessageTag found) && found == tag
        && (U16(message, 2) & ~knownFlags) == 0;

    /// <summary>Whether the view or sequence number at an offset is at least this, and leaves room to count on from it.</summary>
    internal static bool IsNumber(ReadOnlySpan<byte> m, int at, long least) => I64(m, at) >= least && I64(m, at) <= Limits.MaxNumber;

    internal static ushort U16(ReadOnlySpan<byte> m, int at) => BinaryPrimitives.ReadUInt16LittleEndian(m[at..]);
    internal static uint U32(ReadOnlySpan<byte> m, int at) => BinaryPrimitives.ReadUInt32LittleEndian(m[at..]);
    internal static ulong U64(ReadOnlySpan<byte> m, int at) => BinaryPrimitives.ReadUInt64LittleEndian(m[at..]);
    internal static long I64(ReadOnlySpan<byte> m, int at) => BinaryPrimitives.ReadInt64LittleEndian(m[at..]);
    internal static Digest Digest(ReadOnlySpan<byte> m, int at) => BfsCore.Digest.Read(m[at..]);

    internal static void U16(Span<byte> m, int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(m[at..], (ushort)value);
    internal static void U32(Span<byte> m, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(m[at..], value);
    internal static void U64(Span<byte> m, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(m[at..], value);
    internal static void I64(Span<byte> m, int at, long value) => BinaryPrimitives.WriteInt64LittleEndian(m[at..], value);
}
