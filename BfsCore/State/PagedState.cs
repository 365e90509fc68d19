using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BfsCore.State;

/// <summary>
/// All replicated memory of a replica as 4 KB pages, the library's own first, the service's after them, with its
/// checkpoints (§5.3). Checkpoint 0 is the state at the start. A checkpoint is a logical copy: pages are copied when they
/// are first modified after it, and digests are updated incrementally.
/// </summary>
public sealed unsafe partial class PagedState : IDisposable
{
    public const int PageBytes = 4096;

    /// <summary>s of §5.3.1: how many subpartitions a partition has.</summary>
    public const int Fanout = PartitionTree.Fanout;

    private const int PageBits = 12;

    private readonly byte* _base;
    private readonly IPageMemory? _owner;

    /// <summary>
    /// The epoch in which a page was last recorded; compared with the current one on every modification. Negative when the digest of
    /// what it has now is known, so that the next modification is noticed.
    /// </summary>
    private readonly long* _stamps;

    /// <summary>Where in the open epoch's list a page is; valid only while its stamp is the current epoch's.</summary>
    private readonly int* _slots;

    /// <summary>By slot, of pages with a negative stamp.</summary>
    private Digest[] _known = new Digest[64];

    private readonly PageBuffers _buffers = new();
    private long _epoch = 1;

    /// <summary>The epoch, or a number that no stamp has while the guard is on: one comparison serves both.</summary>
    private long _writableEpoch = 1;

    private CheckpointCopies _open;
    private bool _disposed;

    /// <summary>Memory that belongs to nothing on disk: tests, simulator. The size is rounded up to whole pages.</summary>
    public PagedState(long sizeBytes)
        : this((byte*)NativeMemory.AllocZeroed((nuint)(PagesFor(sizeBytes) * PageBytes)), PagesFor(sizeBytes), null)
    {
    }

    /// <summary>Memory that somebody else provides and frees: a mapped file.</summary>
    internal PagedState(byte* memory, long pages, IPageMemory? owner)
    {
        _base = memory;
        _owner = owner;
        PageCount = pages;
        _stamps = (long*)NativeMemory.AllocZeroed((nuint)pages, sizeof(long));
        _slots = (int*)NativeMemory.AllocZeroed((nuint)pages, sizeof(int));
        _tree = new PartitionTree(pages);
        (_dirty, _saving) = (new PageSet(pages), new PageSet(pages));
        _open = new CheckpointCopies(_tree.Levels);
        _checkpoints.Add(_open);
    }

    public long PageCount { get; }

    public long SizeBytes => PageCount * PageBytes;

    /// <summary>Pages modified since the newest checkpoint.</summary>
    public long ModifiedPagesInEpoch => _open.Count;

    /// <summary>Pages copied before a modification since the start (pages of zeros need no copy).</summary>
    public long PagesCopied { get; private set; }

    /// <summary>Pages of which copies are held for checkpoints.</summary>
    public long CopiesHeld => _buffers.InUse;

    /// <summary>While true every modification asserts: a read-only execution (§5.1.3) must not change the state.</summary>
    public bool ReadOnlyGuard
    {
        get => _writableEpoch != _epoch;
        set => _writableEpoch = value ? long.MinValue : _epoch;
    }

    /// <summary>The window that a service (or the library itself) sees.</summary>
    public StateRegion Window(long startBytes, long sizeBytes)
    {
        BfsAssert.That(startBytes >= 0 && sizeBytes >= 0 && startBytes <= SizeBytes - sizeBytes);
        return new StateRegion(this, startBytes, sizeBytes);
    }

    internal ReadOnlySpan<byte> Read(long offset, int length) => new(_base + offset, length);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Span<byte> Modify(long offset, int length)
    {
        // The page of the first byte, if the last byte is on the same one and it is recorded already.
        if (((offset ^ (offset + length - 1)) >> PageBits) != 0 || _stamps[offset >> PageBits] != _writableEpoch)
        {
            RecordPages(offset, length);
        }
        return new Span<byte>(_base + offset, length);
    }

    /// <summary>The digests that are known of what <see cref="SetPage"/> is given.</summary>
    internal OperationBlocks Operation { get; } = new();

    /// <summary>Makes a page, at a multiple of the page size, a copy of <paramref name="content"/>.</summary>
    internal void SetPage(long offset, ReadOnlySpan<byte> content)
    {
        BfsAssert.That(offset % PageBytes == 0 && content.Length == PageBytes);
        content.CopyTo(Modify(offset, PageBytes));
        if (Operation.TryFind(content, out Digest digest))
        {
            Know(offset >> PageBits, digest);
        }
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }
        _disposed = true;
        foreach (CheckpointCopies copies in _checkpoints)
        {
            copies.Release(_buffers);
        }
        _buffers.Dispose();
        _tree.Dispose();
        NativeMemory.Free(_stamps);
        NativeMemory.Free(_slots);
        _dirty.Dispose();
        _saving.Dispose();
        if (_owner == null)
        {
            NativeMemory.Free(_base);
        }
        else
        {
            _owner.Dispose();
        }
    }

    private static long PagesFor(long sizeBytes)
    {
        BfsAssert.That(sizeBytes > 0);
        return (sizeBytes + PageBytes - 1) / PageBytes;
    }

    private Span<byte> Page(long page) => new(_base + (page << PageBits), PageBytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void RecordPages(long offset, int length)
    {
        BfsAssert.That(!_disposed && !ReadOnlyGuard);
        if (length == 0)
        {
            return;
        }
        long last = (offset + length - 1) >> PageBits;
        for (long page = offset >> PageBits; page <= last; page++)
        {
            if (!IsModified(page))
            {
                RecordPage(page);
            }
            _stamps[page] = _epoch;
        }
    }

    private void RecordPage(long page)
    {
        _owner?.BeforeModifying(page);
        // A write that changes nothing: of a mapped page that is not this process's own yet, a read before the first write
        // (and copying reads its destination) costs a second page fault.
        Interlocked.Or(ref *(long*)(_base + (page << PageBits)), 0);
        byte* copy = null;
        // A zero digest says that the page held zeros at the newest checkpoint, and it was not modified since.
        if (!_tree[_tree.PageLevel, page].IsZero)
        {
            copy = _buffers.Take();
            Page(page).CopyTo(new Span<byte>(copy, PageBytes));
            PagesCopied++;
        }
        _slots[page] = _open.Add(page, copy);
        _dirty.Add(page);
    }

    /// <summary>In the open epoch.</summary>
    private bool IsModified(long page) => _stamps[page] == _epoch || IsKnown(page);

    private bool IsKnown(long page) => _stamps[page] == -_epoch;

    /// <summary>Notes the digest of what a page that was modified in the open epoch has now.</summary>
    private void Know(long page, in Digest digest)
    {
        int slot = _slots[page];
        if (slot >= _known.Length)
        {
            Array.Resize(ref _known, Math.Max(slot + 1, 2 * _known.Length));
        }
        _known[slot] = digest;
        _stamps[page] = -_epoch;
    }

    /// <summary>From now on every page counts as not modified.</summary>
    private void OpenEpoch()
    {
        bool guarded = ReadOnlyGuard;
        _epoch++;
        ReadOnlyGuard = guarded;
    }
}
