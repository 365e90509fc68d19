using BfsCore;
using BfsCore.Client;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>What a strategy has of the client that it makes lie.</summary>
public sealed class FaultyClient(BftClient client, MessageFormat format, SimRandom random, Tally tally)
{
    public SimRandom Random { get; } = random;

    public void Count(ISendStrategy strategy) => tally.Add($"lies of {strategy.GetType().Name}");

    /// <summary>A request like another, changed, authentic.</summary>
    public byte[] Write(in Request like, ReadOnlySpan<byte> operation, bool readOnly, int slot, ulong timestamp)
    {
        var message = new byte[Request.SizeFor(operation.Length, format)];
        Request.Write(message, format, like.Client, slot, readOnly, like.Session, timestamp, like.Replier,
            like.Flags & RequestFlags.Retransmission, operation);
        client.Seal(message);
        return message;
    }

    /// <summary>Where it takes the primary to be.</summary>
    public int Primary => client.View.Primary(format.N).Value;

    public int Replicas => format.N;

    public bool TryRead(byte[] message, out Request request) => Request.TryParse(message, format, out request);

    public byte[] WithWrongMac(byte[] message, in Request request, int replica)
    {
        var changed = (byte[])message.Clone();
        changed[Request.HeaderBytes + request.OperationBytes + (replica * MessageHeader.TagBytes % format.AuthenticatorBytes)] ^= 1;
        return changed;
    }
}
