using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BfsCore.State;

/// <summary>
/// The blocks of the operation under execution, whose digests were computed when it arrived (<see cref="ContentDigest"/>): a page that
/// becomes a copy of one need not be hashed again at the next checkpoint.
/// </summary>
internal sealed class OperationBlocks
{
    private byte[] _memory = [];
    private int _start;
    private Digest[] _digests = [];
    private int _count;

    /// <param name="memory">Holds the blocks, one behind the other.</param>
    /// <param name="end">Where the last one ends.</param>
    /// <param name="digests">Theirs, of which the first <paramref name="count"/> count.</param>
    public void Set(byte[] memory, int end, Digest[] digests, int count)
    {
        (_memory, _digests, _count) = (memory, digests, count);
        _start = end - (count * ContentDigest.BlockBytes);
        BfsAssert.That(_start >= 0 && end <= memory.Length && count <= digests.Length);
    }

    public void Clear() => _count = 0;

    /// <summary>The digest of what is one of the blocks: not of what is equal to one elsewhere in memory.</summary>
    public bool TryFind(ReadOnlySpan<byte> page, out Digest digest)
    {
        digest = default;
        if (_count == 0 || page.Length != ContentDigest.BlockBytes)
        {
            return false;
        }
        nint offset = Unsafe.ByteOffset(ref _memory[_start], ref MemoryMarshal.GetReference(page));
        if (offset < 0 || offset >= _count * ContentDigest.BlockBytes || offset % ContentDigest.BlockBytes != 0)
        {
            return false;
        }
        digest = _digests[offset / ContentDigest.BlockBytes];
        return true;
    }
}
