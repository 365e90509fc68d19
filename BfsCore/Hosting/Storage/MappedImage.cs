using System.Numerics;
using BfsCore.State;
using Microsoft.Win32.SafeHandles;

namespace BfsCore.Hosting.Storage;

/// <summary>
/// The image in memory, copy-on-write by the operating system: pages that are not modified are the file's cached pages,
/// those that are belong to this process alone. Where the file has nothing, whole blocks are plain memory until they are saved:
/// the first write to a page of a mapped hole costs several times as much, since the system reads the hole for it.
/// </summary>
internal sealed unsafe class MappedImage : IDisposable
{
    /// <summary>The system limits how many mappings a process has; neighbours that are alike are one.</summary>
    private const long MostBlocks = 8192;

    private const long SmallestBlockPages = 16;

    private readonly SafeFileHandle _file;
    private readonly long _pages;
    private readonly long _blockPages;

    /// <summary>For each block whether it is plain memory.</summary>
    private readonly bool[] _isMemory;

    /// <summary>Maps a file; its holes are mapped too until <see cref="UseMemory"/>.</summary>
    /// <exception cref="IOException">The system refuses.</exception>
    public MappedImage(SafeFileHandle file, long bytes)
    {
        _file = file;
        _pages = bytes / PagedState.PageBytes;
        _blockPages = Math.Max(SmallestBlockPages, (long)BitOperations.RoundUpToPowerOf2((ulong)((_pages + MostBlocks - 1) / MostBlocks)));
        _isMemory = new bool[(_pages + _blockPages - 1) / _blockPages];
        // Not reserved: a sparse image may be larger than memory; modified pages are saved and given back.
        void* memory = LibC.Map(null, (nuint)bytes, LibC.ProtRead | LibC.ProtWrite, LibC.MapPrivate | LibC.MapNoReserve, file, 0);
        Memory = memory == LibC.MapFailed ? throw LibC.Error("mapping state.image") : (byte*)memory;
    }

    public byte* Memory { get; private set; }

    /// <summary>Whether the block that a page is in is plain memory.</summary>
    public bool IsMemory(long page) => _isMemory[page / _blockPages];

    /// <summary>The first page of the next block.</summary>
    public long EndOfBlock(long page) => Math.Min(((page / _blockPages) + 1) * _blockPages, _pages);

    /// <summary>The first page of the block that a page is in.</summary>
    public long StartOfBlock(long page) => page / _blockPages * _blockPages;

    /// <summary>Makes plain memory of a range in which the file has nothing; of the blocks that are wholly in it.</summary>
    public void UseMemory(long firstPage, long endPage)
    {
        long first = StartOfBlock(firstPage + _blockPages - 1);
        long end = endPage == _pages ? _pages : StartOfBlock(endPage);
        if (first >= end)
        {
            return;
        }
        Map(first, end, LibC.MapPrivate | LibC.MapNoReserve | LibC.MapFixed | LibC.MapAnonymous, file: false);
        _isMemory.AsSpan((int)(first / _blockPages), (int)((end - first + _blockPages - 1) / _blockPages)).Fill(true);
    }

    /// <summary>Forgets this process's copies of some pages of a mapped block, which from now on show what the file holds.</summary>
    public void ShowFile(long firstPage, long count)
    {
        if (LibC.Advise(AddressOf(firstPage), BytesOf(count), LibC.MadvDontNeed) != 0)
        {
            throw LibC.Error("madvise");
        }
    }

    /// <summary>Instead of a block of plain memory shows what the file holds there, which must be the same.</summary>
    public void ShowFileBlock(long page)
    {
        Map(StartOfBlock(page), EndOfBlock(page), LibC.MapPrivate | LibC.MapNoReserve | LibC.MapFixed, file: true);
        _isMemory[page / _blockPages] = false;
        ExpectRandomAccess(StartOfBlock(page), EndOfBlock(page));
    }

    /// <summary>
    /// No reading ahead from now on: the first write to a page of a hole would read its neighbours' zeros too, which
    /// doubles the time that filling new pages takes. What is in use is in memory since the start.
    /// </summary>
    public void ExpectRandomAccess() => ExpectRandomAccess(0, _pages);

    public void Dispose()
    {
        if (Memory != null)
        {
            _ = LibC.Unmap(Memory, BytesOf(_pages));
            Memory = null;
        }
    }

    private void ExpectRandomAccess(long first, long end) => _ = LibC.Advise(AddressOf(first), BytesOf(end - first), LibC.MadvRandom);

    private void Map(long first, long end, int flags, bool file)
    {
        void* mapped = file
            ? LibC.Map(AddressOf(first), BytesOf(end - first), LibC.ProtRead | LibC.ProtWrite, flags, _file, first * PagedState.PageBytes)
            : LibC.MapMemory(AddressOf(first), BytesOf(end - first), LibC.ProtRead | LibC.ProtWrite, flags, -1, 0);
        if (mapped == LibC.MapFailed)
        {
            throw LibC.Error("mapping a part of state.image");
        }
    }

    private byte* AddressOf(long page) => Memory + (page * PagedState.PageBytes);

    private static nuint BytesOf(long pages) => (nuint)(pages * PagedState.PageBytes);
}
