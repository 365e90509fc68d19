using System.Buffers;
using System.Runtime.CompilerServices;

namespace BfsClient.Fuse;

/// <summary>
/// Buffers for replies with data. The largest ones are kept here: the shared pool would round a megabyte and a header up
/// to two, and give them back to the garbage collector.
/// </summary>
internal sealed class ReadBuffers
{
    /// <summary>Up to this size the shared pool serves, bytes.</summary>
    private const int SmallBytes = 128 * 1024;

    private const int LargeBytes = FuseConstants.MaxTransferBytes + FuseConstants.PageBytes;
    private const int MostKept = 8;

    private readonly Stack<byte[]> _large = new();

    /// <param name="count">Bytes of data; room for the reply's header comes on top.</param>
    public byte[] Rent(int count)
    {
        int needed = count + Unsafe.SizeOf<FuseOutHeader>();
        return needed <= SmallBytes ? ArrayPool<byte>.Shared.Rent(needed)
            : _large.TryPop(out byte[]? buffer) ? buffer
            : GC.AllocateUninitializedArray<byte>(LargeBytes);
    }

    public void Return(byte[] buffer)
    {
        if (buffer.Length != LargeBytes)
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        else if (_large.Count < MostKept)
        {
            _large.Push(buffer);
        }
    }
}
