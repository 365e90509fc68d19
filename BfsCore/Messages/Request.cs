using BfsCore.State;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

[Flags]
public enum RequestFlags : ushort
{
    None = 0,

    /// <summary>Sent again: no reply came in time, and every replica is to answer in full (§5.1.1).</summary>
    Retransmission = 1,

    /// <summary>
    /// A signature follows the MACs: every replica can authenticate the request, whatever its MAC is. Not in BFT-PK, where a
    /// signature stands in the place of the MACs.
    /// </summary>
    Signed = 2,

    /// <summary>Of a read-only request: the state must reflect committed batches only.</summary>
    Committed = 4,
}

/// <summary>
/// REQUEST (§2.3.2, Figure 6-1). The digest covers everything that execution may read: client, slot, kind, session,
/// timestamp and the operation; the fixed header that the MACs cover carries the digest. The designated replier is outside
/// the digest: it steers who sends the result, never what is executed. It is the <see cref="ContentDigest"/> of the operation
/// under the header's fields from offset 48 on, opSize among them.
///
///      0 tag, flags, size      8 replier u16, zero u16, zero u32
///     16 digest (32)          48 client u32, slot u16, kind u16 (0 ordered, 1 read-only)
///     56 session u64          64 timestamp u64
///     72 opSize u32, zero u32 80 operation, then n tags of 8 bytes, then, if signed, the signature of the header (64);
///                             in BFT-PK the signature alone
/// </summary>
public readonly ref struct Request
{
    public const int HeaderBytes = 80;
    public const int SignatureBytes = 64;
    public const ushort AllReplicas = 0xffff;
    private const int DigestAt = 16;
    private const int DigestedFrom = 48;

    public readonly ReadOnlySpan<byte> Message;

    private Request(ReadOnlySpan<byte> message) => Message = message;

    /// <summary>The digests of the operation's blocks (<see cref="ContentDigest"/>), or none when they are not known.</summary>
    public ReadOnlySpan<Digest> Blocks { get; private init; }

    public RequestFlags Flags => (RequestFlags)U16(Message, 2);
    public ushort Replier => U16(Message, 8);
    public Digest Digest => MessageHeader.Digest(Message, DigestAt);
    public ClientId Client => new((int)U32(Message, 48));
    public int Slot => U16(Message, 52);
    public bool ReadOnly => U16(Message, 54) == 1;
    public ulong Session => U64(Message, 56);
    public ulong Timestamp => U64(Message, 64);
    public int OperationBytes => (int)U32(Message, 72);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Operation => Message.Slice(HeaderBytes, OperationBytes);

    public bool Signed => (Flags & RequestFlags.Signed) != 0;

    /// <summary>The n MACs, or in BFT-PK the signature.</summary>
    public ReadOnlySpan<byte> Authenticator => Message[(HeaderBytes + OperationBytes)..^(Signed ? SignatureBytes : 0)];

    /// <summary>The client's signature of the header; only of a signed request.</summary>
    public ReadOnlySpan<byte> Signature => Message[^SignatureBytes..];

    /// <summary>Size without a signature.</summary>
    public static int SizeFor(int operationBytes, MessageFormat format) => HeaderBytes + operationBytes + format.AuthenticatorBytes;

    public static bool TryParse(ReadOnlySpan<byte> message, MessageFormat format, out Request request)
    {
        request = default;
        RequestFlags known = RequestFlags.Retransmission | RequestFlags.Committed | (format.Signed ? RequestFlags.None : RequestFlags.Signed);
        if (!Is(message, MessageTag.Request, HeaderBytes, (ushort)known))
        {
            return false;
        }
        uint operationBytes = U32(message, 72);
        int signatureBytes = (U16(message, 2) & (ushort)RequestFlags.Signed) != 0 ? SignatureBytes : 0;
        if (operationBytes > Limits.MaxOperationBytes || message.Length != SizeFor((int)operationBytes, format) + signatureBytes
            || U16(message, 10) != 0 || U32(message, 12) != 0 || U32(message, 76) != 0
            || U16(message, 54) > 1 || U32(message, 48) > int.MaxValue)
        {
            return false;
        }
        request = new Request(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator, unsigned; returns the total size.</summary>
    /// <param name="withDigest">False only for NO-REP, which checks none.</param>
    public static int Write(Span<byte> buffer, MessageFormat format, ClientId client, int slot, bool readOnly, ulong session,
        ulong timestamp, ushort replier, RequestFlags flags, ReadOnlySpan<byte> operation, bool withDigest = true)
    {
        int size = SizeFor(operation.Length, format);
        Span<byte> m = buffer[..size];
        MessageHeader.Write(m, MessageTag.Request, (ushort)flags, size);
        U64(m, 8, replier);
        U32(m, 48, (uint)client.Value);
        U16(m, 52, slot);
        U16(m, 54, readOnly ? 1 : 0);
        U64(m, 56, session);
        U64(m, 64, timestamp);
        U64(m, 72, (uint)operation.Length);
        operation.CopyTo(m[HeaderBytes..]);
        if (withDigest)
        {
            WriteDigest(m, operation.Length);
        }
        return size;
    }

    /// <summary>Changes flags and replier of a written request for its retransmission; the authenticator must be made anew.</summary>
    public static void MarkRetransmission(Span<byte> message)
    {
        U16(message, 2, U16(message, 2) | (ushort)RequestFlags.Retransmission);
        U16(message, 8, AllReplicas);
    }

    /// <summary>Asks for an execution in committed state; the authenticator must be made anew.</summary>
    public static void MarkCommitted(Span<byte> message) => U16(message, 2, U16(message, 2) | (ushort)RequestFlags.Committed);

    /// <summary>
    /// Makes a written, unsigned request one with room for a signature; authenticator and signature must be made anew.
    /// Returns the new total size.
    /// </summary>
    public static int MarkSigned(Span<byte> buffer, int sizeBytes)
    {
        BfsAssert.That((U16(buffer, 2) & (ushort)RequestFlags.Signed) == 0);
        MessageHeader.Write(buffer, MessageTag.Request, (ushort)(U16(buffer, 2) | (ushort)RequestFlags.Signed), sizeBytes + SignatureBytes);
        return sizeBytes + SignatureBytes;
    }

    /// <summary>Whether the digest in the header is that of the contents.</summary>
    public bool DigestIsRight() => ComputeDigest(Message, OperationBytes) == Digest;

    /// <summary>The same, and if it is, the request as one of which <see cref="Blocks"/> are known.</summary>
    /// <param name="room">Where they are kept, as long as the request is used.</param>
    public bool DigestIsRight(Span<Digest> room, out Request known)
    {
        Span<Digest> blocks = room[..ContentDigest.BlocksIn(OperationBytes)];
        known = new Request(Message) { Blocks = blocks };
        return ComputeDigest(Message, OperationBytes, blocks) == Digest;
    }

    /// <summary>Writes the digest of what else is in the message; also for the fuzzer, which changes messages.</summary>
    internal static void WriteDigest(Span<byte> message, int operationBytes) =>
        ComputeDigest(message, operationBytes).Write(message[DigestAt..]);

    private static Digest ComputeDigest(ReadOnlySpan<byte> message, int operationBytes)
    {
        Span<Digest> blocks = stackalloc Digest[ContentDigest.BlocksIn(operationBytes)];
        return ComputeDigest(message, operationBytes, blocks);
    }

    private static Digest ComputeDigest(ReadOnlySpan<byte> message, int operationBytes, Span<Digest> blocks) =>
        ContentDigest.OfPrefixed(message[DigestedFrom..HeaderBytes], message.Slice(HeaderBytes, operationBytes), blocks);
}
