using System.Buffers.Binary;

namespace BfsReplica.Snfsd;

/// <summary>
/// A leaf of a directory: entries in ascending order of key, then of name, packed from the front; in a block, or in the
/// inode of a small directory. The rest of it is zero.
///
///      0 count u16, used bytes u16 (with this header)   4 entries: key u64, inode u32, length of the name u8, name
/// </summary>
internal static class Leaf
{
    public const int HeaderBytes = 4;
    public const int EntryHeaderBytes = 13;

    /// <summary>Most bytes that an entry takes.</summary>
    public const int MaxEntryBytes = EntryHeaderBytes + BfsCore.FileProtocol.FileLimits.MaxNameBytes;

    public static int Count(ReadOnlySpan<byte> leaf) => BinaryPrimitives.ReadUInt16LittleEndian(leaf);

    /// <summary>Bytes in use, the header included; an empty leaf says zero or four.</summary>
    public static int Used(ReadOnlySpan<byte> leaf) => Math.Max(HeaderBytes, (int)BinaryPrimitives.ReadUInt16LittleEndian(leaf[2..]));

    public static ulong Key(ReadOnlySpan<byte> leaf, int at) => BinaryPrimitives.ReadUInt64LittleEndian(leaf[at..]);

    public static uint Inode(ReadOnlySpan<byte> leaf, int at) => BinaryPrimitives.ReadUInt32LittleEndian(leaf[(at + 8)..]);

    public static ReadOnlySpan<byte> Name(ReadOnlySpan<byte> leaf, int at) => leaf.Slice(at + EntryHeaderBytes, leaf[at + 12]);

    public static int Next(ReadOnlySpan<byte> leaf, int at) => at + EntryHeaderBytes + leaf[at + 12];

    /// <summary>Whether a whole entry is at a place, in a leaf that may be damaged; if not, nothing can be read from there on.</summary>
    public static bool HasEntry(ReadOnlySpan<byte> leaf, int at)
    {
        int end = Math.Min(Used(leaf), leaf.Length);
        return at + EntryHeaderBytes <= end && Next(leaf, at) <= end;
    }

    /// <summary>Whether a leaf is whole: entries that are where they belong, and nothing behind them.</summary>
    public static bool IsRight(ReadOnlySpan<byte> leaf)
    {
        int at = HeaderBytes;
        int count = 0;
        ulong last = 0;
        for (; HasEntry(leaf, at) && Key(leaf, at) >= last && Key(leaf, at) == NameHash.KeyOf(Name(leaf, at)); at = Next(leaf, at))
        {
            last = Key(leaf, at);
            count++;
        }
        return at == Used(leaf) && count == Count(leaf) && !leaf[at..].ContainsAnyExcept((byte)0);
    }

    /// <summary>Where an entry is, or, if it is not there, where it belongs.</summary>
    public static bool Find(ReadOnlySpan<byte> leaf, ulong key, ReadOnlySpan<byte> name, out int at)
    {
        int used = Used(leaf);
        for (at = HeaderBytes; at < used; at = Next(leaf, at))
        {
            ulong found = Key(leaf, at);
            int order = found != key ? found.CompareTo(key) : Name(leaf, at).SequenceCompareTo(name);
            if (order >= 0)
            {
                return order == 0;
            }
        }
        return false;
    }

    public static bool HasRoom(ReadOnlySpan<byte> leaf, int nameBytes) => Used(leaf) + EntryHeaderBytes + nameBytes <= leaf.Length;

    /// <summary>Puts an entry in its place; there is room.</summary>
    public static void Insert(Span<byte> leaf, int at, ulong key, uint inode, ReadOnlySpan<byte> name)
    {
        int used = Used(leaf);
        int size = EntryHeaderBytes + name.Length;
        leaf[at..used].CopyTo(leaf[(at + size)..]);
        BinaryPrimitives.WriteUInt64LittleEndian(leaf[at..], key);
        SetInode(leaf, at, inode);
        leaf[at + 12] = (byte)name.Length;
        name.CopyTo(leaf[(at + EntryHeaderBytes)..]);
        SetHeader(leaf, Count(leaf) + 1, used + size);
    }

    public static void SetInode(Span<byte> leaf, int at, uint inode) =>
        BinaryPrimitives.WriteUInt32LittleEndian(leaf[(at + 8)..], inode);

    public static void Remove(Span<byte> leaf, int at)
    {
        int used = Used(leaf);
        int next = Next(leaf, at);
        leaf[next..used].CopyTo(leaf[at..]);
        int left = used - (next - at);
        leaf[left..used].Clear();
        SetHeader(leaf, Count(leaf) - 1, left);
    }

    /// <summary>Moves the entries with keys from <paramref name="boundary"/> on to an empty leaf.</summary>
    public static void Split(Span<byte> leaf, ulong boundary, Span<byte> upper)
    {
        int used = Used(leaf);
        int at = HeaderBytes;
        int stay = 0;
        for (; at < used && Key(leaf, at) < boundary; at = Next(leaf, at))
        {
            stay++;
        }
        leaf[at..used].CopyTo(upper[HeaderBytes..]);
        SetHeader(upper, Count(leaf) - stay, HeaderBytes + used - at);
        leaf[at..used].Clear();
        SetHeader(leaf, stay, at);
    }

    private static void SetHeader(Span<byte> leaf, int count, int used)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(leaf, (ushort)count);
        BinaryPrimitives.WriteUInt16LittleEndian(leaf[2..], (ushort)used);
    }
}
