using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// PREPARE and COMMIT (§2.3.3), and COMMITTED, which says that the sender has executed it: one layout, three tags.
///
///      0 tag, flags, size   8 view i64   16 seq i64   24 digest of the batch (32)
///     56 replica u16, zero u16, zero u32  64 n tags
/// </summary>
public readonly ref struct Vote
{
    public const int HeaderBytes = 64;

    public readonly ReadOnlySpan<byte> Message;

    private Vote(ReadOnlySpan<byte> message) => Message = message;

    public View View => new(I64(Message, 8));
    public SeqNum Seq => new(I64(Message, 16));
    public Digest Digest => MessageHeader.Digest(Message, 24);
    public ReplicaId Replica => new(U16(Message, 56));
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator => Message[HeaderBytes..];

    public static int SizeFor(MessageFormat format) => HeaderBytes + format.AuthenticatorBytes;

    public static bool TryParse(ReadOnlySpan<byte> message, MessageTag tag, MessageFormat format, out Vote vote)
    {
        vote = default;
        if (!Is(message, tag, HeaderBytes) || message.Length != SizeFor(format) || !IsNumber(message, 8, 0) || !IsNumber(message, 16, 1)
            || U16(message, 56) >= format.N || U16(message, 58) != 0 || U32(message, 60) != 0)
        {
            return false;
        }
        vote = new Vote(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, MessageTag tag, MessageFormat format, View view, SeqNum seq, in Digest digest, ReplicaId replica)
    {
        int size = SizeFor(format);
        MessageHeader.Write(buffer, tag, 0, size);
        I64(buffer, 8, view.Value);
        I64(buffer, 16, seq.Value);
        digest.Write(buffer[24..]);
        U64(buffer, 56, (ulong)replica.Value);
        return size;
    }
}

/// <summary>
/// CHECKPOINT (§2.3.4, §3.2.3).
///
///      0 tag, flags, size   8 seq i64   16 digest of the state (32)
///     48 replica u16, zero u16, zero u32  56 n tags
/// </summary>
public readonly ref struct Checkpoint
{
    public const int HeaderBytes = 56;

    public readonly ReadOnlySpan<byte> Message;

    private Checkpoint(ReadOnlySpan<byte> message) => Message = message;

    public SeqNum Seq => new(I64(Message, 8));
    public Digest Digest => MessageHeader.Digest(Message, 16);
    public ReplicaId Replica => new(U16(Message, 48));
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator => Message[HeaderBytes..];

    public static int SizeFor(MessageFormat format) => HeaderBytes + format.AuthenticatorBytes;

    public static bool TryParse(ReadOnlySpan<byte> message, MessageFormat format, out Checkpoint checkpoint)
    {
        checkpoint = default;
        if (!Is(message, MessageTag.Checkpoint, HeaderBytes) || message.Length != SizeFor(format) || !IsNumber(message, 8, 0)
            || U16(message, 48) >= format.N || U16(message, 50) != 0 || U32(message, 52) != 0)
        {
            return false;
        }
        checkpoint = new Checkpoint(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, MessageFormat format, SeqNum seq, in Digest digest, ReplicaId replica)
    {
        int size = SizeFor(format);
        MessageHeader.Write(buffer, MessageTag.Checkpoint, 0, size);
        I64(buffer, 8, seq.Value);
        digest.Write(buffer[16..]);
        U64(buffer, 48, (ulong)replica.Value);
        return size;
    }
}
