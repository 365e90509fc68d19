using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BfsCore.State;

/// <summary>
/// The part of the replicated state that belongs to a service: a fixed number of bytes that start as zeros. Reading is
/// free; the only way to a writable span is <see cref="Modify(long, int)"/>, which first records the pages for
/// copy-on-write (§5.3, §6.2), so that writing around the record is impossible. Spans are not to be kept beyond one
/// execution.
/// </summary>
public sealed class StateRegion
{
    private readonly PagedState _pages;
    private readonly long _start;

    internal StateRegion(PagedState pages, long start, long sizeBytes)
    {
        _pages = pages;
        _start = start;
        SizeBytes = sizeBytes;
    }

    public long SizeBytes { get; }

    /// <summary>The bytes from <paramref name="offset"/>; asserts that they lie inside the region.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<byte> Read(long offset, int length)
    {
        BfsAssert.That(offset >= 0 && length >= 0 && offset <= SizeBytes - length);
        return _pages.Read(_start + offset, length);
    }

    /// <summary>
    /// The bytes from <paramref name="offset"/>, to be changed: their pages are recorded first. Asserts that they lie inside
    /// the region and that the execution is not read-only.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<byte> Modify(long offset, int length)
    {
        BfsAssert.That(offset >= 0 && length >= 0 && offset <= SizeBytes - length);
        return _pages.Modify(_start + offset, length);
    }

    /// <summary>
    /// Makes the page at <paramref name="offset"/> a copy of <paramref name="content"/>, both 4096 bytes. The same as copying into
    /// <see cref="Modify(long, int)"/>; but where the content is a block of the operation that is being executed, counted from its
    /// end, the page is not hashed at the next checkpoint, since the request's digest needed the same (§5.3.1).
    /// </summary>
    public void SetPage(long offset, ReadOnlySpan<byte> content)
    {
        BfsAssert.That(offset >= 0 && offset <= SizeBytes - PagedState.PageBytes);
        _pages.SetPage(_start + offset, content);
    }

    /// <summary>A structure inside the region, to read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref readonly T Get<T>(long offset) where T : unmanaged =>
        ref MemoryMarshal.AsRef<T>(Read(offset, Unsafe.SizeOf<T>()));

    /// <summary>A structure inside the region, to change: its pages are recorded first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref T Modify<T>(long offset) where T : unmanaged =>
        ref MemoryMarshal.AsRef<T>(Modify(offset, Unsafe.SizeOf<T>()));
}
