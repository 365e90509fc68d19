using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// NEW-KEY (§4.3.1): session keys that others are to use from now on for messages to the sender, one for each replica,
/// wrapped so that only that replica can read its own. Signed; the counter only grows.
///
///      0 tag, flags, size   8 principal u32 (replica or client), zero u32
///     16 counter u64       24 session u64 (the counter of the principal's first NEW-KEY since it started)
///     32 ephemeral public key (65 bytes, uncompressed P-256 point, 7 zero bytes)
///    104 per replica 32 bytes: encrypted key (16) and its AES-GCM tag (16); then the signature (64)
/// </summary>
public readonly ref struct NewKey
{
    public const int HeaderBytes = 104;
    public const int PublicKeyBytes = 65;
    public const int WrappedKeyBytes = 32;
    public const int SignatureBytes = 64;

    public readonly ReadOnlySpan<byte> Message;

    private NewKey(ReadOnlySpan<byte> message) => Message = message;

    /// <summary>A replica's index or a client's identifier.</summary>
    public int Principal => (int)U32(Message, 8);
    public ulong Counter => U64(Message, 16);
    public ulong Session => U64(Message, 24);
    public ReadOnlySpan<byte> EphemeralPublicKey => Message.Slice(32, PublicKeyBytes);
    public ReadOnlySpan<byte> WrappedKey(ReplicaId replica) =>
        Message.Slice(HeaderBytes + (replica.Value * WrappedKeyBytes), WrappedKeyBytes);
    public ReadOnlySpan<byte> Signed => Message[..^SignatureBytes];
    public ReadOnlySpan<byte> Signature => Message[^SignatureBytes..];

    public static int SizeFor(int n) => HeaderBytes + (n * WrappedKeyBytes) + SignatureBytes;

    public static bool TryParse(ReadOnlySpan<byte> message, int n, out NewKey newKey)
    {
        newKey = default;
        if (!Is(message, MessageTag.NewKey, HeaderBytes) || message.Length != SizeFor(n) || U32(message, 8) > int.MaxValue
            || U32(message, 12) != 0 || message.Slice(32 + PublicKeyBytes, 7).ContainsAnyExcept((byte)0))
        {
            return false;
        }
        newKey = new NewKey(message);
        return true;
    }

    /// <summary>Writes the header; the caller fills wrapped keys and signature. Returns the total size.</summary>
    public static int WriteHeader(Span<byte> buffer, int n, int principal, ulong counter, ulong session,
        ReadOnlySpan<byte> ephemeralPublicKey)
    {
        int size = SizeFor(n);
        buffer[..size].Clear();
        MessageHeader.Write(buffer, MessageTag.NewKey, 0, size);
        U32(buffer, 8, (uint)principal);
        U64(buffer, 16, counter);
        U64(buffer, 24, session);
        ephemeralPublicKey.CopyTo(buffer[32..]);
        return size;
    }
}

/// <summary>
/// KEY-REQUEST: the sender could not authenticate a message, or has no key for messages to the receiver, and asks for
/// its last NEW-KEY. Not authenticated itself: the answer is rate-limited.
///
///      0 tag, flags, size   8 principal u32, zero u32   16 last counter accepted from the receiver u64
///
/// Shorter than any message that it can be an answer to (pitfall 2). Answers to it go to the address in the cluster file,
/// at a limited rate, never to where it came from.
/// </summary>
public readonly ref struct KeyRequest
{
    public const int SizeBytes = 24;

    public readonly ReadOnlySpan<byte> Message;

    private KeyRequest(ReadOnlySpan<byte> message) => Message = message;

    public int Principal => (int)U32(Message, 8);

    /// <summary>What the sender of this message last accepted: the receiver's next counter must be above it (pitfall 4).</summary>
    public ulong LastCounter => U64(Message, 16);

    public static bool TryParse(ReadOnlySpan<byte> message, out KeyRequest request)
    {
        request = default;
        if (!Is(message, MessageTag.KeyRequest, SizeBytes) || message.Length != SizeBytes || U32(message, 8) > int.MaxValue
            || U32(message, 12) != 0)
        {
            return false;
        }
        request = new KeyRequest(message);
        return true;
    }

    /// <summary>Writes the message; returns its size.</summary>
    public static int Write(Span<byte> buffer, int principal, ulong lastCounter)
    {
        buffer[..SizeBytes].Clear();
        MessageHeader.Write(buffer, MessageTag.KeyRequest, 0, SizeBytes);
        U32(buffer, 8, (uint)principal);
        U64(buffer, 16, lastCounter);
        return SizeBytes;
    }
}
