using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsCore.Crypto;

namespace BfsCore.State;

/// <summary>
/// The digests of many pages: those that <see cref="PartitionTree.PageDigest"/> gives, several at once where the processor can
/// (<see cref="Sha256Lanes"/>).
/// </summary>
internal static class PageDigests
{
    /// <summary>How many pages are best given at once.</summary>
    public const int Batch = Sha256Lanes.Lanes;

    /// <summary>
    /// Fewer pages are faster one by one, or as fast: the lanes take as long for one page as for 16. Five took 11.5 us either
    /// way, eight 18.5 us one by one and 11.3 in lanes; processors with fewer units for such vectors gain less.
    /// </summary>
    private const int LeastInLanes = 8;

    /// <summary>The digests of pages that lie one behind the other.</summary>
    public static void Of(ReadOnlySpan<byte> pages, Span<Digest> digests)
    {
        BfsAssert.That(pages.Length == digests.Length * PagedState.PageBytes);
        Span<long> numbers = stackalloc long[Batch];
        for (int first = 0; first < digests.Length; first += Batch)
        {
            int count = Math.Min(Batch, digests.Length - first);
            for (int i = 0; i < count; i++)
            {
                numbers[i] = first + i;
            }
            Of(in MemoryMarshal.GetReference(pages), numbers[..count], digests.Slice(first, count));
        }
    }

    /// <summary>The digests of the pages with these numbers; page 0 is at <paramref name="origin"/>.</summary>
    public static void Of(ref readonly byte origin, ReadOnlySpan<long> pages, Span<Digest> digests)
    {
        BfsAssert.That(pages.Length == digests.Length);
        Span<nint> offsets = stackalloc nint[Batch];
        Span<int> places = stackalloc int[Batch];
        int used = 0;
        for (int i = 0; i < pages.Length; i++)
        {
            nint offset = (nint)pages[i] * PagedState.PageBytes;
            if (PageAt(in origin, offset).ContainsAnyExcept((byte)0))
            {
                (offsets[used], places[used]) = (offset, i);
                used++;
            }
            else
            {
                digests[i] = default;
            }
            if (used == Batch || i == pages.Length - 1)
            {
                Hash(in origin, offsets[..used], places[..used], digests);
                used = 0;
            }
        }
    }

    /// <summary>Hashes pages that are not all zeros, at most a batch.</summary>
    private static void Hash(ref readonly byte origin, ReadOnlySpan<nint> offsets, ReadOnlySpan<int> places, Span<Digest> digests)
    {
        Span<Digest> hashed = stackalloc Digest[Batch];
        bool inLanes = offsets.Length >= LeastInLanes && Sha256Lanes.IsSupported;
        if (inLanes)
        {
            Sha256Lanes.Hash(in origin, offsets, PagedState.PageBytes, hashed[..offsets.Length]);
        }
        for (int i = 0; i < offsets.Length; i++)
        {
            digests[places[i]] = inLanes ? hashed[i] : PartitionTree.PageDigest(PageAt(in origin, offsets[i]));
        }
    }

    private static ReadOnlySpan<byte> PageAt(ref readonly byte origin, nint offset) =>
        MemoryMarshal.CreateReadOnlySpan(ref Unsafe.AddByteOffset(ref Unsafe.AsRef(in origin), offset), PagedState.PageBytes);
}
