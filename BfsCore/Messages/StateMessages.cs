using BfsCore.State;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// FETCH (§5.3.2): asks one replica for the children of a partition at a checkpoint, or for pages below it.
///
///      0 tag, flags, size   8 checkpoint i64   16 level u32, replica u16, zero u16
///     24 index u64          32 mask u64: zero asks for the child digests; otherwise the children are pages, and each set bit asks for one
///     40 one MAC for the receiver
/// </summary>
public readonly ref struct Fetch
{
    public const int HeaderBytes = 40;
    public const int TotalBytes = HeaderBytes + TagBytes;

    public readonly ReadOnlySpan<byte> Message;

    private Fetch(ReadOnlySpan<byte> message) => Message = message;

    public SeqNum Checkpoint => new(I64(Message, 8));
    public int Level => (int)U32(Message, 16);
    public ReplicaId Replica => new(U16(Message, 20));
    public long Index => I64(Message, 24);
    public ulong Mask => U64(Message, 32);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Mac => Message[HeaderBytes..];

    public static bool TryParse(ReadOnlySpan<byte> message, int n, out Fetch fetch)
    {
        fetch = default;
        if (!Is(message, MessageTag.Fetch, TotalBytes) || message.Length != TotalBytes || !IsNumber(message, 8, 0)
            || U32(message, 16) > 16 || U16(message, 20) >= n || U16(message, 22) != 0 || !IsNumber(message, 24, 0))
        {
            return false;
        }
        fetch = new Fetch(message);
        return true;
    }

    /// <summary>Writes everything but the MAC; returns the total size.</summary>
    public static int Write(Span<byte> buffer, SeqNum checkpoint, int level, long index, ulong mask, ReplicaId replica)
    {
        MessageHeader.Write(buffer, MessageTag.Fetch, 0, TotalBytes);
        I64(buffer, 8, checkpoint.Value);
        U32(buffer, 16, (uint)level);
        U16(buffer, 20, replica.Value);
        U16(buffer, 22, 0);
        I64(buffer, 24, index);
        U64(buffer, 32, mask);
        return TotalBytes;
    }
}

/// <summary>
/// META-DATA (§5.3.2): the digests of all children of a partition at a checkpoint. Not authenticated: the receiver knows
/// the partition's digest, which commits to them.
///
///      0 tag, flags, size   8 checkpoint i64   16 level u32, replica u16, zero u16   24 index u64   32 64 digests
/// </summary>
public readonly ref struct MetaData
{
    public const int HeaderBytes = 32;
    public const int ChildrenBytes = PagedState.Fanout * Digest.SizeBytes;
    public const int TotalBytes = HeaderBytes + ChildrenBytes;

    public readonly ReadOnlySpan<byte> Message;

    private MetaData(ReadOnlySpan<byte> message) => Message = message;

    public SeqNum Checkpoint => new(I64(Message, 8));
    public int Level => (int)U32(Message, 16);
    public ReplicaId Replica => new(U16(Message, 20));
    public long Index => I64(Message, 24);
    public ReadOnlySpan<byte> Children => Message[HeaderBytes..];

    public static bool TryParse(ReadOnlySpan<byte> message, int n, out MetaData metaData)
    {
        metaData = default;
        if (!Is(message, MessageTag.MetaData, TotalBytes) || message.Length != TotalBytes || !IsNumber(message, 8, 0)
            || U32(message, 16) > 16 || U16(message, 20) >= n || U16(message, 22) != 0 || !IsNumber(message, 24, 0))
        {
            return false;
        }
        metaData = new MetaData(message);
        return true;
    }

    /// <summary>Writes the header; the caller fills the children. Returns the total size.</summary>
    public static int WriteHeader(Span<byte> buffer, SeqNum checkpoint, int level, long index, ReplicaId replica)
    {
        MessageHeader.Write(buffer, MessageTag.MetaData, 0, TotalBytes);
        I64(buffer, 8, checkpoint.Value);
        U32(buffer, 16, (uint)level);
        U16(buffer, 20, replica.Value);
        U16(buffer, 22, 0);
        I64(buffer, 24, index);
        return TotalBytes;
    }
}

/// <summary>
/// DATA (§5.3.2): pages of one family (64 pages below one partition) at a checkpoint. Not authenticated: their digests are
/// known to the receiver.
///
///      0 tag, flags, size   8 checkpoint i64   16 index of the family u64   24 mask u64: which of its pages follow
///     32 pages of 4096 bytes, in ascending order
/// </summary>
public readonly ref struct Data
{
    public const int HeaderBytes = 32;

    /// <summary>Most pages in one message: it fits one datagram.</summary>
    public const int MaxPages = 15;

    public readonly ReadOnlySpan<byte> Message;

    private Data(ReadOnlySpan<byte> message) => Message = message;

    public SeqNum Checkpoint => new(I64(Message, 8));
    public long Family => I64(Message, 16);
    public ulong Mask => U64(Message, 24);
    public ReadOnlySpan<byte> Pages => Message[HeaderBytes..];
    public ReadOnlySpan<byte> Page(int position) =>
        Message.Slice(HeaderBytes + (position * PagedState.PageBytes), PagedState.PageBytes);

    public static bool TryParse(ReadOnlySpan<byte> message, out Data data)
    {
        data = default;
        if (!Is(message, MessageTag.Data, HeaderBytes) || !IsNumber(message, 8, 0) || !IsNumber(message, 16, 0))
        {
            return false;
        }
        int pages = System.Numerics.BitOperations.PopCount(U64(message, 24));
        if (pages is 0 or > MaxPages || message.Length != HeaderBytes + (pages * PagedState.PageBytes))
        {
            return false;
        }
        data = new Data(message);
        return true;
    }

    /// <summary>Writes the header for the pages in the mask; the caller fills them. Returns the total size.</summary>
    public static int WriteHeader(Span<byte> buffer, SeqNum checkpoint, long family, ulong mask)
    {
        int size = HeaderBytes + (System.Numerics.BitOperations.PopCount(mask) * PagedState.PageBytes);
        MessageHeader.Write(buffer, MessageTag.Data, 0, size);
        I64(buffer, 8, checkpoint.Value);
        I64(buffer, 16, family);
        U64(buffer, 24, mask);
        return size;
    }
}
