using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// QUERY-STABLE (§4.3.2): a replica that may have forgotten its votes asks how far the others are.
///
///      0 tag, flags, size   8 nonce u64   16 replica u16, zero u16, zero u32   24 n tags
/// </summary>
public readonly ref struct QueryStable
{
    public const int HeaderBytes = 24;

    public readonly ReadOnlySpan<byte> Message;

    private QueryStable(ReadOnlySpan<byte> message) => Message = message;

    /// <summary>Of the sender's present life: an answer to an earlier one says nothing.</summary>
    public ulong Nonce => U64(Message, 8);
    public ReplicaId Replica => new(U16(Message, 16));
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator => Message[HeaderBytes..];

    public static bool TryParse(ReadOnlySpan<byte> message, MessageFormat format, out QueryStable query)
    {
        query = default;
        if (!Is(message, MessageTag.QueryStable, HeaderBytes) || message.Length != HeaderBytes + format.AuthenticatorBytes
            || U16(message, 16) >= format.N || U16(message, 18) != 0 || U32(message, 20) != 0)
        {
            return false;
        }
        query = new QueryStable(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, MessageFormat format, ulong nonce, ReplicaId replica)
    {
        int size = HeaderBytes + format.AuthenticatorBytes;
        MessageHeader.Write(buffer, MessageTag.QueryStable, 0, size);
        U64(buffer, 8, nonce);
        U64(buffer, 16, (ulong)replica.Value);
        return size;
    }
}

/// <summary>
/// REPLY-STABLE (§4.3.2): the sender's last checkpoint and the last number that prepared there; to one replica.
///
///      0 tag, flags, size   8 nonce u64   16 checkpoint i64   24 prepared i64   32 view i64
///     40 replica u16, silent itself u16 (0 or 1), zero u32   48 one tag
/// </summary>
public readonly ref struct ReplyStable
{
    public const int HeaderBytes = 48;
    public const int SizeBytes = HeaderBytes + TagBytes;

    public readonly ReadOnlySpan<byte> Message;

    private ReplyStable(ReadOnlySpan<byte> message) => Message = message;

    public ulong Nonce => U64(Message, 8);
    public SeqNum Checkpoint => new(I64(Message, 16));
    public SeqNum Prepared => new(I64(Message, 24));
    public View View => new(I64(Message, 32));
    public ReplicaId Replica => new(U16(Message, 40));

    /// <summary>The sender may have forgotten its votes too, and waits as the asker does.</summary>
    public bool Silent => U16(Message, 42) == 1;
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Mac => Message[HeaderBytes..];

    public static bool TryParse(ReadOnlySpan<byte> message, int n, out ReplyStable reply)
    {
        reply = default;
        if (!Is(message, MessageTag.ReplyStable, HeaderBytes) || message.Length != SizeBytes || I64(message, 16) < 0
            || I64(message, 24) < 0 || I64(message, 32) < 0 || U16(message, 40) >= n || U16(message, 42) > 1 || U32(message, 44) != 0)
        {
            return false;
        }
        reply = new ReplyStable(message);
        return true;
    }

    /// <summary>Writes everything but the MAC; returns the total size.</summary>
    public static int Write(Span<byte> buffer, ulong nonce, SeqNum checkpoint, SeqNum prepared, View view, ReplicaId replica, bool silent)
    {
        MessageHeader.Write(buffer, MessageTag.ReplyStable, 0, SizeBytes);
        U64(buffer, 8, nonce);
        I64(buffer, 16, checkpoint.Value);
        I64(buffer, 24, prepared.Value);
        I64(buffer, 32, view.Value);
        U64(buffer, 40, 0);
        U16(buffer, 40, replica.Value);
        U16(buffer, 42, silent ? 1 : 0);
        return SizeBytes;
    }
}
