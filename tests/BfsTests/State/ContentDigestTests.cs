using System.Security.Cryptography;
using BfsCore;
using BfsCore.State;

namespace BfsTests.State;

/// <summary>The digest of operations and results, against a slow obvious one.</summary>
public sealed class ContentDigestTests
{
    private const int Block = 4096;

    private static byte[] Leaf(byte[] block) => block.All(b => b == 0) ? new byte[32] : SHA256.HashData(block);

    private static Digest Reference(byte[] content, byte[] prefix)
    {
        byte[] rest = content;
        byte[] digests = [];
        while (rest.Length >= Block)
        {
            digests = [.. Leaf(rest[^Block..]), .. digests];
            rest = rest[..^Block];
        }
        return Digest.Read(SHA256.HashData([.. prefix, .. rest, .. digests]));
    }

    private static Digest Reference(byte[] content) => Reference(content, BitConverter.GetBytes((ulong)content.Length));

    private static byte[] RandomBytes(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4095)]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData(8191)]
    [InlineData(8192)]
    [InlineData(61444)]
    [InlineData(Limits.MaxResultBytes)]
    [InlineData(ContentDigest.MaxContentBytes)]
    public void It_is_that_of_length_head_and_page_digests(int length)
    {
        byte[] content = RandomBytes(length, length);
        Assert.Equal(Reference(content), ContentDigest.Of(content));
        byte[] prefix = RandomBytes(32, 1);
        var blocks = new Digest[ContentDigest.BlocksIn(length)];
        Assert.Equal(Reference(content, prefix), ContentDigest.OfPrefixed(prefix, content, blocks));
        Assert.All(blocks.Index(), b => Assert.Equal(
            PartitionTree.PageDigest(content.AsSpan((length % Block) + (b.Index * Block), Block)), b.Item));
        if (length >= Block)
        {
            // A block of zeros, the last one, has the digest that the partition tree has for a page of zeros.
            content.AsSpan(^Block..).Clear();
            Assert.Equal(Reference(content), ContentDigest.Of(content));
        }
        Assert.Equal(Reference(new byte[length]), ContentDigest.Of(new byte[length]));
    }

    [Fact]
    public void Any_length_and_any_content()
    {
        var random = new Random(5);
        for (int i = 0; i < 500; i++)
        {
            byte[] content = RandomBytes(random.Next(20_000), i);
            Assert.Equal(Reference(content), ContentDigest.Of(content));
        }
    }

    /// <summary>These digests are part of the protocol: replicas and clients compare them.</summary>
    [Theory]
    [InlineData(0, "af5570f5a1810b7a")]
    [InlineData(5, "d5f50a7c424c0df4")]
    [InlineData(4095, "3f0f8a8cd1fa25fd")]
    [InlineData(4096, "1d25f7482e5ef7c8")]
    [InlineData(10_000, "ce2025feb12885ee")]
    public void Digests_are_frozen(int length, string start)
    {
        byte[] content = [.. Enumerable.Range(0, length).Select(i => (byte)(i * 7))];
        Assert.Equal(start, ContentDigest.Of(content).ToString()[..16]);
    }

    [Theory]
    [InlineData(Block)]
    [InlineData(Block + 1)]
    [InlineData(15 * Block)]
    [InlineData((15 * Block) + 4)]
    public void What_is_hashed_for_a_long_string_is_not_a_short_one_with_its_digest(int length)
    {
        byte[] content = RandomBytes(length, 3);
        byte[] digests = [.. Enumerable.Range(0, length / Block).SelectMany(i => Leaf(content[((length % Block) + (i * Block))..][..Block]))];
        // Head and digests, without and with the length in front of them.
        byte[] shorter = [.. content[..(length % Block)], .. digests];
        Assert.True(shorter.Length < Block);
        Assert.NotEqual(ContentDigest.Of(content), ContentDigest.Of(shorter));
        Assert.NotEqual(ContentDigest.Of(content), ContentDigest.Of([.. BitConverter.GetBytes((ulong)length), .. shorter]));
        // Without the lengths they would be the same.
        Assert.Equal(Reference(content, []), Reference(shorter, []));
    }

    [Fact]
    public void Every_byte_and_the_length_matter()
    {
        byte[] content = RandomBytes((2 * Block) + 3, 9);
        Digest digest = ContentDigest.Of(content);
        for (int i = 0; i < content.Length; i++)
        {
            content[i] ^= 16;
            Assert.NotEqual(digest, ContentDigest.Of(content));
            content[i] ^= 16;
        }
        Assert.NotEqual(ContentDigest.Of(new byte[Block]), ContentDigest.Of(new byte[2 * Block]));
        Assert.NotEqual(ContentDigest.Of(new byte[Block]), ContentDigest.Of(new byte[32]));
    }

    [Fact]
    public void Operations_and_results_are_short_enough() =>
        Assert.True(Math.Max(Limits.MaxOperationBytes, Limits.MaxResultBytes) <= ContentDigest.MaxContentBytes);

    [Fact]
    public void A_string_that_is_too_long_is_refused() =>
        Assert.Throws<BfsAssertException>(() => ContentDigest.Of(new byte[ContentDigest.MaxContentBytes + 1]));
}
