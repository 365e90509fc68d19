namespace BfsCore.State;

/// <summary>
/// What differs between a checkpoint and the one after it (or the current state): the old content of the pages modified
/// in between and the old digests of the partitions above them. A checkpoint's logical copy of the tree (§5.3.1) is these
/// copies, then those of the later checkpoints, then what is current.
/// </summary>
internal sealed unsafe class CheckpointCopies
{
    // Parallel arrays: page index and the copy of its content, null for a page of zeros. In the order of modification
    // while the epoch is open, sorted by page once the next checkpoint closes it.
    private long[] _pages = new long[64];
    private nint[] _copies = new nint[64];
    private readonly DigestLog[] _digests;

    public CheckpointCopies(int levels)
    {
        _digests = new DigestLog[levels];
        for (int level = 0; level < levels; level++)
        {
            _digests[level] = new DigestLog();
        }
    }

    public SeqNum Number { get; set; }

    /// <summary>How many pages were modified since this checkpoint and before the next.</summary>
    public int Count { get; private set; }

    public long PageIndex(int slot) => _pages[slot];

    /// <summary>The content at this checkpoint of the page in that slot; null: all zeros.</summary>
    public byte* Copy(int slot) => (byte*)_copies[slot];

    /// <summary>The digests that the next checkpoint replaced at a level, ascending by index.</summary>
    public DigestLog DigestsAt(int level) => _digests[level];

    /// <summary>Records a page; returns its slot.</summary>
    public int Add(long page, byte* copy)
    {
        if (Count == _pages.Length)
        {
            Array.Resize(ref _pages, Count * 2);
            Array.Resize(ref _copies, Count * 2);
        }
        _pages[Count] = page;
        _copies[Count] = (nint)copy;
        return Count++;
    }

    /// <summary>Sorts by page, for <see cref="Find"/> and for updating each ancestor once.</summary>
    public void Sort() => _pages.AsSpan(0, Count).Sort(_copies.AsSpan(0, Count));

    /// <summary>The slot of a page after <see cref="Sort"/>; negative when the page was not modified.</summary>
    public int Find(long page) => _pages.AsSpan(0, Count).BinarySearch(page);

    /// <summary>Forgets everything; the buffers go back to the pool.</summary>
    public void Release(PageBuffers buffers)
    {
        for (int slot = 0; slot < Count; slot++)
        {
            if (_copies[slot] != 0)
            {
                buffers.Return((byte*)_copies[slot]);
            }
        }
        Count = 0;
        foreach (DigestLog log in _digests)
        {
            log.Clear();
        }
    }
}

/// <summary>Digests of one level that were replaced, ascending by index.</summary>
internal sealed class DigestLog
{
    private long[] _indexes = new long[16];
    private Digest[] _values = new Digest[16];

    public int Count { get; private set; }

    public long Index(int slot) => _indexes[slot];

    public Digest Value(int slot) => _values[slot];

    public void Add(long index, Digest value)
    {
        BfsAssert.That(Count == 0 || _indexes[Count - 1] < index);
        if (Count == _indexes.Length)
        {
            Array.Resize(ref _indexes, Count * 2);
            Array.Resize(ref _values, Count * 2);
        }
        _indexes[Count] = index;
        _values[Count++] = value;
    }

    public bool TryFind(long index, out Digest value)
    {
        int slot = _indexes.AsSpan(0, Count).BinarySearch(index);
        value = slot >= 0 ? _values[slot] : default;
        return slot >= 0;
    }

    public void Clear() => Count = 0;
}
