using BfsCore.Messages;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Hosting.KeyHolding;

/// <summary>
/// What a key holder signs: NEW-KEY messages and requests of its own replica, with a counter value that it has given out
/// (§4.2: it appends the counter to what it signs). So whoever takes over the replica cannot have messages signed now that
/// count as fresh after its recovery.
/// </summary>
public static class SigningRule
{
    private const int RequestClientAt = 48;
    private const int RequestTimestampAt = 64;

    /// <param name="message">What is to be signed: a NEW-KEY without its signature, or the header of a request.</param>
    /// <param name="lastCounter">The last counter value given out by this holder; 0 when none was.</param>
    public static bool Allows(ReadOnlySpan<byte> message, ReplicaId self, int n, ulong lastCounter)
    {
        if (message.Length == NewKey.SizeFor(n) - NewKey.SignatureBytes && HasTag(message, MessageTag.NewKey))
        {
            return U32(message, 8) == (uint)self.Value && IsGiven(U64(message, 16), lastCounter)
                && IsGiven(U64(message, 24), lastCounter);
        }
        return message.Length == Request.HeaderBytes && HasTag(message, MessageTag.Request)
            && U32(message, RequestClientAt) == (uint)self.Value && IsGiven(U64(message, RequestTimestampAt), lastCounter);
    }

    private static bool IsGiven(ulong counter, ulong last) => counter > 0 && counter <= last;

    private static bool HasTag(ReadOnlySpan<byte> message, MessageTag tag) => U16(message, 0) == (ushort)tag;
}
