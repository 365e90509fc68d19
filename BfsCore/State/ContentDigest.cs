using System.Buffers.Binary;
using System.Runtime.InteropServices;
using BfsCore.Crypto;

namespace BfsCore.State;

/// <summary>
/// The digest of an operation or a result (§2.3.2, §5.1.1), made of the digests that the partition tree has of pages (§5.3.1):
/// who knows those of the pages that a long string consists of need not hash it. The string is cut from its end into
/// blocks of 4 KB, because what stands before a file's pages in an operation or a result is short; what is left in front is
/// the head, less than a block:
///
///     SHA-256(prefix | head | page digest of each block)
///
/// The prefix has a fixed size and says how long the string is; for a result it is the length alone, u64. So it follows
/// from the prefix which bytes are the head and which are digests. Without the length a short string that equals head and
/// digests of a long one would have the long one's digest.
/// </summary>
public static class ContentDigest
{
    public const int BlockBytes = PagedState.PageBytes;

    /// <summary>Longest string, bytes: operations and results are shorter.</summary>
    public const int MaxContentBytes = 64 * 1024;

    private const int MaxPrefixBytes = 64;

    /// <summary>The digest of a string of at most <see cref="MaxContentBytes"/> under the prefix of results.</summary>
    public static Digest Of(ReadOnlySpan<byte> content)
    {
        Span<Digest> blocks = stackalloc Digest[BlocksIn(content.Length)];
        DigestBlocks(content, blocks);
        return Combine(HeadOf(content), blocks);
    }

    /// <summary>The same, from the head and the digests of the blocks.</summary>
    internal static Digest Combine(ReadOnlySpan<byte> head, ReadOnlySpan<Digest> blocks)
    {
        Span<byte> length = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)(head.Length + (blocks.Length * BlockBytes)));
        return Combine(length, head, blocks);
    }

    /// <summary>The digest of a string under another prefix, which has one size everywhere and says the string's length.</summary>
    /// <param name="blocks">Gets the digests of its blocks: <see cref="BlocksIn"/> of them.</param>
    internal static Digest OfPrefixed(ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> content, Span<Digest> blocks)
    {
        DigestBlocks(content, blocks);
        return Combine(prefix, HeadOf(content), blocks);
    }

    /// <summary>How many blocks a string has.</summary>
    internal static int BlocksIn(int contentBytes)
    {
        BfsAssert.That(contentBytes <= MaxContentBytes);
        return contentBytes / BlockBytes;
    }

    /// <summary>What is in front of a string's blocks.</summary>
    internal static ReadOnlySpan<byte> HeadOf(ReadOnlySpan<byte> content) => content[..(content.Length % BlockBytes)];

    private static void DigestBlocks(ReadOnlySpan<byte> content, Span<Digest> blocks) =>
        PageDigests.Of(content[HeadOf(content).Length..], blocks);

    private static Digest Combine(ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> head, ReadOnlySpan<Digest> blocks)
    {
        BfsAssert.That(prefix.Length <= MaxPrefixBytes && head.Length < BlockBytes && blocks.Length <= MaxContentBytes / BlockBytes);
        ReadOnlySpan<byte> digests = MemoryMarshal.AsBytes(blocks);
        Span<byte> input = stackalloc byte[prefix.Length + head.Length + digests.Length];
        prefix.CopyTo(input);
        head.CopyTo(input[prefix.Length..]);
        digests.CopyTo(input[(prefix.Length + head.Length)..]);
        Digest digest = default;
        Sha256.Hash(input, MemoryMarshal.AsBytes(new Span<Digest>(ref digest)));
        return digest;
    }
}
