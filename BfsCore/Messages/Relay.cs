using BfsCore.Crypto;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// RELAY: a backup passes on to the primary a request that it could authenticate (§2.3.2). Authenticated by the backup, so that
/// no flood in a client's name can keep the primary from looking at it.
///
///      0 tag, flags, size   8 replica u16, zero u16, requestSize u32
///     16 digest of the request message (32)
///     48 the REQUEST, then one MAC
/// </summary>
public readonly ref struct Relay
{
    public const int HeaderBytes = 48;

    public readonly ReadOnlySpan<byte> Message;

    private Relay(ReadOnlySpan<byte> message) => Message = message;

    public ReplicaId Replica => new(U16(Message, 8));
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Request => Message[HeaderBytes..^TagBytes];
    public ReadOnlySpan<byte> Mac => Message[^TagBytes..];

    public static int SizeFor(int requestBytes) => HeaderBytes + requestBytes + TagBytes;

    /// <summary>Checks the layout; the digest is to be checked once the MAC is.</summary>
    public static bool TryParse(ReadOnlySpan<byte> message, int n, out Relay relay)
    {
        relay = default;
        if (!Is(message, MessageTag.Relay, HeaderBytes + TagBytes) || U16(message, 8) >= n || U16(message, 10) != 0
            || U32(message, 12) != message.Length - HeaderBytes - TagBytes)
        {
            return false;
        }
        relay = new Relay(message);
        return true;
    }

    /// <summary>Whether the digest in the header is that of the request message.</summary>
    public bool DigestIsRight()
    {
        Span<byte> computed = stackalloc byte[Digest.SizeBytes];
        Sha256.Hash(Request, computed);
        return computed.SequenceEqual(Message.Slice(16, Digest.SizeBytes));
    }

    /// <summary>Writes everything but the MAC; returns the total size.</summary>
    public static int Write(Span<byte> buffer, ReplicaId replica, ReadOnlySpan<byte> request)
    {
        int size = SizeFor(request.Length);
        Span<byte> m = buffer[..size];
        m[..HeaderBytes].Clear();
        MessageHeader.Write(m, MessageTag.Relay, 0, size);
        U16(m, 8, replica.Value);
        U32(m, 12, (uint)request.Length);
        Sha256.Hash(request, m.Slice(16, Digest.SizeBytes));
        request.CopyTo(m[HeaderBytes..]);
        return size;
    }
}
