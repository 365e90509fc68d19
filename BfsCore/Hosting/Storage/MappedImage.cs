using BfsCore.State;

namespace BfsCore.Hosting.Storage;

/// <summary>
/// The image in memory, copy-on-write by the operating system: pages that are not modified are the file's cached pages,
/// those that are belong to this process alone.
/// </summary>
internal sealed unsafe class MappedImage : IDisposable
{
    private readonly nuint _bytes;

    public MappedImage(byte* memory, long bytes)
    {
        Memory = memory;
        _bytes = (nuint)bytes;
    }

    public byte* Memory { get; private set; }

    /// <summary>Forgets this process's copies of some pages, which from now on show what the file holds.</summary>
    public void ShowFile(long firstPage, long count)
    {
        byte* start = Memory + (firstPage * PagedState.PageBytes);
        if (LibC.Advise(start, (nuint)(count * PagedState.PageBytes), LibC.MadvDontNeed) != 0)
        {
            throw LibC.Error("madvise");
        }
    }

    /// <summary>
    /// No reading ahead from now on: the first write to a page of a hole would read its neighbours' zeros too, which
    /// doubles the time that filling new pages takes. What is in use is in memory since the start.
    /// </summary>
    public void ExpectRandomAccess() => _ = LibC.Advise(Memory, _bytes, LibC.MadvRandom);

    public void Dispose()
    {
        if (Memory != null)
        {
            LibC.Unmap(Memory, _bytes);
            Memory = null;
        }
    }
}
