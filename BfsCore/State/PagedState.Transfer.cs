namespace BfsCore.State;

// What state transfer and state checking need (§5.3.2, §5.3.3).
public sealed unsafe partial class PagedState
{
    /// <summary>
    /// False when the content is not known to be any checkpoint's: a damaged image. The tree always describes the content;
    /// only a transfer, or blanking, makes it a checkpoint's.
    /// </summary>
    public bool IsTrusted { get; private set; } = true;

    /// <summary>Called with the number of a page that a transfer is about to replace; what it holds can still be read.</summary>
    public Action<long>? BeforeInstall { get; set; }

    /// <summary>What a page holds now, right or not.</summary>
    public ReadOnlySpan<byte> ContentOf(long page) => Page(page);

    /// <summary>Replaces a page by content whose digest was checked; only a transfer may modify the state in this epoch.</summary>
    public void InstallPage(long page, ReadOnlySpan<byte> content, in Digest digest)
    {
        BfsAssert.That(page >= 0 && page < PageCount && content.Length == PageBytes);
        BeforeInstall?.Invoke(page);
        content.CopyTo(Modify(page << PageBits, PageBytes));
        Know(page, digest);
    }

    /// <summary>The digest of a page as it is now, installed or not.</summary>
    internal Digest CurrentPageDigest(long page)
    {
        BfsAssert.That(TryGetDigest(page, out Digest digest));
        return digest;
    }

    /// <summary>
    /// A transfer has made the state what it was at checkpoint <paramref name="n"/>. When that is the number of the newest
    /// one, the state was repaired: what was held under that number is forgotten.
    /// </summary>
    /// <returns>
    /// False if the root is not <paramref name="root"/>: memory is not what its digests say. They are computed anew, and what
    /// differs has to be fetched.
    /// </returns>
    public bool TryCompleteTransfer(SeqNum n, in Digest root)
    {
        BfsAssert.That(n >= LastCheckpoint);
        HashModified();
        IsTrusted = _tree[0, 0] == root;
        if (IsTrusted && n > LastCheckpoint)
        {
            OpenCheckpoint(n);
            return true;
        }
        _open.Release(_buffers);
        OpenEpoch();
        if (!IsTrusted)
        {
            RecomputeDigests();
        }
        return IsTrusted;
    }

    /// <summary>
    /// State checking (§5.3.3): computes the digest of every page that is in use anew, so that the tree describes what is in
    /// memory and a comparison with others finds what was damaged. Older checkpoints are forgotten.
    /// </summary>
    /// <returns>How many pages were not what the tree said.</returns>
    public long RecomputeDigests()
    {
        BfsAssert.That(ModifiedPagesInEpoch == 0);
        DiscardBefore(LastCheckpoint);
        IsTrusted = false;
        long damaged = 0;
        Span<long> pages = stackalloc long[PageDigests.Batch];
        int count = 0;
        for (long page = 0; page < PageCount; page++)
        {
            if (_tree[_tree.PageLevel, page].IsZero && !_dirty.Contains(page) && !_saving.Contains(page))
            {
                continue;
            }
            pages[count++] = page;
            if (count == pages.Length)
            {
                damaged += RecomputePages(pages);
                count = 0;
            }
        }
        damaged += RecomputePages(pages[..count]);
        HashInterior();
        return damaged;
    }

    /// <returns>How many of these pages, at most a batch, were not what the tree said.</returns>
    private int RecomputePages(ReadOnlySpan<long> pages)
    {
        Span<Digest> digests = stackalloc Digest[PageDigests.Batch];
        PageDigests.Of(in *_base, pages, digests[..pages.Length]);
        PagesHashed += pages.Length;
        int damaged = 0;
        for (int i = 0; i < pages.Length; i++)
        {
            if (digests[i] != _tree[_tree.PageLevel, pages[i]])
            {
                damaged++;
                _tree[_tree.PageLevel, pages[i]] = digests[i];
                _dirty.Add(pages[i]);
            }
        }
        return damaged;
    }

    /// <summary>The next page from one on that is not all zeros at the newest checkpoint, or -1: holes are skipped.</summary>
    public long NextUsedPage(long page)
    {
        while (page < PageCount)
        {
            if (!_tree[_tree.PageLevel, page].IsZero)
            {
                return page;
            }
            page = AfterZeros(page);
        }
        return -1;
    }

    /// <summary>The end of the largest blank partition that begins with a page.</summary>
    private long AfterZeros(long page)
    {
        (long index, long size) = (page, 1);
        for (int level = _tree.PageLevel - 1; level >= 0 && index % Fanout == 0 && _tree[level, index / Fanout].IsZero; level--)
        {
            index /= Fanout;
            size *= Fanout;
        }
        return page + size;
    }

    /// <summary>Whether a page still has the content of the newest checkpoint, or the copy of it has (pitfall 31).</summary>
    public bool PageIsRight(long page) =>
        PartitionTree.PageDigest(PageAt(LastCheckpoint, page)) == _tree[_tree.PageLevel, page];

    /// <summary>
    /// Makes the tree describe what one page holds now, so that a comparison with others finds it. Older checkpoints are
    /// forgotten.
    /// </summary>
    public void RecomputeDigest(long page)
    {
        BfsAssert.That(ModifiedPagesInEpoch == 0);
        DiscardBefore(LastCheckpoint);
        IsTrusted = false;
        _tree[_tree.PageLevel, page] = PartitionTree.PageDigest(Page(page));
        for (int level = _tree.PageLevel - 1; level >= 0; level--)
        {
            page /= Fanout;
            _tree[level, page] = _tree.Compute(level, page);
        }
    }

    /// <summary>Distrusts an image that was just loaded: it may be of no checkpoint, so that it gets the lowest number.</summary>
    internal void Distrust()
    {
        BfsAssert.That(_checkpoints.Count == 1 && _open.Count == 0);
        _open.Number = default;
        IsTrusted = false;
    }

    /// <summary>
    /// The state is of no checkpoint, whatever it says: the tree is made to describe it, and it gets the lowest number.
    /// </summary>
    public void DistrustAll()
    {
        RecomputeDigests();
        _open.Number = default;
    }

    /// <summary>Makes a distrusted state what checkpoint 0 is at every replica: all zeros.</summary>
    public void Blank()
    {
        BfsAssert.That(!IsTrusted && LastCheckpoint.Value == 0 && _checkpoints.Count == 1 && _open.Count == 0);
        for (long page = 0; page < PageCount; page++)
        {
            if (!_tree[_tree.PageLevel, page].IsZero)
            {
                Page(page).Clear();
                _tree[_tree.PageLevel, page] = default;
                _dirty.Add(page);
            }
        }
        HashInterior();
        IsTrusted = true;
    }

    private void HashInterior()
    {
        for (int level = _tree.PageLevel - 1; level >= 0; level--)
        {
            for (long index = 0; index < NodesAt(level); index++)
            {
                _tree[level, index] = _tree.Compute(level, index);
            }
        }
    }
}
