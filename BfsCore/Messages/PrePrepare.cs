using BfsCore.Crypto;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

[Flags]
public enum PrePrepareFlags : ushort
{
    None = 0,

    /// <summary>
    /// Proposed anew in the same view, without requests that too many backups could not authenticate (§3.2.2).
    /// </summary>
    Anew = 1,
}

/// <summary>
/// PRE-PREPARE (§2.3.3, §5.1.4, §5.1.5, Figure 6-1): one sequence number for a batch of requests.
///
///      0 tag, flags, size   8 view i64    16 seq i64    24 agreed time proposed, ns i64
///     32 digest of the batch (32)         64 requestCount u16, primary u16, payloadSize u32
///     72 payload, then n tags
///
/// The payload is one entry per request: u32 length and that many bytes of REQUEST when it is inlined, or u32 zero and
/// client u32, slot u16, zero u16, digest (32) when the client sent it to all replicas itself. The batch's digest covers
/// time and request digests only, so it is the same whichever of them are inlined and in whatever view.
/// The null batch (§2.3.5) has no request, time zero and the zero digest.
/// </summary>
public readonly ref struct PrePrepare
{
    public const int HeaderBytes = 72;
    public const int SeparateEntryBytes = 44;

    public readonly ReadOnlySpan<byte> Message;

    private PrePrepare(ReadOnlySpan<byte> message) => Message = message;

    public PrePrepareFlags Flags => (PrePrepareFlags)U16(Message, 2);
    public View View => new(I64(Message, 8));
    public SeqNum Seq => new(I64(Message, 16));
    public long TimeNanos => I64(Message, 24);
    public Digest Digest => MessageHeader.Digest(Message, 32);
    public int RequestCount => U16(Message, 64);
    public ReplicaId Primary => new(U16(Message, 66));
    public int PayloadBytes => (int)U32(Message, 68);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Payload => Message.Slice(HeaderBytes, PayloadBytes);
    public ReadOnlySpan<byte> Authenticator => Message[(HeaderBytes + PayloadBytes)..];

    public static int SizeFor(int payloadBytes, MessageFormat format) => HeaderBytes + payloadBytes + format.AuthenticatorBytes;

    /// <summary>Checks header and sizes; entries are checked as <see cref="Entries"/> walks them.</summary>
    public static bool TryParse(ReadOnlySpan<byte> message, MessageFormat format, out PrePrepare prePrepare)
    {
        prePrepare = default;
        // With signatures every correct backup can authenticate what the primary can: nothing is proposed anew.
        PrePrepareFlags known = format.Signed ? PrePrepareFlags.None : PrePrepareFlags.Anew;
        if (!Is(message, MessageTag.PrePrepare, HeaderBytes, (ushort)known))
        {
            return false;
        }
        uint payloadBytes = U32(message, 68);
        if (payloadBytes > Limits.MaxMessageBytes || message.Length != SizeFor((int)payloadBytes, format)
            || !IsNumber(message, 8, 0) || !IsNumber(message, 16, 1))
        {
            return false;
        }
        prePrepare = new PrePrepare(message);
        return true;
    }

    /// <summary>Writes the header in front of a payload that is already in place; returns the total size.</summary>
    public static int WriteHeader(Span<byte> buffer, MessageFormat format, View view, SeqNum seq, long timeNanos, in Digest digest,
        int requestCount, ReplicaId primary, int payloadBytes, PrePrepareFlags flags = PrePrepareFlags.None)
    {
        int size = SizeFor(payloadBytes, format);
        MessageHeader.Write(buffer, MessageTag.PrePrepare, (ushort)flags, size);
        I64(buffer, 8, view.Value);
        I64(buffer, 16, seq.Value);
        I64(buffer, 24, timeNanos);
        digest.Write(buffer[32..]);
        U16(buffer, 64, requestCount);
        U16(buffer, 66, primary.Value);
        U32(buffer, 68, (uint)payloadBytes);
        return size;
    }

    /// <summary>Appends an inlined request; returns the payload's new length.</summary>
    public static int AppendInline(Span<byte> payload, int at, ReadOnlySpan<byte> request)
    {
        U32(payload, at, (uint)request.Length);
        request.CopyTo(payload[(at + 4)..]);
        return at + 4 + request.Length;
    }

    /// <summary>Appends a request that travels separately; returns the payload's new length.</summary>
    public static int AppendSeparate(Span<byte> payload, int at, ClientId client, int slot, in Digest digest)
    {
        U32(payload, at, 0);
        U32(payload, at + 4, (uint)client.Value);
        U16(payload, at + 8, slot);
        U16(payload, at + 10, 0);
        digest.Write(payload[(at + 12)..]);
        return at + SeparateEntryBytes;
    }

    public EntryReader Entries(MessageFormat format) => new(Payload, RequestCount, format);

    /// <summary>Walks a payload. After the last entry, <see cref="Complete"/> says whether all of it made sense.</summary>
    public ref struct EntryReader
    {
        private readonly ReadOnlySpan<byte> _payload;
        private readonly MessageFormat _format;
        private int _at;
        private int _left;
        private bool _bad;

        internal EntryReader(ReadOnlySpan<byte> payload, int count, MessageFormat format)
        {
            _payload = payload;
            _format = format;
            _left = count;
        }

        /// <summary>The inlined request's place in the payload; zero length when it travels separately.</summary>
        public int InlineOffset { get; private set; }
        public int InlineBytes { get; private set; }
        public ClientId Client { get; private set; }
        public int Slot { get; private set; }
        public Digest Digest { get; private set; }

        public readonly bool Complete => !_bad && _left == 0 && _at == _payload.Length;

        public bool Next()
        {
            if (_bad || _left == 0)
            {
                return false;
            }
            _left--;
            _bad = !(_payload.Length - _at >= 4 && ReadEntry());
            return !_bad;
        }

        private bool ReadEntry()
        {
            uint length = U32(_payload, _at);
            if (length == 0)
            {
                if (_payload.Length - _at < SeparateEntryBytes || U16(_payload, _at + 10) != 0
                    || U32(_payload, _at + 4) > int.MaxValue)
                {
                    return false;
                }
                Client = new ClientId((int)U32(_payload, _at + 4));
                Slot = U16(_payload, _at + 8);
                Digest = MessageHeader.Digest(_payload, _at + 12);
                InlineOffset = InlineBytes = 0;
                _at += SeparateEntryBytes;
                return true;
            }
            if (length > _payload.Length - _at - 4
                || !Request.TryParse(_payload.Slice(_at + 4, (int)length), _format, out Request request) || request.ReadOnly)
            {
                return false;
            }
            InlineOffset = _at + 4;
            InlineBytes = (int)length;
            Client = request.Client;
            Slot = request.Slot;
            Digest = request.Digest;
            _at += 4 + (int)length;
            return true;
        }
    }

    /// <summary>
    /// The digest of a batch: SHA-256 over proposed time (i64), count (u32) and the requests' digests in order. The scratch
    /// must hold 12 + 32 × count bytes; digests start at 12.
    /// </summary>
    public static Digest BatchDigest(long timeNanos, int count, Span<byte> scratch)
    {
        if (count == 0)
        {
            return default;
        }
        I64(scratch, 0, timeNanos);
        U32(scratch, 8, (uint)count);
        Span<byte> result = stackalloc byte[Digest.SizeBytes];
        Sha256.Hash(scratch[..(12 + (count * Digest.SizeBytes))], result);
        return Digest.Read(result);
    }
}
