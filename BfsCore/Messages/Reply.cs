using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

[Flags]
public enum ReplyFlags : ushort
{
    None = 0,

    /// <summary>The batch had prepared, not committed, when it was executed (§5.1.2); or the last batch of the state that was read.</summary>
    Tentative = 1,

    /// <summary>Only the digest of the result (§5.1.1).</summary>
    DigestOnly = 2,

    /// <summary>
    /// The request's timestamp is below the slot's last one: the reply carries that last session and timestamp instead of
    /// a result (pitfall 4).
    /// </summary>
    Stale = 4,

    /// <summary>
    /// Not a reply: the replica cannot authenticate the request, or suspects its client, and wants a signature. The digest
    /// is the request's.
    /// </summary>
    MustSign = 8,
}

/// <summary>
/// REPLY (§2.3.2, Figure 6-1). The digest is the <see cref="State.ContentDigest"/> of the result.
///
///      0 tag, flags, size   8 view i64    16 session u64    24 timestamp u64
///     32 client u32, slot u16, replica u16
///     40 digest of the result (32)        72 resultSize u32, zero u32
///     80 state i64: of a read-only execution, the last batch that the state reflects; else 0
///     88 result, unless DigestOnly, Stale or MustSign; then one MAC, or in BFT-PK a signature
/// </summary>
public readonly ref struct Reply
{
    public const int HeaderBytes = 88;
    private const ushort KnownFlags = (ushort)(ReplyFlags.Tentative | ReplyFlags.DigestOnly | ReplyFlags.Stale | ReplyFlags.MustSign);
    private const ReplyFlags WithoutResult = ReplyFlags.DigestOnly | ReplyFlags.Stale | ReplyFlags.MustSign;

    public readonly ReadOnlySpan<byte> Message;
    private readonly int _proofBytes;

    private Reply(ReadOnlySpan<byte> message, int proofBytes)
    {
        Message = message;
        _proofBytes = proofBytes;
    }

    public ReplyFlags Flags => (ReplyFlags)U16(Message, 2);
    public View View => new(I64(Message, 8));
    public ulong Session => U64(Message, 16);
    public ulong Timestamp => U64(Message, 24);
    public ClientId Client => new((int)U32(Message, 32));
    public int Slot => U16(Message, 36);
    public ReplicaId Replica => new(U16(Message, 38));
    public Digest Digest => MessageHeader.Digest(Message, 40);

    /// <summary>Of a read-only execution, the last batch that the state reflects; else 0.</summary>
    public SeqNum State => new(I64(Message, 80));
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public bool HasResult => (Flags & WithoutResult) == 0;
    public ReadOnlySpan<byte> Result => Message[HeaderBytes..^_proofBytes];

    /// <summary>The MAC or signature of the header.</summary>
    public ReadOnlySpan<byte> Proof => Message[^_proofBytes..];

    public static bool TryParse(ReadOnlySpan<byte> message, MessageFormat format, out Reply reply)
    {
        reply = default;
        if (!Is(message, MessageTag.Reply, HeaderBytes + format.ReplyProofBytes, KnownFlags))
        {
            return false;
        }
        int carried = message.Length - HeaderBytes - format.ReplyProofBytes;
        bool withResult = ((ReplyFlags)U16(message, 2) & WithoutResult) == 0;
        if (carried > Limits.MaxResultBytes || U32(message, 76) != 0 || U32(message, 32) > int.MaxValue
            || !IsNumber(message, 8, 0) || !IsNumber(message, 80, 0) || (withResult ? U32(message, 72) != carried : carried != 0))
        {
            return false;
        }
        reply = new Reply(message, format.ReplyProofBytes);
        return true;
    }

    /// <summary>Writes everything but the MAC or signature; returns the total size.</summary>
    public static int Write(Span<byte> buffer, MessageFormat format, ReplyFlags flags, View view, ulong session, ulong timestamp, ClientId client,
        int slot, ReplicaId replica, in Digest digest, SeqNum state, ReadOnlySpan<byte> result)
    {
        bool withResult = (flags & WithoutResult) == 0;
        int size = HeaderBytes + (withResult ? result.Length : 0) + format.ReplyProofBytes;
        Span<byte> m = buffer[..size];
        MessageHeader.Write(m, MessageTag.Reply, (ushort)flags, size);
        I64(m, 8, view.Value);
        U64(m, 16, session);
        U64(m, 24, timestamp);
        U32(m, 32, (uint)client.Value);
        U16(m, 36, slot);
        U16(m, 38, replica.Value);
        digest.Write(m[40..]);
        U64(m, 72, (uint)result.Length);
        I64(m, 80, state.Value);
        if (withResult)
        {
            result.CopyTo(m[HeaderBytes..]);
        }
        return size;
    }
}
