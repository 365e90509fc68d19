namespace BfsCore.State;

/// <summary>
/// All replicated memory of a replica as 4 KB pages: the library's own pages first, the service's after them.
/// </summary>
public sealed unsafe class PagedState : IDisposable
{
    public const int PageBytes = 4096;

    private readonly byte* _base;
    private readonly long _sizeBytes;

    /// <summary>Memory that belongs to nothing on disk: tests, simulator.</summary>
    public PagedState(long sizeBytes)
    {
        _sizeBytes = sizeBytes;
        _base = (byte*)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)sizeBytes);
    }

    /// <summary>The window that a service (or the library itself) sees.</summary>
    public StateRegion Window(long startBytes, long sizeBytes) => new(this, startBytes, sizeBytes);

    internal ReadOnlySpan<byte> Read(long offset, int length) => new(_base + offset, length);

    internal Span<byte> Modify(long offset, int length) => new(_base + offset, length);

    public void Dispose() => System.Runtime.InteropServices.NativeMemory.Free(_base);
}
