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
    /// <summary>2 MB: where the system has them, one large page.</summary>
    public const int UsualChunkPages = 512;

    private const int PageBytes = PagedState.PageBytes;

    /// <summary>The most that is plain memory at a time, so that pages here and there do not take it all.</summary>
    private const long MostPlainBytes = 256L << 20;

    /// <summary>For a page here and there the call costs more than the page fault that it spares.</summary>
    private const int LeastShownPages = 8;

    private readonly SafeFileHandle _file;
    private readonly long _bytes;
    private readonly int _chunkPages;
    private readonly long _chunks;
    private readonly byte* _reserved;

    // Chunks whose first modification was seen, and which of them are plain memory.
    private readonly PageSet _modified;
    private PageSet _plain;
    private PageSet _stillPlain;

    private long _firstHole;
    private byte[]? _copies;

    /// <param name="chunkPages">A power of two.</param>
    public MappedImage(SafeFileHandle file, long bytes, int chunkPages)
    {
        (_file, _bytes, _chunkPages) = (file, bytes, chunkPages);
        // Whole chunks only.
        _chunks = bytes / ChunkBytes;
        _firstHole = _chunks;
        (_modified, _plain, _stillPlain) = (new PageSet(_chunks), new PageSet(_chunks), new PageSet(_chunks));
        void* reserved = MapPlain(null, bytes + ChunkBytes, LibC.ProtNone);
        _reserved = reserved == LibC.MapFailed ? throw LibC.Error("reserving memory for state.image") : (byte*)reserved;
        byte* start = (byte*)(((nuint)reserved + (nuint)ChunkBytes - 1) & ~((nuint)ChunkBytes - 1));
        Memory = TryMapFile(start, bytes, offset: 0) ? start : throw LibC.Error("mapping state.image");
    }

    private int ChunkBytes => _chunkPages * PageBytes;

    public byte* Memory { get; private set; }

    /// <summary>
    /// No reading ahead from now on: the first write to a page of a hole would read its neighbours' zeros too, which
    /// doubles the time that filling new pages takes. What is in use is in memory since the start.
    /// </summary>
    public void ExpectRandomAccess() => _ = LibC.Advise(Memory, (nuint)_bytes, LibC.MadvRandom);

    /// <summary>The file and the memory are zero from a page on.</summary>
    public void ExpectHoleFrom(long page) => _firstHole = (page + _chunkPages - 1) / _chunkPages;

    public void BeforeModifying(long page)
    {
        long chunk = page / _chunkPages;
        if (chunk < _firstHole || chunk >= _chunks || _modified.Contains(chunk))
        {
            return;
        }
        // Also if there is too much already: what is in a chunk from now on must not be mapped over.
        _modified.Add(chunk);
        if (_plain.Count * ChunkBytes >= MostPlainBytes)
        {
            return;
        }
        byte* start = Memory + (chunk * ChunkBytes);
        if (MapPlain(start, ChunkBytes, LibC.ProtRead | LibC.ProtWrite) == start)
        {
            _ = LibC.Advise(start, (nuint)ChunkBytes, LibC.MadvHugePage);
            _plain.Add(chunk);
        }
    }

    /// <summary>
    /// Gives the memory back of what is now in the file: all pages but those that were modified since. The file's cached pages are shown
    /// instead, at once: who reads them needs no page fault, and what is mapped stays in memory longer than what nobody seems to use.
    /// </summary>
    /// <param name="saved">What the save changed in the file.</param>
    /// <param name="modified">What differs from the file.</param>
    /// <param name="isHole">Whether a page that is as saved is one of zeros.</param>
    public void ShowFile(PageSet saved, PageSet modified, Func<long, bool> isHole)
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
            ShowPages(first, page, isHole);
            page = saved.Next(Math.Max(page, first + 1));
        }
    }

    public void Dispose()
    {
        if (Memory != null)
        {
            LibC.Unmap(_reserved, (nuint)(_bytes + ChunkBytes));
            Memory = null;
            _modified.Dispose();
            _plain.Dispose();
            _stillPlain.Dispose();
        }
    }

    private bool IsPlain(long page) => page / _chunkPages < _chunks && _plain.Contains(page / _chunkPages);

    /// <summary>A chunk that is plain memory becomes the file's again, unless most of it is still to be saved.</summary>
    private void ShowChunk(long chunk, PageSet modified)
    {
        long first = chunk * _chunkPages;
        int count = 0;
        for (int i = 0; i < _chunkPages; i++)
        {
            count += modified.Contains(first + i) ? 1 : 0;
        }
        if (count > _chunkPages / 2 || !TryShowChunk(first, count, modified))
        {
            _stillPlain.Add(chunk);
        }
    }

    /// <param name="count">How many of the chunk's pages were modified, and are kept.</param>
    private bool TryShowChunk(long first, int count, PageSet modified)
    {
        byte* start = Memory + (first * PageBytes);
        long end = first + _chunkPages;
        if (_copies is null || _copies.Length < count * PageBytes)
        {
            _copies = new byte[count * PageBytes];
        }
        Span<byte> copies = _copies;
        for (long page = NextIn(first); page >= 0; page = NextIn(page + 1))
        {
            new Span<byte>(Memory + (page * PageBytes), PageBytes).CopyTo(copies);
            copies = copies[PageBytes..];
        }
        if (!TryMapFile(start, ChunkBytes, first * PageBytes))
        {
            return false;
        }
        // As its neighbours, with which it becomes one mapping.
        _ = LibC.Advise(start, (nuint)ChunkBytes, LibC.MadvRandom);
        copies = _copies;
        for (long page = NextIn(first); page >= 0; page = NextIn(page + 1))
        {
            copies[..PageBytes].CopyTo(new Span<byte>(Memory + (page * PageBytes), PageBytes));
            copies = copies[PageBytes..];
        }
        return true;

        long NextIn(long page) => page < end && modified.Next(page) is var next && next < end ? next : -1;
    }

    private static void* MapPlain(void* address, long bytes, int protection)
    {
        int where = address == null ? 0 : LibC.MapFixed;
        return LibC.MapAnonymously(
            address, (nuint)bytes, protection, LibC.MapPrivate | LibC.MapAnonymous | LibC.MapNoReserve | where, -1, 0);
    }

    /// <summary>Not reserved: a sparse image may be larger than memory; modified pages are saved and given back.</summary>
    private bool TryMapFile(byte* start, long bytes, long offset) =>
        LibC.Map(start, (nuint)bytes, LibC.ProtRead | LibC.ProtWrite, LibC.MapPrivate | LibC.MapNoReserve | LibC.MapFixed, _file, offset) == start;

    private void ForgetCopies(long firstPage, long count)
    {
        if (count > 0 && LibC.Advise(Memory + (firstPage * PageBytes), (nuint)(count * PageBytes), LibC.MadvDontNeed) != 0)
        {
            throw LibC.Error("madvise");
        }
    }

    /// <summary>All but holes, of which the system would make pages, and single pages.</summary>
    private void ShowPages(long first, long end, Func<long, bool> isHole)
    {
        for (long page = first; page < end; page++)
        {
            if (isHole(page))
            {
                continue;
            }
            first = page;
            while (page < end && !isHole(page))
            {
                page++;
            }
            if (page - first >= LeastShownPages)
            {
                // Systems before Linux 5.14 do not know it.
                _ = LibC.Advise(Memory + (first * PageBytes), (nuint)((page - first) * PageBytes), LibC.MadvPopulateRead);
            }
        }
    }
}
