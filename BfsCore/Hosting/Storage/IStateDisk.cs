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
