using BfsCore.Crypto;
using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>A sequence number with a digest: of a checkpoint (C), or of a batch with the view it was last seen in (P, Q).</summary>
public readonly record struct ViewChangeEntry(SeqNum Seq, Digest Digest, View View);

/// <summary>
/// VIEW-CHANGE (§3.2.4): the sender leaves for <see cref="View"/>; what it knows of checkpoints (C), prepared batches (P) and
/// pre-prepared ones (Q).
///
///      0 tag, flags, size   8 view i64   16 h i64   24 replica u16, counts of C, P, Q u16 each
///     32 digest of the payload (32)      64 payload, then n tags
///
/// The payload has C, P and Q one after the other, each entry seq i64, digest (32), view i64 (zero in C), in ascending order
/// of seq. Bytes 8 to 64 identify the message: their SHA-256 is what acknowledgments and the new view name.
///
/// In BFT-PK (§2.3.5) C is the stable checkpoint h alone, nothing while h is zero, there is no Q, and the payload goes on with
/// what proves C and each entry of P (<see cref="Certificate"/>).
/// </summary>
public readonly ref struct ViewChange
{
    public const int HeaderBytes = 64;
    public const int EntryBytes = 48;

    public readonly ReadOnlySpan<byte> Message;

    private ViewChange(ReadOnlySpan<byte> message) => Message = message;

    public View View => new(I64(Message, 8));
    public SeqNum StableCheckpoint => new(I64(Message, 16));
    public ReplicaId Replica => new(U16(Message, 24));
    public int CheckpointCount => U16(Message, 26);
    public int PreparedCount => U16(Message, 28);
    public int PrePreparedCount => U16(Message, 30);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator(MessageFormat format) => Message[^format.AuthenticatorBytes..];

    public ViewChangeEntry Checkpoint(int index) => Entry(index);
    public ViewChangeEntry Prepared(int index) => Entry(CheckpointCount + index);
    public ViewChangeEntry PrePrepared(int index) => Entry(CheckpointCount + PreparedCount + index);

    private ViewChangeEntry Entry(int index)
    {
        int at = HeaderBytes + (index * EntryBytes);
        return new ViewChangeEntry(new SeqNum(I64(Message, at)), MessageHeader.Digest(Message, at + 8), new View(I64(Message, at + 40)));
    }

    /// <summary>What acknowledgments and the new view call this message.</summary>
    public Digest Identity
    {
        get
        {
            Span<byte> digest = stackalloc byte[Digest.SizeBytes];
            Sha256.Hash(Message[8..HeaderBytes], digest);
            return Digest.Read(digest);
        }
    }

    /// <summary>The certificate of the only checkpoint in C; in BFT-PK.</summary>
    public ReadOnlySpan<byte> CheckpointCertificate(MessageFormat format) =>
        Message.Slice(CertificatesAt, Certificate.CheckpointBytes(format));

    /// <summary>The certificate of an entry of P; in BFT-PK.</summary>
    public ReadOnlySpan<byte> PreparedCertificate(int index, MessageFormat format) =>
        Message.Slice(CertificatesAt + (CheckpointCount * Certificate.CheckpointBytes(format)) + (index * Certificate.PreparedBytes(format)),
            Certificate.PreparedBytes(format));

    private int CertificatesAt => HeaderBytes + ((CheckpointCount + PreparedCount + PrePreparedCount) * EntryBytes);

    public static int SizeFor(int checkpoints, int prepared, int prePrepared, MessageFormat format) =>
        HeaderBytes + ((checkpoints + prepared + prePrepared) * EntryBytes) + format.AuthenticatorBytes
        + (format.Signed ? (checkpoints * Certificate.CheckpointBytes(format)) + (prepared * Certificate.PreparedBytes(format)) : 0);

    /// <summary>
    /// Checks the layout and that numbers make sense: C from h on, P and Q inside the log above it, ascending, and at most
    /// f+2 batches per number in Q (pitfalls 18 and 25).
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> message, ClusterConfig config, out ViewChange viewChange)
    {
        viewChange = default;
        MessageFormat format = config.Format;
        if (!Is(message, MessageTag.ViewChange, HeaderBytes))
        {
            return false;
        }
        int size = SizeFor(U16(message, 26), U16(message, 28), U16(message, 30), format);
        if (message.Length != size || !IsNumber(message, 8, 1) || !IsNumber(message, 16, 0) || U16(message, 24) >= format.N)
        {
            return false;
        }
        Span<byte> computed = stackalloc byte[Digest.SizeBytes];
        Sha256.Hash(message[HeaderBytes..^format.AuthenticatorBytes], computed);
        var parsed = new ViewChange(message);
        if (!computed.SequenceEqual(message.Slice(32, Digest.SizeBytes)) || !parsed.EntriesMakeSense(config))
        {
            return false;
        }
        viewChange = parsed;
        return true;
    }

    private bool EntriesMakeSense(ClusterConfig config)
    {
        SeqNum h = StableCheckpoint;
        if (config.Format.Signed && (PrePreparedCount != 0 || CheckpointCount != (h.Value > 0 ? 1 : 0) || (h.Value > 0 && Checkpoint(0).Seq != h)))
        {
            return false;
        }
        SeqNum high = h + config.LogSize;
        SeqNum last = h;
        for (int i = 0; i < CheckpointCount; i++)
        {
            ViewChangeEntry c = Checkpoint(i);
            if (c.Seq < last || (i > 0 && c.Seq == last) || c.Seq > high)
            {
                return false;
            }
            last = c.Seq;
        }
        last = h;
        for (int i = 0; i < PreparedCount; i++)
        {
            ViewChangeEntry p = Prepared(i);
            if (p.Seq <= last || p.Seq > high || p.View.Value < 0 || p.View >= View)
            {
                return false;
            }
            last = p.Seq;
        }
        last = h;
        int same = 0;
        for (int i = 0; i < PrePreparedCount; i++)
        {
            ViewChangeEntry q = PrePrepared(i);
            same = q.Seq == last ? same + 1 : 1;
            if (q.Seq < last || q.Seq <= h || q.Seq > high || q.View.Value < 0 || q.View >= View || same > config.F + 2)
            {
                return false;
            }
            last = q.Seq;
        }
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    /// <param name="certificates">In BFT-PK, of C and P, in the order of their entries.</param>
    public static int Write(Span<byte> buffer, MessageFormat format, View view, SeqNum stable, ReplicaId replica,
        IReadOnlyList<ViewChangeEntry> checkpoints, IReadOnlyList<ViewChangeEntry> prepared,
        IReadOnlyList<ViewChangeEntry> prePrepared, ReadOnlySpan<byte> certificates = default)
    {
        int size = SizeFor(checkpoints.Count, prepared.Count, prePrepared.Count, format);
        MessageHeader.Write(buffer, MessageTag.ViewChange, 0, size);
        I64(buffer, 8, view.Value);
        I64(buffer, 16, stable.Value);
        U16(buffer, 24, replica.Value);
        U16(buffer, 26, checkpoints.Count);
        U16(buffer, 28, prepared.Count);
        U16(buffer, 30, prePrepared.Count);
        int at = WriteEntries(buffer, HeaderBytes, checkpoints);
        at = WriteEntries(buffer, at, prepared);
        at = WriteEntries(buffer, at, prePrepared);
        certificates.CopyTo(buffer[at..]);
        Sha256.Hash(buffer[HeaderBytes..(at + certificates.Length)], buffer[32..]);
        return size;
    }

    internal static int WriteEntries(Span<byte> buffer, int at, IReadOnlyList<ViewChangeEntry> entries)
    {
        foreach (ViewChangeEntry entry in entries)
        {
            I64(buffer, at, entry.Seq.Value);
            entry.Digest.Write(buffer[(at + 8)..]);
            I64(buffer, at + 40, entry.View.Value);
            at += EntryBytes;
        }
        return at;
    }
}

/// <summary>
/// VIEW-CHANGE-ACK (§3.2.4): the sender has an authentic VIEW-CHANGE of <see cref="Subject"/> with this identity. Multicast, so
/// that backups too can accept a message whose own authenticator is wrong for them.
///
///      0 tag, flags, size   8 view i64   16 replica u16, subject u16, zero u32   24 identity (32)   56 n tags
/// </summary>
public readonly ref struct ViewChangeAck
{
    public const int HeaderBytes = 56;

    public readonly ReadOnlySpan<byte> Message;

    private ViewChangeAck(ReadOnlySpan<byte> message) => Message = message;

    public View View => new(I64(Message, 8));
    public ReplicaId Replica => new(U16(Message, 16));
    public ReplicaId Subject => new(U16(Message, 18));
    public Digest Identity => MessageHeader.Digest(Message, 24);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator => Message[HeaderBytes..];

    public static int SizeFor(MessageFormat format) => HeaderBytes + format.AuthenticatorBytes;

    public static bool TryParse(ReadOnlySpan<byte> message, MessageFormat format, out ViewChangeAck ack)
    {
        ack = default;
        if (!Is(message, MessageTag.ViewChangeAck, HeaderBytes) || message.Length != SizeFor(format) || !IsNumber(message, 8, 1)
            || U16(message, 16) >= format.N || U16(message, 18) >= format.N || U32(message, 20) != 0)
        {
            return false;
        }
        ack = new ViewChangeAck(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, MessageFormat format, View view, ReplicaId replica, ReplicaId subject, in Digest identity)
    {
        int size = SizeFor(format);
        MessageHeader.Write(buffer, MessageTag.ViewChangeAck, 0, size);
        I64(buffer, 8, view.Value);
        U16(buffer, 16, replica.Value);
        U16(buffer, 18, subject.Value);
        U32(buffer, 20, 0);
        identity.Write(buffer[24..]);
        return size;
    }
}

/// <summary>
/// NEW-VIEW (§3.2.4): the primary's decision and the view-changes it rests on.
///
///      0 tag, flags, size   8 view i64   16 checkpoint i64   24 digest of the checkpoint (32)
///     56 primary u16, count of V u16, count of X u16, zero u16   64 digest of the payload (32)
///     96 payload, then n tags
///
/// The payload has V, entries of replica i64, identity (32), zero i64; then X for the numbers from the checkpoint's next on
/// without gaps: seq i64, digest of the batch (32; zero: the null batch), zero i64. In BFT-PK then for each number the
/// primary's signature (64) of <see cref="PrePrepareHeader"/>, the pre-prepare that it would send in the new view (O and N of §2.3.5).
/// </summary>
public readonly ref struct NewView
{
    public const int HeaderBytes = 96;

    public readonly ReadOnlySpan<byte> Message;

    private NewView(ReadOnlySpan<byte> message) => Message = message;

    public View View => new(I64(Message, 8));
    public SeqNum Checkpoint => new(I64(Message, 16));
    public Digest CheckpointDigest => MessageHeader.Digest(Message, 24);
    public ReplicaId Primary => new(U16(Message, 56));
    public int ViewChangeCount => U16(Message, 58);
    public int BatchCount => U16(Message, 60);
    public ReadOnlySpan<byte> Header => Message[..HeaderBytes];
    public ReadOnlySpan<byte> Authenticator(MessageFormat format) => Message[^format.AuthenticatorBytes..];

    public (ReplicaId Replica, Digest Identity) ViewChangeAt(int index)
    {
        int at = HeaderBytes + (index * ViewChange.EntryBytes);
        return (new ReplicaId((int)I64(Message, at)), MessageHeader.Digest(Message, at + 8));
    }

    /// <summary>The digest chosen for the number <c>Checkpoint + 1 + index</c>.</summary>
    public Digest BatchAt(int index) =>
        MessageHeader.Digest(Message, HeaderBytes + ((ViewChangeCount + index) * ViewChange.EntryBytes) + 8);

    /// <summary>The primary's pre-prepare of the number <c>Checkpoint + 1 + index</c>: its signature of it; in BFT-PK.</summary>
    public ReadOnlySpan<byte> PrePrepareSignature(int index) => Message.Slice(
        HeaderBytes + ((ViewChangeCount + BatchCount) * ViewChange.EntryBytes) + (index * MessageFormat.SignatureBytes), MessageFormat.SignatureBytes);

    /// <summary>
    /// The header of the pre-prepare by which a new view proposes a batch of an earlier one again, or the null batch: the requests
    /// are known by the digest, and travel apart.
    /// </summary>
    /// <param name="header"><see cref="PrePrepare.HeaderBytes"/> long.</param>
    public static void PrePrepareHeader(Span<byte> header, MessageFormat format, View view, SeqNum seq, in Digest digest) =>
        PrePrepare.WriteHeader(header, format, view, seq, 0, digest, 0, view.Primary(format.N), 0);

    public static int SizeFor(int viewChanges, int batches, MessageFormat format) =>
        HeaderBytes + ((viewChanges + batches) * ViewChange.EntryBytes) + format.AuthenticatorBytes
        + (format.Signed ? batches * MessageFormat.SignatureBytes : 0);

    public static bool TryParse(ReadOnlySpan<byte> message, ClusterConfig config, out NewView newView)
    {
        newView = default;
        MessageFormat format = config.Format;
        if (!Is(message, MessageTag.NewView, HeaderBytes))
        {
            return false;
        }
        int views = U16(message, 58), batches = U16(message, 60);
        if (message.Length != SizeFor(views, batches, format) || !IsNumber(message, 8, 1)
            || !IsNumber(message, 16, 0) || U16(message, 56) >= format.N || U16(message, 62) != 0 || views > format.N || batches > config.LogSize)
        {
            return false;
        }
        Span<byte> computed = stackalloc byte[Digest.SizeBytes];
        Sha256.Hash(message[HeaderBytes..^format.AuthenticatorBytes], computed);
        if (!computed.SequenceEqual(message.Slice(64, Digest.SizeBytes)))
        {
            return false;
        }
        ulong seen = 0;
        for (int i = 0; i < views; i++)
        {
            long replica = I64(message, HeaderBytes + (i * ViewChange.EntryBytes));
            if (replica < 0 || replica >= format.N || (seen & (1UL << (int)replica)) != 0)
            {
                return false;
            }
            seen |= 1UL << (int)replica;
        }
        newView = new NewView(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, MessageFormat format, View view, SeqNum checkpoint, in Digest checkpointDigest, ReplicaId primary,
        IReadOnlyList<ViewChangeEntry> viewChanges, IReadOnlyList<ViewChangeEntry> batches, ReadOnlySpan<byte> prePrepareSignatures = default)
    {
        int size = SizeFor(viewChanges.Count, batches.Count, format);
        MessageHeader.Write(buffer, MessageTag.NewView, 0, size);
        I64(buffer, 8, view.Value);
        I64(buffer, 16, checkpoint.Value);
        checkpointDigest.Write(buffer[24..]);
        U64(buffer, 56, (ulong)primary.Value);
        U16(buffer, 58, viewChanges.Count);
        U16(buffer, 60, batches.Count);
        int at = ViewChange.WriteEntries(buffer, HeaderBytes, viewChanges);
        at = ViewChange.WriteEntries(buffer, at, batches);
        prePrepareSignatures.CopyTo(buffer[at..]);
        Sha256.Hash(buffer[HeaderBytes..(at + prePrepareSignatures.Length)], buffer[64..]);
        return size;
    }
}
