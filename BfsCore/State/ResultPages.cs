using System.Runtime.InteropServices;

namespace BfsCore.State;

/// <summary>
/// Where a service says which parts of a read-only result are whole pages of its region, instead of copying them: their
/// digests are taken from the partition tree, and only a replica that sends the result, or has to hash a page, reads it. All
/// replicas but one answer with the digest of a long result (§5.1.1). Copying and saying nothing is always right. Only of pages
/// that lie where <see cref="ContentDigest"/> has its blocks, counted from the result's end, the digests are of use.
/// </summary>
/// <remarks>
/// The tree's digest is that of what a page should hold. If its memory is damaged, the digest is right and the content is not:
/// when this replica is the one that sends the result, the client finds that and gets it from another one.
/// </remarks>
public sealed class ResultPages
{
    private const int MaxNotes = Limits.MaxResultBytes / PagedState.PageBytes;
    private const long Zeros = -1;

    private readonly PagedState _pages;
    private readonly long _firstPage;
    private readonly (int ResultOffset, long Page)[] _notes = new (int, long)[MaxNotes];
    private int _count;

    /// <param name="pages">All replicated memory.</param>
    /// <param name="startBytes">Where in it the service's region starts; a page's start.</param>
    internal ResultPages(PagedState pages, long startBytes)
    {
        BfsAssert.That(startBytes % PagedState.PageBytes == 0);
        _pages = pages;
        _firstPage = startBytes / PagedState.PageBytes;
    }

    /// <summary>Blocks of results whose digests were known.</summary>
    internal long BlocksKnown { get; private set; }

    /// <summary>Blocks of results that had to be hashed.</summary>
    internal long BlocksHashed { get; private set; }

    /// <summary>
    /// The 4096 bytes of the result from <paramref name="resultOffset"/> are the page of the region at
    /// <paramref name="regionOffset"/>; the service leaves them as they are. To be said in the order of the result; asserts that
    /// the page is one, and that it lies behind the last one in a result that is not too long.
    /// </summary>
    public void Place(int resultOffset, long regionOffset)
    {
        long page = _firstPage + (regionOffset / PagedState.PageBytes);
        BfsAssert.That(regionOffset >= 0 && regionOffset % PagedState.PageBytes == 0 && page < _pages.PageCount);
        Add(resultOffset, page);
    }

    /// <summary>The 4096 bytes of the result from <paramref name="resultOffset"/> are zeros; otherwise as <see cref="Place"/>.</summary>
    public void PlaceZeros(int resultOffset) => Add(resultOffset, Zeros);

    private void Add(int resultOffset, long page)
    {
        int free = _count == 0 ? 0 : _notes[_count - 1].ResultOffset + PagedState.PageBytes;
        BfsAssert.That(resultOffset >= free && resultOffset <= Limits.MaxResultBytes - PagedState.PageBytes);
        _notes[_count++] = (resultOffset, page);
    }

    /// <summary>Forgets what was said of the result before.</summary>
    internal void Clear() => _count = 0;

    /// <summary>Writes the pages that were said into the result, as far as they are needed.</summary>
    /// <param name="whole">All of them, since the result is sent; otherwise those whose digests are not known.</param>
    /// <returns>The result's <see cref="ContentDigest"/>.</returns>
    internal Digest Complete(Span<byte> result, bool whole)
    {
        Span<Digest> blocks = stackalloc Digest[ContentDigest.BlocksIn(result.Length)];
        Span<long> unknown = stackalloc long[blocks.Length];
        int headBytes = ContentDigest.HeadOf(result).Length;
        int hashed = 0;
        int note = 0;
        for (int i = 0; i < blocks.Length; i++)
        {
            int at = headBytes + (i * ContentDigest.BlockBytes);
            for (; note < _count && _notes[note].ResultOffset < at; note++)
            {
                Write(result, _notes[note]);
            }
            bool isPage = note < _count && _notes[note].ResultOffset == at;
            bool known = isPage && TryFind(_notes[note].Page, out blocks[i]);
            if (isPage && (whole || !known))
            {
                Write(result, _notes[note]);
            }
            note += isPage ? 1 : 0;
            if (!known)
            {
                unknown[hashed++] = i;
            }
        }
        for (; note < _count; note++)
        {
            Write(result, _notes[note]);
        }
        BlocksKnown += blocks.Length - hashed;
        BlocksHashed += hashed;
        HashBlocks(result[headBytes..], unknown[..hashed], blocks);
        return ContentDigest.Combine(result[..headBytes], blocks);
    }

    private void Write(Span<byte> result, (int ResultOffset, long Page) note)
    {
        if (note.ResultOffset >= result.Length)
        {
            // The result became shorter than what was said of it.
            return;
        }
        Span<byte> place = result[note.ResultOffset..];
        place = place[..Math.Min(place.Length, PagedState.PageBytes)];
        if (note.Page == Zeros)
        {
            place.Clear();
        }
        else
        {
            _pages.ContentOf(note.Page)[..place.Length].CopyTo(place);
        }
    }

    private static void HashBlocks(ReadOnlySpan<byte> content, ReadOnlySpan<long> unknown, Span<Digest> blocks)
    {
        Span<Digest> digests = stackalloc Digest[unknown.Length];
        PageDigests.Of(in MemoryMarshal.GetReference(content), unknown, digests);
        for (int i = 0; i < unknown.Length; i++)
        {
            blocks[(int)unknown[i]] = digests[i];
        }
    }

    private bool TryFind(long page, out Digest digest)
    {
        digest = default;
        return page == Zeros || _pages.TryGetDigest(page, out digest);
    }
}
