using System.Security.Cryptography;
using BfsCore;
using BfsCore.Crypto;
using BfsCore.State;

namespace BfsTests.State;

/// <summary>The digests of many pages at once, against those of one after the other.</summary>
public sealed class PageDigestsTests
{
    private const int PageBytes = 4096;
    private const int MostPages = 33;

    private readonly Random _random = new(11);

    private static Digest Reference(ReadOnlySpan<byte> page) =>
        page.ContainsAnyExcept((byte)0) ? Digest.Read(SHA256.HashData(page)) : default;

    private static Digest[] Reference(byte[] memory, params IEnumerable<long> pages) =>
        [.. pages.Select(page => Reference(memory.AsSpan((int)page * PageBytes, PageBytes)))];

    private byte[] RandomPages(int count)
    {
        byte[] memory = new byte[count * PageBytes];
        _random.NextBytes(memory);
        return memory;
    }

    /// <summary>Digests that were something else before: every one is written.</summary>
    private static Digest[] Used(int count) => [.. Enumerable.Repeat(Digest.Read(SHA256.HashData("before"u8)), count)];

    [Fact]
    public void Pages_one_behind_the_other()
    {
        for (int count = 0; count <= MostPages; count++)
        {
            byte[] memory = RandomPages(count);
            Digest[] digests = Used(count);
            PageDigests.Of(memory, digests);
            Assert.Equal(Reference(memory, Enumerable.Range(0, count).Select(i => (long)i)), digests);
        }
    }

    [Fact]
    public void Pages_at_any_place_in_any_order()
    {
        byte[] memory = RandomPages(100);
        for (int count = 0; count <= MostPages; count++)
        {
            long[] pages = [.. Enumerable.Range(0, count).Select(_ => (long)_random.Next(100))];
            Digest[] digests = Used(count);
            PageDigests.Of(in memory[0], pages, digests);
            Assert.Equal(Reference(memory, pages), digests);
        }
    }

    /// <summary>A page of zeros has the digest zero; one whose last bit is set has not.</summary>
    [Fact]
    public void Pages_of_zeros()
    {
        for (int count = 0; count <= MostPages; count++)
        {
            Digest[] digests = Used(count);
            PageDigests.Of(new byte[count * PageBytes], digests);
            Assert.All(digests, digest => Assert.True(digest.IsZero));

            byte[] memory = RandomPages(count);
            for (int page = 0; page < count; page++)
            {
                memory.AsSpan(page * PageBytes, _random.Next(3) * PageBytes / 2).Clear();
                memory[(page * PageBytes) + PageBytes - 1] &= (byte)_random.Next(2);
            }
            PageDigests.Of(memory, digests);
            Assert.Equal(Reference(memory, Enumerable.Range(0, count).Select(i => (long)i)), digests);
        }
    }

    [Fact]
    public void Nothing_is_allocated()
    {
        byte[] memory = RandomPages(MostPages);
        Digest[] digests = new Digest[MostPages];
        PageDigests.Of(memory, digests);
        long before = GC.GetAllocatedBytesForCurrentThread();
        PageDigests.Of(memory, digests);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(64)]
    [InlineData(192)]
    [InlineData(PageBytes)]
    [InlineData(Sha256Lanes.MaxMessageBytes)]
    public void Every_lane_is_SHA_256(int messageBytes)
    {
        if (!Sha256Lanes.IsSupported)
        {
            return;
        }
        byte[] memory = RandomPages((Sha256Lanes.MaxMessageBytes / PageBytes) + 1);
        for (int count = 1; count <= Sha256Lanes.Lanes; count++)
        {
            nint[] offsets = [.. Enumerable.Range(0, count).Select(_ => (nint)_random.Next(memory.Length - messageBytes))];
            Digest[] digests = Used(count);
            Sha256Lanes.Hash(in memory[0], offsets, messageBytes, digests);
            Assert.Equal(offsets.Select(offset => Digest.Read(SHA256.HashData(memory.AsSpan((int)offset, messageBytes)))), digests);
        }
    }

    [Fact]
    public void Messages_of_other_lengths_are_refused()
    {
        byte[] memory = new byte[256];
        foreach (int messageBytes in (int[])[-64, 1, 63, 65, Sha256Lanes.MaxMessageBytes + 64])
        {
            Assert.Throws<BfsAssertException>(() => Sha256Lanes.Hash(in memory[0], [0], messageBytes, new Digest[1]));
        }
    }
}
