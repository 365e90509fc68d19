using System.Numerics;

namespace BfsCore.State;

// What the storage layer needs: which pages differ from the image on disk, and a start from such an image.
public sealed unsafe partial class PagedState
{
    // One bit per page that may differ from the saved image.
    private readonly ulong* _dirty;

    /// <summary>Pages that may differ from the image last saved.</summary>
    internal long DirtyPages { get; private set; }

    internal bool IsDirty(long page) => (_dirty[page >> 6] & (1UL << (int)(page & 63))) != 0;

    /// <summary>The first dirty page from <paramref name="page"/> on, or -1.</summary>
    internal long NextDirty(long page)
    {
        if (page >= PageCount)
        {
            return -1;
        }
        long words = (PageCount + 63) / 64;
        long word = page >> 6;
        ulong bits = _dirty[word] & (ulong.MaxValue << (int)(page & 63));
        while (bits == 0)
        {
            if (++word == words)
            {
                return -1;
            }
            bits = _dirty[word];
        }
        return (word << 6) + BitOperations.TrailingZeroCount(bits);
    }

    /// <summary>The image now holds checkpoint <paramref name="n"/>: only what was modified after it is dirty.</summary>
    internal void MarkSaved(SeqNum n)
    {
        new Span<ulong>(_dirty, checked((int)((PageCount + 63) / 64))).Clear();
        DirtyPages = 0;
        for (int i = RequirePositionOf(n); i < _checkpoints.Count; i++)
        {
            for (int slot = 0; slot < _checkpoints[i].Count; slot++)
            {
                MarkDirty(_checkpoints[i].PageIndex(slot));
            }
        }
    }

    /// <summary>
    /// Starts from an image: the memory holds checkpoint <paramref name="n"/>. <see cref="HashImagePages"/> was called for
    /// everything in it that is not zero.
    /// </summary>
    internal void FinishImage(SeqNum n)
    {
        BfsAssert.That(_checkpoints.Count == 1 && _open.Count == 0);
        _open.Number = n;
        HashInterior();
    }

    /// <summary>Computes the digests of pages that an image brought; threads may share the work.</summary>
    internal void HashImagePages(long firstPage, long count)
    {
        for (long page = firstPage; page < firstPage + count; page++)
        {
            _tree[_tree.PageLevel, page] = PartitionTree.PageDigest(Page(page));
        }
    }

    private void MarkDirty(long page)
    {
        ulong bit = 1UL << (int)(page & 63);
        if ((_dirty[page >> 6] & bit) == 0)
        {
            _dirty[page >> 6] |= bit;
            DirtyPages++;
        }
    }
}
