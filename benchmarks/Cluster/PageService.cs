using System.Buffers.Binary;
using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsBench;

/// <summary>
/// The service of §8.4: an array of pages. An operation says what it does (first byte), to which page (next eight), to how
/// many (next four): 'w' makes them new content that depends on the page and a seed (next eight); 'r' reads one.
/// </summary>
internal sealed class PageService : IService
{
    private const int HeaderBytes = 21;

    private StateRegion _state = null!;

    public static byte[] Write(long page, int count, long seed)
    {
        byte[] operation = new byte[HeaderBytes];
        operation[0] = (byte)'w';
        BinaryPrimitives.WriteInt64LittleEndian(operation.AsSpan(1), page);
        BinaryPrimitives.WriteInt32LittleEndian(operation.AsSpan(9), count);
        BinaryPrimitives.WriteInt64LittleEndian(operation.AsSpan(13), seed);
        return operation;
    }

    public static byte[] Read(long page)
    {
        byte[] operation = Write(page, 1, 0);
        operation[0] = (byte)'r';
        return operation;
    }

    public void Open(StateRegion state) => _state = state;

    public void StateReplaced()
    {
    }

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => operation.Length > 0 && operation[0] == (byte)'r';

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        if (operation.Length < HeaderBytes)
        {
            return 0;
        }
        long pages = _state.SizeBytes / PagedState.PageBytes;
        long first = BinaryPrimitives.ReadInt64LittleEndian(operation[1..]);
        int count = BinaryPrimitives.ReadInt32LittleEndian(operation[9..]);
        if (first < 0 || count < 1 || first > pages - count)
        {
            return 0;
        }
        if (IsReadOnly(operation))
        {
            long offset = first * PagedState.PageBytes;
            if (context.ResultPages is { } placed)
            {
                placed.Place(0, offset);
            }
            else
            {
                _state.Read(offset, PagedState.PageBytes).CopyTo(result);
            }
            return PagedState.PageBytes;
        }
        ulong x = (ulong)BinaryPrimitives.ReadInt64LittleEndian(operation[13..]);
        for (long page = first; page < first + count; page++)
        {
            Fill(_state.Modify(page * PagedState.PageBytes, PagedState.PageBytes), x ^ ((ulong)page << 32));
        }
        result[..8].Clear();
        return 8;
    }

    private static void Fill(Span<byte> page, ulong x)
    {
        for (; page.Length > 0; page = page[8..])
        {
            x = (x * 6364136223846793005) + 1442695040888963407;
            BinaryPrimitives.WriteUInt64LittleEndian(page, x);
        }
    }
}
