using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// The operation of a recovery request (§4.3.2), in a REQUEST whose client is a replica, whose timestamp is the counter of its
/// co-processor, and which that has signed.
///
///      0 "RECOVERY" u64   8 H_M i64
/// </summary>
public static class RecoveryRequest
{
    public const int SizeBytes = 16;

    private const ulong Magic = 0x5952_4556_4f43_4552; // "RECOVERY"

    public static void Write(Span<byte> operation, SeqNum bound)
    {
        U64(operation, 0, Magic);
        I64(operation, 8, bound.Value);
    }

    public static bool TryParse(ReadOnlySpan<byte> operation, out SeqNum bound)
    {
        bool valid = operation.Length == SizeBytes && U64(operation, 0) == Magic && IsNumber(operation, 8, 0);
        bound = valid ? new SeqNum(I64(operation, 8)) : default;
        return valid;
    }
}
