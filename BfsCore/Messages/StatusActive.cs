using BfsCore.Crypto;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>
/// STATUS-ACTIVE (§5.2): what the sender has, so that others send again what it lacks.
///
///      0 tag, flags, size   8 view i64   16 h i64 (stable checkpoint)   24 le i64 (last executed)
///     32 replica u16, missingCount u16, zero u32
///     40 digest of the payload (32)
///     72 payload, then n tags
///
/// The payload has one bit per sequence number of the log after <c>le</c> (L/8 bytes) that says whether it prepared at
/// the sender, the same for committed, then the requests that keep it from preparing a batch: client u32, slot u16, what is
/// wrong u16 (0: it lacks the request, 1: it has it and cannot authenticate it, §3.2.2), digest (32) each.
/// </summary>
public readonly ref struct StatusActive
{
    public const int HeaderBytes = 72;
    public const int MissingEntryBytes = 40;
    public const int MaxMissing = 16;

    public readonly ReadOnlySpan<byte> Message;
    private readonly int _bitmapBytes;

    private StatusActive(ReadOnlySpan<byte> message, int bitmapBytes)
    {
        Message = message;
        _bitmapBytes = bitmapBytes;
    }

    public View View => new(I64(Message, 8));
    public SeqNum StableCheckpoint => new(I64(Message, 16));
    public SeqNum LastExecuted => new(I64(Message, 24));
    public ReplicaId Replica => new(U16(Message, 32));
    public int MissingCount => U16(Message, 34);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator => Message[(HeaderBytes + PayloadBytes(_bitmapBytes, MissingCount))..];

    /// <summary>Whether the batch <c>le + 1 + index</c> prepared at the sender.</summary>
    public bool Prepared(int index) => Bit(HeaderBytes, index);

    /// <summary>Whether the batch <c>le + 1 + index</c> committed at the sender.</summary>
    public bool Committed(int index) => Bit(HeaderBytes + _bitmapBytes, index);

    public Digest MissingDigest(int index) => MessageHeader.Digest(Message, MissingAt(index) + 8);
    public ClientId MissingClient(int index) => new((int)U32(Message, MissingAt(index)));
    public int MissingSlot(int index) => U16(Message, MissingAt(index) + 4);

    /// <summary>The sender has the request but cannot authenticate it.</summary>
    public bool IsDoubted(int index) => U16(Message, MissingAt(index) + 6) == 1;

    private int MissingAt(int index) => HeaderBytes + (2 * _bitmapBytes) + (index * MissingEntryBytes);

    private bool Bit(int start, int index) => (Message[start + (index >> 3)] & (1 << (index & 7))) != 0;

    private static int PayloadBytes(int bitmapBytes, int missing) => (2 * bitmapBytes) + (missing * MissingEntryBytes);

    public static int BitmapBytes(int logSize) => (logSize + 7) / 8;

    public static int SizeFor(int logSize, int missing, MessageFormat format) =>
        HeaderBytes + PayloadBytes(BitmapBytes(logSize), missing) + format.AuthenticatorBytes;

    public static bool TryParse(ReadOnlySpan<byte> message, int logSize, MessageFormat format, out StatusActive status)
    {
        status = default;
        if (!Is(message, MessageTag.StatusActive, HeaderBytes) || U16(message, 34) > MaxMissing
            || message.Length != SizeFor(logSize, U16(message, 34), format) || !IsNumber(message, 8, 0) || !IsNumber(message, 16, 0)
            || !IsNumber(message, 24, 0) || U16(message, 32) >= format.N || U32(message, 36) != 0)
        {
            return false;
        }
        Span<byte> computed = stackalloc byte[Digest.SizeBytes];
        Sha256.Hash(message[HeaderBytes..^format.AuthenticatorBytes], computed);
        if (!computed.SequenceEqual(message.Slice(40, Digest.SizeBytes)))
        {
            return false;
        }
        status = new StatusActive(message, BitmapBytes(logSize));
        return true;
    }

    /// <summary>Builds the message in place: clear, set bits, add missing requests, then finish.</summary>
    public ref struct Builder
    {
        private readonly Span<byte> _buffer;
        private readonly int _logSize;
        private readonly MessageFormat _format;
        private int _missing;

        public Builder(Span<byte> buffer, int logSize, MessageFormat format)
        {
            _buffer = buffer;
            _logSize = logSize;
            _format = format;
            buffer[..SizeFor(logSize, MaxMissing, format)].Clear();
        }

        public readonly void SetPrepared(int index) => _buffer[HeaderBytes + (index >> 3)] |= (byte)(1 << (index & 7));

        public readonly void SetCommitted(int index) =>
            _buffer[HeaderBytes + BitmapBytes(_logSize) + (index >> 3)] |= (byte)(1 << (index & 7));

        public void AddMissing(ClientId client, int slot, in Digest digest, bool doubted = false)
        {
            if (_missing == MaxMissing)
            {
                return;
            }
            int at = HeaderBytes + (2 * BitmapBytes(_logSize)) + (_missing++ * MissingEntryBytes);
            U32(_buffer, at, (uint)client.Value);
            U16(_buffer, at + 4, slot);
            U16(_buffer, at + 6, doubted ? 1 : 0);
            digest.Write(_buffer[(at + 8)..]);
        }

        /// <summary>Writes the header; returns the total size.</summary>
        public readonly int Finish(View view, SeqNum stable, SeqNum lastExecuted, ReplicaId replica)
        {
            int size = SizeFor(_logSize, _missing, _format);
            MessageHeader.Write(_buffer, MessageTag.StatusActive, 0, size);
            I64(_buffer, 8, view.Value);
            I64(_buffer, 16, stable.Value);
            I64(_buffer, 24, lastExecuted.Value);
            U16(_buffer, 32, replica.Value);
            U16(_buffer, 34, _missing);
            Sha256.Hash(_buffer[HeaderBytes..(size - _format.AuthenticatorBytes)], _buffer[40..]);
            return size;
        }
    }
}
