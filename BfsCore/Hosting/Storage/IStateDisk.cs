using BfsCore.State;

namespace BfsCore.Hosting.Storage;

/// <summary>The files of a state that are written in place.</summary>
internal enum StatePart
{
    Image,
    Journal,
}

/// <summary>
/// The operations on disk that saving a state is made of, so that a test can stop at every one of them. Writes may reach
/// the disk in any order until <see cref="Sync"/> returns. All throw <see cref="IOException"/>.
/// </summary>
internal interface IStateDisk : IDisposable
{
    /// <summary>Bytes; zero for a file that was not there.</summary>
    long Length(StatePart part);

    void Resize(StatePart part, long bytes);

    void Write(StatePart part, long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Fills the span; asserts that the file is long enough.</summary>
    void Read(StatePart part, long offset, Span<byte> bytes);

    /// <summary>Makes a range of the image read as zeros, without space on disk where that is possible.</summary>
    void PunchImage(long offset, long length);

    void Sync(StatePart part);

    /// <summary>The next range of the image from an offset on that may hold something else than zeros.</summary>
    bool TryNextData(long from, out long start, out long end);

    /// <summary>The description of the image; empty when there is none.</summary>
    byte[] ReadMeta();

    /// <summary>Replaces the description atomically and durably.</summary>
    void ReplaceMeta(ReadOnlySpan<byte> meta);

    /// <summary>The image as memory whose changes do not reach the file.</summary>
    MappedImage MapImage();
}

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
