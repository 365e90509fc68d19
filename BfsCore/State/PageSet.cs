using System.Numerics;
using System.Runtime.InteropServices;

namespace BfsCore.State;

/// <summary>A set of pages: one bit for each page that there is.</summary>
internal sealed unsafe class PageSet : IDisposable
{
    private readonly long _pages;
    private readonly long _words;
    private ulong* _bits;

    public PageSet(long pages)
    {
        _pages = pages;
        _words = (pages + 63) / 64;
        // Zero until it is written, and without memory until then.
        _bits = (ulong*)NativeMemory.AllocZeroed((nuint)_words, sizeof(ulong));
    }

    /// <summary>How many pages are in it.</summary>
    public long Count { get; private set; }

    public bool Contains(long page) => (_bits[page >> 6] & (1UL << (int)(page & 63))) != 0;

    public void Add(long page)
    {
        ulong bit = 1UL << (int)(page & 63);
        if ((_bits[page >> 6] & bit) == 0)
        {
            _bits[page >> 6] |= bit;
            Count++;
        }
    }

    public void AddAll(PageSet other)
    {
        for (long page = other.Next(0); page >= 0; page = other.Next(page + 1))
        {
            Add(page);
        }
    }

    public void Clear()
    {
        for (long page = Next(0); page >= 0; page = Next((page | 63) + 1))
        {
            _bits[page >> 6] = 0;
        }
        Count = 0;
    }

    /// <summary>The first page in it from <paramref name="page"/> on, or -1.</summary>
    public long Next(long page)
    {
        if (page >= _pages)
        {
            return -1;
        }
        long word = page >> 6;
        ulong bits = _bits[word] & (ulong.MaxValue << (int)(page & 63));
        while (bits == 0)
        {
            if (++word == _words)
            {
                return -1;
            }
            bits = _bits[word];
        }
        return (word << 6) + BitOperations.TrailingZeroCount(bits);
    }

    public void Dispose()
    {
        NativeMemory.Free(_bits);
        _bits = null;
    }
}
