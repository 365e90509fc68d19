using BfsCore.State;
using Microsoft.Win32.SafeHandles;

namespace BfsCore.Hosting.Storage;

/// <summary>
/// The image in memory, copy-on-write by the operating system: pages that are not modified are the file's cached pages,
/// those that are belong to this process alone.
/// </summary>
/// <remarks>
/// Behind what the file had at the start it is one hole. To modify a page of a hole the system reads zeros from the file, into memory
/// that the file keeps, and copies them. So when the first page of a chunk there is modified, the chunk becomes plain memory, which is
/// zero too, until it was saved and the file can be shown.
/// </remarks>
internal sealed unsafe class MappedImage : IPageMemory
{
    private const int PageBytes = PagedState.PageBytes;
    private const int ChunkPages = 64;
    private const int ChunkBytes = ChunkPages * PageBytes;

    /// <summary>Each may be a mapping of its own, of which Linux lets a process have 65 530.</summary>
    private const int MostPlainChunks = 8192;

    private readonly SafeFileHandle _file;
    private readonly long _bytes;

    // Chunks whose first modification was seen, and which of them are plain memory.
    private readonly PageSet _modified;
    private PageSet _plain;
    private PageSet _stillPlain;

    private long _firstHole;
    private byte[]? _copies;

    public MappedImage(SafeFileHandle file, long bytes)
    {
        (_file, _bytes) = (file, bytes);
        long chunks = bytes / ChunkBytes;
        // Whole chunks only.
        _firstHole = chunks;
        // Not reserved: a sparse image may be larger than memory; modified pages are saved and given back.
        void* memory = LibC.Map(null, (nuint)bytes, LibC.ProtRead | LibC.ProtWrite, LibC.MapPrivate | LibC.MapNoReserve, file, 0);
        Memory = memory == LibC.MapFailed ? throw LibC.Error("mapping state.image") : (byte*)memory;
        (_modified, _plain, _stillPlain) = (new PageSet(chunks), new PageSet(chunks), new PageSet(chunks));
    }

    public byte* Memory { get; private set; }

    /// <summary>
    /// No reading ahead from now on: the first write to a page of a hole would read its neighbours' zeros too, which
    /// doubles the time that filling new pages takes. What is in use is in memory since the start.
    /// </summary>
    public void ExpectRandomAccess() => _ = LibC.Advise(Memory, (nuint)_bytes, LibC.MadvRandom);

    /// <summary>The file and the memory are zero from a page on.</summary>
    public void ExpectHoleFrom(long page) => _firstHole = (page + ChunkPages - 1) / ChunkPages;

    public void BeforeModifying(long page)
    {
        long chunk = page / ChunkPages;
        if (chunk < _firstHole || chunk >= _bytes / ChunkBytes || _modified.Contains(chunk) || _plain.Count >= MostPlainChunks)
        {
            return;
        }
        _modified.Add(chunk);
        void* at = Memory + (chunk * ChunkBytes);
        const int Flags = LibC.MapPrivate | LibC.MapAnonymous | LibC.MapNoReserve | LibC.MapFixed;
        if (LibC.MapAnonymously(at, ChunkBytes, LibC.ProtRead | LibC.ProtWrite, Flags, -1, 0) == at)
        {
            _plain.Add(chunk);
        }
    }

    /// <summary>Gives the memory back of what is now in the file: all pages but those that were modified since.</summary>
    /// <param name="saved">What the save changed in the file.</param>
    /// <param name="modified">What differs from the file.</param>
    public void ShowFile(PageSet saved, PageSet modified)
    {
        for (long chunk = _plain.Next(0); chunk >= 0; chunk = _plain.Next(chunk + 1))
        {
            ShowChunk(chunk, modified);
        }
        (_plain, _stillPlain) = (_stillPlain, _plain);
        _stillPlain.Clear();
        long page = saved.Next(0);
        while (page >= 0)
        {
            long first = page;
            while (page < _bytes / PageBytes && saved.Contains(page) && !modified.Contains(page) && !IsPlain(page))
            {
                page++;
            }
            ForgetCopies(first, page - first);
            page = saved.Next(Math.Max(page, first + 1));
        }
    }

    public void Dispose()
    {
        if (Memory != null)
        {
            LibC.Unmap(Memory, (nuint)_bytes);
            Memory = null;
            _modified.Dispose();
            _plain.Dispose();
            _stillPlain.Dispose();
        }
    }

    private bool IsPlain(long page) => page / ChunkPages < _bytes / ChunkBytes && _plain.Contains(page / ChunkPages);

    /// <summary>A chunk that is plain memory becomes the file's again, unless most of it is still to be saved.</summary>
    private void ShowChunk(long chunk, PageSet modified)
    {
        long first = chunk * ChunkPages;
        Span<int> pages = stackalloc int[ChunkPages];
        int count = 0;
        for (int i = 0; i < ChunkPages; i++)
        {
            if (modified.Contains(first + i))
            {
                pages[count++] = i;
            }
        }
        if (count > ChunkPages / 2 || !TryShowChunk(Memory + (chunk * ChunkBytes), chunk * ChunkBytes, pages[..count]))
        {
            _stillPlain.Add(chunk);
        }
    }

    private bool TryShowChunk(byte* start, long offset, ReadOnlySpan<int> modified)
    {
        var memory = new Span<byte>(start, ChunkBytes);
        _copies ??= new byte[ChunkBytes];
        foreach (int page in modified)
        {
            memory.Slice(page * PageBytes, PageBytes).CopyTo(_copies.AsSpan(page * PageBytes));
        }
        const int Flags = LibC.MapPrivate | LibC.MapNoReserve | LibC.MapFixed;
        if (LibC.Map(start, ChunkBytes, LibC.ProtRead | LibC.ProtWrite, Flags, _file, offset) != start)
        {
            return false;
        }
        // As its neighbours, with which it becomes one mapping.
        _ = LibC.Advise(start, ChunkBytes, LibC.MadvRandom);
        foreach (int page in modified)
        {
            _copies.AsSpan(page * PageBytes, PageBytes).CopyTo(memory[(page * PageBytes)..]);
        }
        return true;
    }

    private void ForgetCopies(long firstPage, long count)
    {
        if (count > 0 && LibC.Advise(Memory + (firstPage * PageBytes), (nuint)(count * PageBytes), LibC.MadvDontNeed) != 0)
        {
            throw LibC.Error("madvise");
        }
    }
}
