using System.Buffers.Binary;
using System.Security.Cryptography;
using BfsCore;

namespace BfsTests.State;

/// <summary>
/// The slow, obvious version of the paged state: a full copy of the memory per checkpoint, and every digest computed from
/// such a copy when it is asked for.
/// </summary>
internal sealed class ReferenceState
{
    private const int PageBytes = 4096;
    private const int Fanout = 64;

    private readonly SortedDictionary<long, byte[]> _checkpoints = [];

    public ReferenceState(int pages)
    {
        Memory = new byte[pages * PageBytes];
        _checkpoints[0] = (byte[])Memory.Clone();
    }

    public byte[] Memory { get; private set; }

    public List<long> Checkpoints => [.. _checkpoints.Keys];

    public void TakeCheckpoint(long n) => _checkpoints[n] = (byte[])Memory.Clone();

    public void DiscardBefore(long n)
    {
        foreach (long older in _checkpoints.Keys.Where(k => k < n).ToList())
        {
            _checkpoints.Remove(older);
        }
    }

    public void RollbackTo(long n)
    {
        Memory = (byte[])_checkpoints[n].Clone();
        foreach (long later in _checkpoints.Keys.Where(k => k > n).ToList())
        {
            _checkpoints.Remove(later);
        }
    }

    public byte[] PageAt(long n, int page) => _checkpoints[n][(page * PageBytes)..((page + 1) * PageBytes)];

    /// <summary>All digests at a checkpoint: one list per level, the root first.</summary>
    public List<List<byte[]>> TreeAt(long n)
    {
        byte[] memory = _checkpoints[n];
        var levels = new List<List<byte[]>>();
        var lowest = new List<byte[]>();
        for (int offset = 0; offset < memory.Length; offset += PageBytes)
        {
            lowest.Add(HashUnlessZero(memory.AsSpan(offset, PageBytes), []));
        }
        levels.Add(lowest);
        int depth = 1;
        while (Math.Pow(Fanout, depth) < lowest.Count)
        {
            depth++;
        }
        for (int level = depth - 1; level >= 0; level--)
        {
            levels.Insert(0, Parents(levels[0], level));
        }
        return levels;
    }

    private static List<byte[]> Parents(List<byte[]> children, int level)
    {
        var parents = new List<byte[]>();
        for (int first = 0; first < children.Count; first += Fanout)
        {
            var digests = new byte[Fanout * 32];
            for (int i = first; i < Math.Min(first + Fanout, children.Count); i++)
            {
                children[i].CopyTo(digests, (i - first) * 32);
            }
            var prefix = new byte[12];
            BinaryPrimitives.WriteInt32LittleEndian(prefix, level);
            BinaryPrimitives.WriteInt64LittleEndian(prefix.AsSpan(4), parents.Count);
            parents.Add(HashUnlessZero(digests, prefix));
        }
        return parents;
    }

    private static byte[] HashUnlessZero(ReadOnlySpan<byte> content, byte[] prefix)
    {
        foreach (byte b in content)
        {
            if (b != 0)
            {
                return SHA256.HashData([.. prefix, .. content]);
            }
        }
        return new byte[32];
    }
}
