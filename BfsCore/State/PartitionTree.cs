using System.Buffers.Binary;
using System.Runtime.InteropServices;
using BfsCore.Crypto;

namespace BfsCore.State;

/// <summary>
/// The digests of the hierarchical state partitions (§5.3.1): level 0 is the root, the last level the pages, and every
/// node between has <see cref="Fanout"/> children. A leaf is the SHA-256 of the page; an interior node is the SHA-256 of
/// its level, its index and the digests of all its children: a Merkle tree instead of the thesis's AdHash, whose sums can
/// be forged (pitfall 28). What is all zero has the all-zero digest, so that a blank region of any size costs nothing.
/// </summary>
/// <remarks>
/// The thesis also hashes <c>lm</c>, the checkpoint at which a partition was last modified, because its META-DATA messages
/// leave out the children that did not change. Ours carry the digests of all children (2 KB), so the digest depends on
/// the content alone: two replicas with the same bytes have the same root however they came by them.
/// </remarks>
internal sealed unsafe class PartitionTree : IDisposable
{
    /// <summary>s: children of an interior partition.</summary>
    public const int Fanout = 64;

    private const int FanoutBits = 6;
    private const int ChildrenBytes = Fanout * Digest.SizeBytes;
    private const int PrefixBytes = sizeof(uint) + sizeof(ulong);

    // One array per level, rounded up to whole families. The pages of these arrays are zero until they are written, which
    // is what a tree over a blank region contains.
    private readonly Digest*[] _levels;
    private readonly long[] _nodes;

    public PartitionTree(long pages)
    {
        _nodes = NodesPerLevel(pages);
        _levels = new Digest*[_nodes.Length];
        for (int level = 0; level < _nodes.Length; level++)
        {
            long whole = (_nodes[level] + Fanout - 1) & ~(Fanout - 1L);
            _levels[level] = (Digest*)NativeMemory.AllocZeroed((nuint)whole, Digest.SizeBytes);
        }
    }

    /// <summary>How many levels there are, root and pages included: at least two.</summary>
    public int Levels => _nodes.Length;

    public int PageLevel => _nodes.Length - 1;

    /// <summary>How many nodes a level has.</summary>
    public long NodesAt(int level) => _nodes[level];

    public Digest this[int level, long index]
    {
        get => _levels[level][index];
        set => _levels[level][index] = value;
    }

    /// <summary>The digest of an interior node, from the digests of its children as they are now.</summary>
    public Digest Compute(int level, long index) =>
        NodeDigest(level, index, new ReadOnlySpan<byte>(_levels[level + 1] + (index << FanoutBits), ChildrenBytes));

    public static long ParentOf(long index) => index >> FanoutBits;

    /// <summary>The digest of a page's content: zero for a page of zeros.</summary>
    public static Digest PageDigest(ReadOnlySpan<byte> page) =>
        page.IndexOfAnyExcept((byte)0) < 0 ? default : Hash(page);

    /// <summary>The digest of an interior node from its 64 children, 32 bytes each; children that do not exist are zero.</summary>
    public static Digest NodeDigest(int level, long index, ReadOnlySpan<byte> children)
    {
        BfsAssert.That(children.Length == ChildrenBytes);
        if (children.IndexOfAnyExcept((byte)0) < 0)
        {
            return default;
        }
        Span<byte> buffer = stackalloc byte[PrefixBytes + ChildrenBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, (uint)level);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[sizeof(uint)..], (ulong)index);
        children.CopyTo(buffer[PrefixBytes..]);
        return Hash(buffer);
    }

    public void Dispose()
    {
        for (int level = 0; level < _levels.Length; level++)
        {
            NativeMemory.Free(_levels[level]);
            _levels[level] = null;
        }
    }

    private static Digest Hash(ReadOnlySpan<byte> bytes)
    {
        Digest digest = default;
        Sha256.Hash(bytes, MemoryMarshal.AsBytes(new Span<Digest>(ref digest)));
        return digest;
    }

    private static long[] NodesPerLevel(long pages)
    {
        int levels = 2;
        for (long n = ParentOf(pages + Fanout - 1); n > 1; n = ParentOf(n + Fanout - 1))
        {
            levels++;
        }
        var nodes = new long[levels];
        nodes[levels - 1] = pages;
        for (int level = levels - 2; level >= 0; level--)
        {
            nodes[level] = ParentOf(nodes[level + 1] + Fanout - 1);
        }
        return nodes;
    }
}
