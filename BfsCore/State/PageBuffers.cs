using System.Runtime.InteropServices;

namespace BfsCore.State;

/// <summary>
/// Page-sized native buffers for copy-on-write, handed out and taken back; a bounded number of free ones is kept.
/// </summary>
internal sealed unsafe class PageBuffers : IDisposable
{
    /// <summary>Most free buffers kept: 16 MB.</summary>
    public const int MaxFree = 4096;

    private readonly nint[] _free = new nint[MaxFree];
    private int _freeCount;

    /// <summary>Buffers handed out and not yet back.</summary>
    public long InUse { get; private set; }

    public byte* Take()
    {
        InUse++;
        return _freeCount > 0 ? (byte*)_free[--_freeCount] : (byte*)NativeMemory.Alloc(PagedState.PageBytes);
    }

    public void Return(byte* buffer)
    {
        InUse--;
        if (_freeCount < MaxFree)
        {
            _free[_freeCount++] = (nint)buffer;
        }
        else
        {
            NativeMemory.Free(buffer);
        }
    }

    public void Dispose()
    {
        while (_freeCount > 0)
        {
            NativeMemory.Free((byte*)_free[--_freeCount]);
        }
    }
}
