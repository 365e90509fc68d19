using System.Buffers.Binary;
using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsSim.Services;

/// <summary>
/// A replicated key-value map: the example service of docs/library.md. An operation is one letter, the key's length, the
/// key and a value; a result is a status byte and a value. 'g' gets the value, 'p' puts one and returns the one before,
/// 'a' appends and returns the whole. Each key has a page: key length u16, value length u16, the key, the value.
/// </summary>
public sealed class KeyValueService : IService
{
    public const byte Ok = 0, Absent = 1, Refused = 2;
    public const int MaxKeyBytes = 64, MaxValueBytes = PagedState.PageBytes - ValueOffset;
    private const int KeyOffset = 4, ValueOffset = KeyOffset + MaxKeyBytes;

    private StateRegion _state = null!;

    public void Open(StateRegion state) => _state = state;

    public void StateReplaced() { } // Nothing is kept outside the region.

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => operation.Length > 0 && operation[0] == 'g';

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        result[0] = Refused; // What is not understood gets an error, not an exception: the client may be faulty.
        if (operation.Length < 2 || operation[1] is 0 or > MaxKeyBytes || operation.Length < 2 + operation[1])
        {
            return 1;
        }
        ReadOnlySpan<byte> key = operation.Slice(2, operation[1]), value = operation[(2 + key.Length)..];
        long page = Find(key);
        if (page < 0 || operation[0] is not ((byte)'g' or (byte)'p' or (byte)'a'))
        {
            return 1;
        }
        ReadOnlySpan<byte> old = _state.Read(page + ValueOffset, Length(page + 2));
        bool append = operation[0] == 'a';
        if (operation[0] != 'g' && value.Length + (append ? old.Length : 0) > MaxValueBytes)
        {
            return 1;
        }
        result[0] = Length(page) == 0 ? Absent : Ok;
        old.CopyTo(result[1..]);
        int resultLength = 1 + old.Length;
        if (operation[0] != 'g')
        {
            int start = append ? old.Length : 0;
            Span<byte> record = _state.Modify(page, PagedState.PageBytes); // Records the page, then lets us write.
            BinaryPrimitives.WriteUInt16LittleEndian(record, (ushort)key.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(record[2..], (ushort)(start + value.Length));
            key.CopyTo(record[KeyOffset..]);
            value.CopyTo(record[(ValueOffset + start)..]);
            value.CopyTo(result[resultLength..]);
            resultLength += append ? value.Length : 0;
        }
        return resultLength;
    }

    /// <summary>The page of a key, or the free one where it belongs; negative when the map is full.</summary>
    private long Find(ReadOnlySpan<byte> key)
    {
        long pages = _state.SizeBytes / PagedState.PageBytes;
        ulong hash = 14695981039346656037;
        foreach (byte b in key)
        {
            hash = (hash ^ b) * 1099511628211; // FNV-1a: the same on every replica, unlike a randomised hash.
        }
        for (long i = 0; i < pages; i++)
        {
            long page = (long)((hash + (ulong)i) % (ulong)pages) * PagedState.PageBytes;
            if (Length(page) == 0 || _state.Read(page + KeyOffset, Length(page)).SequenceEqual(key))
            {
                return page;
            }
        }
        return -1;
    }

    private int Length(long at) => _state.Get<ushort>(at);
}
