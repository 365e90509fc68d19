namespace BfsCore.State;

// What state transfer and state checking need (§5.3.2, §5.3.3).
public sealed unsafe partial class PagedState
{
    // Digests of pages that a transfer installed in the open epoch, by their slots: they need not be hashed again.
    private readonly List<Digest> _installed = [];

    /// <summary>
    /// False when the content is not known to be any checkpoint's: a damaged image. The tree always describes the content;
    /// only a transfer, or blanking, makes it a checkpoint's.
    /// </summary>
    public bool IsTrusted { get; private set; } = true;

    /// <summary>Replaces a page by content whose digest was checked; only a transfer may modify the state in this epoch.</summary>
    public void InstallPage(long page, ReadOnlySpan<byte> content, in Digest digest)
    {
        BfsAssert.That(page >= 0 && page < PageCount && content.Length == PageBytes && _installed.Count == _open.Count);
        bool again = _stamps[page] == _epoch;
        content.CopyTo(Modify(page << PageBits, PageBytes));
        if (again)
        {
            _installed[_slots[page]] = digest;
        }
        else
        {
            _installed.Add(digest);
        }
    }

    /// <summary>The digest of a page as it is now, installed or not.</summary>
    internal Digest CurrentPageDigest(long page)
    {
        bool installed = _stamps[page] == _epoch;
        BfsAssert.That(!installed || _installed.Count == _open.Count);
        return installed ? _installed[_slots[page]] : _tree[_tree.PageLevel, page];
    }

    /// <summary>
    /// A transfer has made the state what it was at checkpoint <paramref name="n"/>. When that is the number of the newest
    /// one, the state was repaired: what was held under that number is forgotten.
    /// </summary>
    public void CompleteTransfer(SeqNum n)
    {
        BfsAssert.That(n >= LastCheckpoint);
        IsTrusted = true;
        if (n > LastCheckpoint)
        {
            TakeCheckpoint(n);
            return;
        }
        HashModified();
        _open.Release(_buffers);
        OpenEpoch();
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
        for (long page = 0; page < PageCount; page++)
        {
            Digest recorded = _tree[_tree.PageLevel, page];
            if (recorded.IsZero && !IsDirty(page))
            {
                continue;
            }
            Digest digest = PartitionTree.PageDigest(Page(page));
            PagesHashed++;
            if (digest != recorded)
            {
                damaged++;
                _tree[_tree.PageLevel, page] = digest;
                MarkDirty(page);
            }
        }
        HashInterior();
        return damaged;
    }

    /// <summary>Distrusts an image that was just loaded: it may be of no checkpoint, so that it gets the lowest number.</summary>
    internal void Distrust()
    {
        BfsAssert.That(_checkpoints.Count == 1 && _open.Count == 0);
        _open.Number = default;
        IsTrusted = false;
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
                MarkDirty(page);
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
