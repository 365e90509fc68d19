namespace BfsCore.State;

// Checkpoints and their digests (§5.3.1).
public sealed unsafe partial class PagedState
{
    private static readonly byte[] ZeroPage = new byte[PageBytes];

    // Ascending by number; the last one is the open epoch's. There are at most a few: those since the stable one.
    private readonly List<CheckpointCopies> _checkpoints = [];
    private readonly Stack<CheckpointCopies> _spare = new();

    // The digests as of the newest checkpoint.
    private readonly PartitionTree _tree;

    /// <summary>The number of the newest checkpoint; 0 from the start.</summary>
    public SeqNum LastCheckpoint => _open.Number;

    /// <summary>How many checkpoints are held.</summary>
    public int CheckpointCount => _checkpoints.Count;

    /// <summary>Levels of the partition tree: level 0 is the root, the last one the pages.</summary>
    public int Levels => _tree.Levels;

    /// <summary>Digests of pages computed since the start.</summary>
    public long PagesHashed { get; private set; }

    /// <summary>How many partitions a level has.</summary>
    public long NodesAt(int level) => _tree.NodesAt(level);

    /// <summary>The number of a held checkpoint; ascending.</summary>
    public SeqNum CheckpointAt(int index) => _checkpoints[index].Number;

    public bool HasCheckpoint(SeqNum n) => PositionOf(n) >= 0;

    /// <summary>
    /// Makes the current state checkpoint <paramref name="n"/>, greater than the last one: digests of the modified pages
    /// and of the partitions above them, each once, and a new epoch.
    /// </summary>
    public void TakeCheckpoint(SeqNum n)
    {
        BfsAssert.That(!_disposed && n > LastCheckpoint);
        HashModified();
        OpenCheckpoint(n);
    }

    private void OpenCheckpoint(SeqNum n)
    {
        _open = _spare.Count > 0 ? _spare.Pop() : new CheckpointCopies(_tree.Levels);
        _open.Number = n;
        _checkpoints.Add(_open);
        OpenEpoch();
    }

    /// <summary>The root digest at checkpoint <paramref name="n"/>, which must be held.</summary>
    public Digest CheckpointDigest(SeqNum n) => NodeDigestAt(n, 0, 0);

    /// <summary>The digest of a partition at checkpoint <paramref name="n"/>, which must be held.</summary>
    public Digest NodeDigestAt(SeqNum n, int level, long index)
    {
        BfsAssert.That(level >= 0 && level < Levels && index >= 0 && index < NodesAt(level));
        for (int i = RequirePositionOf(n); i < _checkpoints.Count - 1; i++)
        {
            if (_checkpoints[i].DigestsAt(level).TryFind(index, out Digest old))
            {
                return old;
            }
        }
        return _tree[level, index];
    }

    /// <summary>
    /// The digest of a page's content, if it is known: the page was not modified since the newest checkpoint, or last by
    /// <see cref="SetPage"/>. It is that of what the page should hold, whose memory may have been damaged since.
    /// </summary>
    internal bool TryGetDigest(long page, out Digest digest)
    {
        digest = IsKnown(page) ? _known[_slots[page]] : _tree[_tree.PageLevel, page];
        return _stamps[page] != _epoch;
    }

    /// <summary>
    /// A page's content at checkpoint <paramref name="n"/>, which must be held; valid until the state is next changed.
    /// </summary>
    public ReadOnlySpan<byte> PageAt(SeqNum n, long page)
    {
        BfsAssert.That(page >= 0 && page < PageCount);
        for (int i = RequirePositionOf(n); i < _checkpoints.Count - 1; i++)
        {
            int slot = _checkpoints[i].Find(page);
            if (slot >= 0)
            {
                return ContentOf(_checkpoints[i], slot);
            }
        }
        return IsModified(page) ? ContentOf(_open, _slots[page]) : Page(page);
    }

    /// <summary>Checkpoint <paramref name="n"/> became stable (§2.3.4): older ones are released.</summary>
    public void DiscardBefore(SeqNum n)
    {
        BfsAssert.That(n <= LastCheckpoint);
        int count = 0;
        while (_checkpoints[count].Number < n)
        {
            Retire(_checkpoints[count++]);
        }
        _checkpoints.RemoveRange(0, count);
    }

    /// <summary>
    /// Makes the state what it was at checkpoint <paramref name="n"/>, which must be held and becomes the newest: what came
    /// after it, later checkpoints included, is gone (§5.1.2).
    /// </summary>
    public void RollbackTo(SeqNum n)
    {
        BfsAssert.That(!_disposed && !ReadOnlyGuard);
        int target = RequirePositionOf(n);
        // Backwards, so that of several copies of a page the oldest stays.
        for (int i = _checkpoints.Count - 1; i >= target; i--)
        {
            RestorePages(_checkpoints[i]);
            RestoreDigests(_checkpoints[i]);
            if (i > target)
            {
                Retire(_checkpoints[i]);
            }
        }
        _checkpoints.RemoveRange(target + 1, _checkpoints.Count - target - 1);
        _open = _checkpoints[target];
        _open.Release(_buffers);
        OpenEpoch();
    }

    /// <summary>
    /// What the service wrote into the blank state before the first batch belongs to checkpoint 0, or a rollback to it would
    /// undo it.
    /// </summary>
    public void AmendFirstCheckpoint()
    {
        BfsAssert.That(_checkpoints.Count == 1 && LastCheckpoint.Value == 0);
        HashModified();
        _open.Release(_buffers);
        OpenEpoch();
    }

    /// <summary>Brings the tree up to the current content, each digest once, from the pages up.</summary>
    private void HashModified()
    {
        _open.Sort();
        HashModifiedPages();
        for (int level = _tree.PageLevel - 1; level >= 0; level--)
        {
            HashAncestors(level);
        }
    }

    private void HashModifiedPages()
    {
        Span<long> unknown = stackalloc long[PageDigests.Batch];
        int count = 0;
        for (int i = 0; i < _open.Count; i++)
        {
            if (!IsKnown(_open.PageIndex(i)))
            {
                unknown[count++] = _open.PageIndex(i);
            }
            if (count == unknown.Length || i == _open.Count - 1)
            {
                HashPages(unknown[..count]);
                count = 0;
            }
        }
        DigestLog log = _open.DigestsAt(_tree.PageLevel);
        for (int i = 0; i < _open.Count; i++)
        {
            long page = _open.PageIndex(i);
            Replace(log, _tree.PageLevel, page, _known[_slots[page]]);
        }
    }

    private void HashPages(ReadOnlySpan<long> pages)
    {
        Span<Digest> digests = stackalloc Digest[PageDigests.Batch];
        PageDigests.Of(in *_base, pages, digests[..pages.Length]);
        for (int i = 0; i < pages.Length; i++)
        {
            Know(pages[i], digests[i]);
        }
        PagesHashed += pages.Length;
    }

    private void HashAncestors(int level)
    {
        DigestLog children = _open.DigestsAt(level + 1);
        DigestLog log = _open.DigestsAt(level);
        long previous = -1;
        for (int slot = 0; slot < children.Count; slot++)
        {
            long index = PartitionTree.ParentOf(children.Index(slot));
            if (index != previous)
            {
                Replace(log, level, index, _tree.Compute(level, index));
                previous = index;
            }
        }
    }

    private void Replace(DigestLog log, int level, long index, Digest digest)
    {
        Digest old = _tree[level, index];
        if (old != digest)
        {
            log.Add(index, old);
            _tree[level, index] = digest;
        }
    }

    private void RestorePages(CheckpointCopies copies)
    {
        for (int slot = 0; slot < copies.Count; slot++)
        {
            ContentOf(copies, slot).CopyTo(Page(copies.PageIndex(slot)));
        }
    }

    private void RestoreDigests(CheckpointCopies copies)
    {
        for (int level = 0; level < Levels; level++)
        {
            DigestLog log = copies.DigestsAt(level);
            for (int slot = 0; slot < log.Count; slot++)
            {
                _tree[level, log.Index(slot)] = log.Value(slot);
            }
        }
    }

    private void Retire(CheckpointCopies copies)
    {
        copies.Release(_buffers);
        _spare.Push(copies);
    }

    private static ReadOnlySpan<byte> ContentOf(CheckpointCopies copies, int slot) =>
        copies.Copy(slot) == null ? ZeroPage : new ReadOnlySpan<byte>(copies.Copy(slot), PageBytes);

    private int RequirePositionOf(SeqNum n)
    {
        int position = PositionOf(n);
        BfsAssert.That(position >= 0);
        return position;
    }

    private int PositionOf(SeqNum n)
    {
        for (int i = _checkpoints.Count - 1; i >= 0; i--)
        {
            if (_checkpoints[i].Number == n)
            {
                return i;
            }
        }
        return -1;
    }
}
