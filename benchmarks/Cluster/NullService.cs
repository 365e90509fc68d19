using System.Buffers.Binary;
using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsBench;

/// <summary>
/// The simple service of §8.3: no state, results of one byte repeated, no computation. An operation says whether it is
/// read-only (first byte) and how long its result is (next four); the rest is argument. The thesis fills with zeros, but a
/// page of zeros has a digest that costs nothing here.
/// </summary>
internal sealed class NullService : IService
{
    private const byte Filler = 1;

    public static byte[] Operation(int argumentBytes, int resultBytes, bool readOnly)
    {
        byte[] operation = new byte[5 + argumentBytes];
        operation.AsSpan(5).Fill(Filler);
        operation[0] = readOnly ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt32LittleEndian(operation.AsSpan(1), resultBytes);
        return operation;
    }

    public void Open(StateRegion state)
    {
    }

    public void StateReplaced()
    {
    }

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => operation.Length > 0 && operation[0] == 1;

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        int length = operation.Length < 5 ? 0 : Math.Clamp(BinaryPrimitives.ReadInt32LittleEndian(operation[1..]), 0, result.Length);
        result[..length].Fill(Filler);
        return length;
    }
}
