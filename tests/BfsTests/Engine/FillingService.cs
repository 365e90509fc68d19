using System.Buffers.Binary;
using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsTests.Engine;

/// <summary>
/// Fills pages: operation ('f', x) page x of its state with x + 1, operation ('g', first u16, count u16, value) so many pages
/// with a value. Asserts that it is opened once, before anything else.
/// </summary>
internal sealed class FillingService : IService
{
    private StateRegion? _state;

    public static byte[] Range(int first, int count, byte value)
    {
        byte[] operation = [(byte)'g', 0, 0, 0, 0, value];
        BinaryPrimitives.WriteUInt16LittleEndian(operation.AsSpan(1), (ushort)first);
        BinaryPrimitives.WriteUInt16LittleEndian(operation.AsSpan(3), (ushort)count);
        return operation;
    }

    public void Open(StateRegion state)
    {
        Assert.Null(_state);
        _state = state;
    }

    public void StateReplaced() => Assert.NotNull(_state);

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => false;

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        if (operation.Length >= 6 && operation[0] == (byte)'g')
        {
            int first = BinaryPrimitives.ReadUInt16LittleEndian(operation[1..]);
            int count = BinaryPrimitives.ReadUInt16LittleEndian(operation[3..]);
            _state!.Modify(4096L * (1 + first), 4096 * count).Fill(operation[5]);
        }
        else if (operation.Length >= 2)
        {
            _state!.Modify(4096L * (1 + operation[1]), 4096).Fill((byte)(operation[1] + 1));
        }
        result[..8].Clear();
        return 8;
    }
}
