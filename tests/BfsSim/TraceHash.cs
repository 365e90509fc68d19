using System.Numerics;
using System.Runtime.InteropServices;

namespace BfsSim;

/// <summary>A running hash over everything that happens: equal seeds must have equal hashes.</summary>
public sealed class TraceHash
{
    private const ulong Prime = 0x9FB21C651E98DF25;

    public ulong Value { get; private set; } = 0x243F6A8885A308D3;

    public void Add(long word) => Value = BitOperations.RotateLeft((Value ^ (ulong)word) * Prime, 29);

    public void Add(ReadOnlySpan<byte> bytes)
    {
        Add(bytes.Length);
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes))
        {
            Add((long)word);
        }
        foreach (byte b in bytes[(bytes.Length & ~7)..])
        {
            Add(b);
        }
    }
}
