using BfsCore.Messages;

namespace BfsSim;

/// <summary>A line per message for a reader of a trace.</summary>
internal static class TraceText
{
    public static string Describe(byte[] message)
    {
        if (!MessageHeader.TryReadTag(message, out MessageTag tag))
        {
            return $"malformed, {message.Length} bytes";
        }
        string head = Convert.ToHexStringLower(message.AsSpan(MessageHeader.SizeBytes, Math.Min(32, message.Length - MessageHeader.SizeBytes)));
        return $"{tag} {message.Length} bytes {head}";
    }
}
