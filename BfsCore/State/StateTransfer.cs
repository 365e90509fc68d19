using System.Numerics;
using BfsCore.Messages;

namespace BfsCore.State;

/// <summary>One thing to fetch: the children of a partition, or (with a mask) pages of a family.</summary>
public sealed class FetchItem
{
    public int Level { get; internal init; }
    public long Index { get; internal init; }

    /// <summary>Digest of the partition: what META-DATA must hash to.</summary>
    internal Digest Digest { get; init; }

    /// <summary>Pages still wanted; zero for META-DATA.</summary>
    public ulong Mask { get; internal set; }
    internal Digest[]? PageDigests { get; init; }

    /// <summary>Which of the pages are asked for now: as many as the source has room for.</summary>
    public ulong AskedMask { get; private set; }

    /// <summary>Whom it is asked of, and since when.</summary>
    public ReplicaId Source { get; private set; }
    public long AskedMicros { get; private set; }

    /// <summary>How often it was asked for in vain, and of whom last.</summary>
    public int Failures { get; private set; }
    public ReplicaId? FailedSource { get; private set; }

    /// <summary>What is under way, in pages; META-DATA counts as one.</summary>
    public int Cost => FetchSources.CostOf(AskedMask);

    internal void Ask(ReplicaId source, int room, long nowMicros) =>
        (Source, AskedMask, AskedMicros) = (source, FetchSources.Lowest(Mask, room), nowMicros);

    internal void Fail() => (FailedSource, Failures) = (Source, Failures + 1);

    internal void Take(ulong page) => (Mask, AskedMask) = (Mask & ~page, AskedMask & ~page);
}

/// <summary>What a message was to a transfer.</summary>
/// <param name="Item">What it answers; null for nothing that is under way.</param>
/// <param name="Settled">How much of it came, in pages; META-DATA counts as one.</param>
/// <param name="Complete">Everything that was asked came.</param>
/// <param name="Wrong">It does not have the digest that it must have.</param>
public readonly record struct FetchAnswer(FetchItem? Item, int Settled, bool Complete, bool Wrong);

/// <summary>
/// The fetching side of state transfer (§5.3.2) without its messages' ways: walks down the partition tree of a checkpoint
/// whose root digest is known, compares with its own tree, and installs pages that differ. Every answer is checked
/// against a digest that a known digest commits to, so it does not matter who sent it.
/// </summary>
/// <remarks>
/// The state must be that of its newest checkpoint (rolled back to it) when a transfer starts, and nothing else may change
/// it until <see cref="Done"/>.
/// </remarks>
public sealed class StateTransfer
{
    private readonly PagedState _pages;
    private readonly SeqNum _base;
    private readonly Stack<FetchItem> _waiting = new();
    private readonly List<FetchItem> _asked = [];

    // Partitions above pages that this or an abandoned transfer installed: their digests in the tree are of before.
    private readonly HashSet<(int Level, long Index)> _above;

    public StateTransfer(PagedState pages, SeqNum checkpoint, in Digest root, StateTransfer? abandoned = null)
    {
        BfsAssert.That(abandoned is not null || pages.ModifiedPagesInEpoch == 0);
        _pages = pages;
        _base = pages.LastCheckpoint;
        _above = abandoned?._above ?? [];
        Checkpoint = checkpoint;
        Root = root;
        PagesInstalled = abandoned?.PagesInstalled ?? 0;
        PagesCleared = abandoned?.PagesCleared ?? 0;
        if (root.IsZero)
        {
            ClearBelow(0, 0);
        }
        else if (root != OwnDigest(0, 0))
        {
            _waiting.Push(new FetchItem { Level = 0, Index = 0, Digest = root });
        }
    }

    /// <summary>The same once more, after memory was found to be other than its digests.</summary>
    public StateTransfer Again() => new(_pages, Checkpoint, Root) { PagesInstalled = PagesInstalled, PagesCleared = PagesCleared };

    public SeqNum Checkpoint { get; }
    public Digest Root { get; }

    /// <summary>Pages whose content was fetched and differed.</summary>
    public long PagesInstalled { get; private set; }

    /// <summary>Pages that differed and are zeros at the checkpoint: not fetched.</summary>
    public long PagesCleared { get; private set; }

    /// <summary>META-DATA messages that were needed.</summary>
    public long MetaDataReceived { get; private set; }

    /// <summary>Answers that did not match the digest they were asked by.</summary>
    public long WrongAnswers { get; private set; }

    /// <summary>Pages that are known to differ and have not come yet.</summary>
    public long PagesMissing
    {
        get
        {
            long pages = 0;
            foreach (FetchItem item in _waiting)
            {
                pages += BitOperations.PopCount(item.Mask);
            }
            foreach (FetchItem item in _asked)
            {
                pages += BitOperations.PopCount(item.Mask);
            }
            return pages;
        }
    }

    /// <summary>Partitions that differ and whose children are not known yet: below them more pages may be missing.</summary>
    public long PartitionsUnknown => _waiting.Count(i => i.Mask == 0) + _asked.Count(i => i.Mask == 0);

    public bool Done => _waiting.Count == 0 && _asked.Count == 0;

    /// <summary>Items under way; the caller gives up those that do not come.</summary>
    public IReadOnlyList<FetchItem> Asked => _asked;

    /// <summary>The next thing to ask for; null when all is under way or here.</summary>
    public FetchItem? Next => _waiting.TryPeek(out FetchItem? item) ? item : null;

    /// <summary>The next thing is asked of somebody, for at most so many pages.</summary>
    public void Ask(ReplicaId source, int room, long nowMicros)
    {
        FetchItem item = _waiting.Pop();
        item.Ask(source, room, nowMicros);
        _asked.Add(item);
    }

    /// <summary>It did not come, or was wrong: it is to be asked for again.</summary>
    public void GiveUp(FetchItem item)
    {
        item.Fail();
        BfsAssert.That(_asked.Remove(item));
        _waiting.Push(item);
    }

    public FetchAnswer OnMetaData(in MetaData message)
    {
        if (message.Checkpoint != Checkpoint || Find(message.Level, message.Index, pages: false) is not { } item)
        {
            return default;
        }
        if (PartitionTree.NodeDigest(item.Level, item.Index, message.Children) != item.Digest)
        {
            WrongAnswers++;
            return new FetchAnswer(item, 0, false, Wrong: true);
        }
        _asked.Remove(item);
        MetaDataReceived++;
        Compare(item, message.Children);
        return new FetchAnswer(item, 1, Complete: true, false);
    }

    private void Compare(FetchItem parent, ReadOnlySpan<byte> children)
    {
        int level = parent.Level + 1;
        bool arePages = level == _pages.Levels - 1;
        ulong wanted = 0;
        Digest[]? digests = null;
        for (int i = 0; i < PagedState.Fanout; i++)
        {
            long index = (parent.Index * PagedState.Fanout) + i;
            Digest theirs = Digest.Read(children[(i * Digest.SizeBytes)..]);
            if (index >= _pages.NodesAt(level) || theirs == OwnDigest(level, index))
            {
                continue;
            }
            if (theirs.IsZero)
            {
                ClearBelow(level, index);
            }
            else if (arePages)
            {
                wanted |= 1UL << i;
                (digests ??= new Digest[PagedState.Fanout])[i] = theirs;
            }
            else
            {
                _waiting.Push(new FetchItem { Level = level, Index = index, Digest = theirs });
            }
        }
        if (wanted != 0)
        {
            _waiting.Push(new FetchItem { Level = parent.Level, Index = parent.Index, Mask = wanted, PageDigests = digests });
        }
    }

    public FetchAnswer OnData(in Data message)
    {
        if (message.Checkpoint != Checkpoint || Find(_pages.Levels - 2, message.Family, pages: true) is not { } item)
        {
            return default;
        }
        Span<Digest> digests = stackalloc Digest[BitOperations.PopCount(message.Mask)];
        PageDigests.Of(message.Pages, digests);
        int position = 0;
        int settled = 0;
        bool wrong = false;
        for (ulong rest = message.Mask; rest != 0; rest &= rest - 1, position++)
        {
            int child = BitOperations.TrailingZeroCount(rest);
            ulong page = 1UL << child;
            if ((item.Mask & page) == 0)
            {
                continue;
            }
            if (digests[position] != item.PageDigests![child])
            {
                WrongAnswers++;
                wrong = true;
                continue;
            }
            Install((item.Index * PagedState.Fanout) + child, message.Page(position), item.PageDigests[child]);
            PagesInstalled++;
            settled += (item.AskedMask & page) != 0 ? 1 : 0;
            item.Take(page);
        }
        bool complete = item.AskedMask == 0;
        if (complete)
        {
            _asked.Remove(item);
            if (item.Mask != 0)
            {
                _waiting.Push(item);
            }
        }
        return new FetchAnswer(item, settled, complete, wrong && !complete);
    }

    private void Install(long page, ReadOnlySpan<byte> content, in Digest digest)
    {
        _pages.InstallPage(page, content, digest);
        long index = page;
        for (int level = _pages.Levels - 2; level >= 0; level--)
        {
            index /= PagedState.Fanout;
            if (!_above.Add((level, index)))
            {
                return;
            }
        }
    }

    /// <summary>A whole partition is zero at the checkpoint: no page need be fetched.</summary>
    private void ClearBelow(int level, long index)
    {
        if (OwnDigest(level, index).IsZero)
        {
            return;
        }
        if (level == _pages.Levels - 1)
        {
            Span<byte> zeros = stackalloc byte[PagedState.PageBytes];
            zeros.Clear();
            Install(index, zeros, default);
            PagesCleared++;
            return;
        }
        for (int i = 0; i < PagedState.Fanout; i++)
        {
            long child = (index * PagedState.Fanout) + i;
            if (child < _pages.NodesAt(level + 1))
            {
                ClearBelow(level + 1, child);
            }
        }
    }

    /// <summary>
    /// What this replica has now. A partition above pages installed by an abandoned transfer has no digest yet: it gets one
    /// that equals no other, so that it is looked into.
    /// </summary>
    private Digest OwnDigest(int level, long index)
    {
        if (level == _pages.Levels - 1)
        {
            return _pages.CurrentPageDigest(index);
        }
        return _above.Contains((level, index)) ? Unknown : _pages.NodeDigestAt(_base, level, index);
    }

    private static readonly Digest Unknown = Digest.Read("no digest of SHA-256 is this text"u8);

    private FetchItem? Find(int level, long index, bool pages)
    {
        foreach (FetchItem item in _asked)
        {
            if (item.Level == level && item.Index == index && item.Mask != 0 == pages)
            {
                return item;
            }
        }
        return null;
    }
}
