using BfsCore.Crypto;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// STATUS-PENDING (§5.2): what a replica has of a view change, and batches that the new view needs and it lacks (R).
///
///      0 tag, flags, size   8 view i64   16 h i64   24 replica u16, count of R u16, has the new-view u16, zero u16
///     32 view-changes it has, a bit per replica u64   40 digest of the payload (32)
///     72 payload: per wanted batch seq i64, digest (32); then n tags
/// </summary>
public readonly ref struct StatusPending
{
    public const int HeaderBytes = 72;
    public const int WantedBytes = 40;
    public const int MaxWanted = 32;

    public readonly ReadOnlySpan<byte> Message;

    private StatusPending(ReadOnlySpan<byte> message) => Message = message;

    public View View => new(I64(Message, 8));
    public SeqNum StableCheckpoint => new(I64(Message, 16));
    public ReplicaId Replica => new(U16(Message, 24));
    public int WantedCount => U16(Message, 26);
    public bool HasNewView => U16(Message, 28) == 1;
    public ulong ViewChanges => U64(Message, 32);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator => Message[(HeaderBytes + (WantedCount * WantedBytes))..];

    public (SeqNum Seq, Digest Digest) Wanted(int index)
    {
        int at = HeaderBytes + (index * WantedBytes);
        return (new SeqNum(I64(Message, at)), MessageHeader.Digest(Message, at + 8));
    }

    public static int SizeFor(int wanted, MessageFormat format) => HeaderBytes + (wanted * WantedBytes) + format.AuthenticatorBytes;

    public static bool TryParse(ReadOnlySpan<byte> message, MessageFormat format, out StatusPending status)
    {
        status = default;
        if (!Is(message, MessageTag.StatusPending, HeaderBytes) || U16(message, 26) > MaxWanted
            || message.Length != SizeFor(U16(message, 26), format) || !IsNumber(message, 8, 0) || !IsNumber(message, 16, 0)
            || U16(message, 24) >= format.N || U16(message, 28) > 1 || U16(message, 30) != 0)
        {
            return false;
        }
        Span<byte> computed = stackalloc byte[Digest.SizeBytes];
        Sha256.Hash(message[HeaderBytes..^format.AuthenticatorBytes], computed);
        if (!computed.SequenceEqual(message.Slice(40, Digest.SizeBytes)))
        {
            return false;
        }
        for (int i = 0; i < U16(message, 26); i++)
        {
            if (!IsNumber(message, HeaderBytes + (i * WantedBytes), 1))
            {
                return false;
            }
        }
        status = new StatusPending(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, MessageFormat format, View view, SeqNum stable, ReplicaId replica, bool hasNewView,
        ulong viewChanges, IReadOnlyList<(SeqNum Seq, Digest Digest)> wanted)
    {
        int count = Math.Min(wanted.Count, MaxWanted);
        int size = SizeFor(count, format);
        MessageHeader.Write(buffer, MessageTag.StatusPending, 0, size);
        I64(buffer, 8, view.Value);
        I64(buffer, 16, stable.Value);
        U16(buffer, 24, replica.Value);
        U16(buffer, 26, count);
        U32(buffer, 28, hasNewView ? 1u : 0);
        U64(buffer, 32, viewChanges);
        for (int i = 0; i < count; i++)
        {
            I64(buffer, HeaderBytes + (i * WantedBytes), wanted[i].Seq.Value);
            wanted[i].Digest.Write(buffer[(HeaderBytes + (i * WantedBytes) + 8)..]);
        }
        Sha256.Hash(buffer.Slice(HeaderBytes, count * WantedBytes), buffer[40..]);
        return size;
    }
}

/// <summary>
/// BATCH: a whole batch, for a replica that needs it in a new view. Not authenticated: its digest is known to the receiver.
///
///      0 tag, flags, size   8 seq i64   16 length u32 and the PRE-PREPARE, then for each request that travelled separately
///        its length u32 and the REQUEST
/// </summary>
public readonly ref struct BatchMessage
{
    public const int HeaderBytes = 16;

    public static int Write(Span<byte> buffer, SeqNum seq, ReadOnlySpan<byte> prePrepare, IReadOnlyList<byte[]> bodies)
    {
        int at = Append(buffer, HeaderBytes, prePrepare);
        foreach (byte[] body in bodies)
        {
            at = Append(buffer, at, body);
        }
        WriteHeader(buffer, seq, at);
        return at;
    }

    internal static void WriteHeader(Span<byte> buffer, SeqNum seq, int size)
    {
        MessageHeader.Write(buffer, MessageTag.Batch, 0, size);
        I64(buffer, 8, seq.Value);
    }

    /// <summary>Writes one part with its length; returns where the next begins.</summary>
    internal static int Append(Span<byte> buffer, int at, ReadOnlySpan<byte> part)
    {
        U32(buffer, at, (uint)part.Length);
        part.CopyTo(buffer[(at + 4)..]);
        return at + 4 + part.Length;
    }

    public static bool TryParse(ReadOnlySpan<byte> message, out SeqNum seq, out ReadOnlySpan<byte> parts)
    {
        seq = default;
        parts = default;
        if (!Is(message, MessageTag.Batch, HeaderBytes) || !IsNumber(message, 8, 1))
        {
            return false;
        }
        seq = new SeqNum(I64(message, 8));
        parts = message[HeaderBytes..];
        return true;
    }

    /// <summary>Takes the next part; false at the end or when lengths make no sense.</summary>
    public static bool TryTake(scoped ref ReadOnlySpan<byte> parts, out ReadOnlySpan<byte> part)
    {
        part = default;
        if (parts.Length < 4 || U32(parts, 0) > parts.Length - 4)
        {
            return false;
        }
        int length = (int)U32(parts, 0);
        part = parts.Slice(4, length);
        parts = parts[(4 + length)..];
        return true;
    }
}
