using System.Numerics;
using System.Runtime.InteropServices;
using BfsCore;

namespace BfsSim;

/// <summary>
/// The only source of chance in a simulation: xoshiro256** seeded by SplitMix64, the same on every machine and version.
/// </summary>
public sealed class SimRandom : IEntropy
{
    private ulong _a, _b, _c, _d;

    public SimRandom(ulong seed)
    {
        _a = SplitMix(ref seed);
        _b = SplitMix(ref seed);
        _c = SplitMix(ref seed);
        _d = SplitMix(ref seed);
    }

    /// <summary>A generator of its own, so that what one part draws does not change what another part sees.</summary>
    public SimRandom Fork() => new(NextUInt64());

    /// <summary>The generator of a number: the same whatever was drawn before from other numbers' ones.</summary>
    public static SimRandom For(long seed, long number) => new((ulong)seed ^ BitOperations.RotateLeft((ulong)number * 0x9E3779B97F4A7C15, 31));

    public ulong NextUInt64()
    {
        ulong result = BitOperations.RotateLeft(_b * 5, 7) * 9;
        ulong t = _b << 17;
        _c ^= _a;
        _d ^= _b;
        _b ^= _c;
        _a ^= _d;
        _c ^= t;
        _d = BitOperations.RotateLeft(_d, 45);
        return result;
    }

    /// <summary>A number from 0 to <paramref name="bound"/> - 1.</summary>
    public int Below(int bound) => (int)Below((long)bound);

    public long Below(long bound) => (long)Math.BigMul(NextUInt64(), (ulong)bound, out _);

    /// <summary>A number from one bound to the other, both included.</summary>
    public int Between(int low, int high) => low + Below(high - low + 1);

    public bool PerMille(int chances) => chances > 0 && Below(1000) < chances;

    public T Choose<T>(params ReadOnlySpan<T> choices) => choices[Below(choices.Length)];

    public void Fill(Span<byte> bytes)
    {
        while (bytes.Length >= sizeof(ulong))
        {
            MemoryMarshal.Write(bytes, NextUInt64());
            bytes = bytes[sizeof(ulong)..];
        }
        foreach (ref byte b in bytes)
        {
            b = (byte)NextUInt64();
        }
    }

    private static ulong SplitMix(ref ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        ulong z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
