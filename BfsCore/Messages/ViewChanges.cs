using System.Security.Cryptography;
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
    public ReadOnlySpan<byte> Authenticator(int n) => Message[^(n * TagBytes)..];

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
            SHA256.HashData(Message[8..HeaderBytes], digest);
            return Digest.Read(digest);
        }
    }

    public static int SizeFor(int entries, int n) => HeaderBytes + (entries * EntryBytes) + (n * TagBytes);

    /// <summary>
    /// Checks the layout and that numbers make sense: C from h on, P and Q inside the log above it, ascending, and at most
    /// f+2 batches per number in Q (pitfalls 18 and 25).
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> message, ClusterConfig config, out ViewChange viewChange)
    {
        viewChange = default;
        int n = config.N;
        if (!Is(message, MessageTag.ViewChange, HeaderBytes))
        {
            return false;
        }
        int entries = U16(message, 26) + U16(message, 28) + U16(message, 30);
        if (message.Length != SizeFor(entries, n) || !IsNumber(message, 8, 1) || !IsNumber(message, 16, 0) || U16(message, 24) >= n)
        {
            return false;
        }
        Span<byte> computed = stackalloc byte[Digest.SizeBytes];
        SHA256.HashData(message[HeaderBytes..^(n * TagBytes)], computed);
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
    public static int Write(Span<byte> buffer, int n, View view, SeqNum stable, ReplicaId replica,
        IReadOnlyList<ViewChangeEntry> checkpoints, IReadOnlyList<ViewChangeEntry> prepared,
        IReadOnlyList<ViewChangeEntry> prePrepared)
    {
        int entries = checkpoints.Count + prepared.Count + prePrepared.Count;
        int size = SizeFor(entries, n);
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
        SHA256.HashData(buffer[HeaderBytes..at], buffer[32..]);
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

    public static int SizeFor(int n) => HeaderBytes + (n * TagBytes);

    public static bool TryParse(ReadOnlySpan<byte> message, int n, out ViewChangeAck ack)
    {
        ack = default;
        if (!Is(message, MessageTag.ViewChangeAck, HeaderBytes) || message.Length != SizeFor(n) || !IsNumber(message, 8, 1)
            || U16(message, 16) >= n || U16(message, 18) >= n || U32(message, 20) != 0)
        {
            return false;
        }
        ack = new ViewChangeAck(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, int n, View view, ReplicaId replica, ReplicaId subject, in Digest identity)
    {
        int size = SizeFor(n);
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
/// without gaps: seq i64, digest of the batch (32; zero: the null batch), zero i64.
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
    public ReadOnlySpan<byte> Authenticator(int n) => Message[^(n * TagBytes)..];

    public (ReplicaId Replica, Digest Identity) ViewChangeAt(int index)
    {
        int at = HeaderBytes + (index * ViewChange.EntryBytes);
        return (new ReplicaId((int)I64(Message, at)), MessageHeader.Digest(Message, at + 8));
    }

    /// <summary>The digest chosen for the number <c>Checkpoint + 1 + index</c>.</summary>
    public Digest BatchAt(int index) =>
        MessageHeader.Digest(Message, HeaderBytes + ((ViewChangeCount + index) * ViewChange.EntryBytes) + 8);

    public static bool TryParse(ReadOnlySpan<byte> message, ClusterConfig config, out NewView newView)
    {
        newView = default;
        int n = config.N;
        if (!Is(message, MessageTag.NewView, HeaderBytes))
        {
            return false;
        }
        int views = U16(message, 58), batches = U16(message, 60);
        if (message.Length != HeaderBytes + ((views + batches) * ViewChange.EntryBytes) + (n * TagBytes) || !IsNumber(message, 8, 1)
            || !IsNumber(message, 16, 0) || U16(message, 56) >= n || U16(message, 62) != 0 || views > n || batches > config.LogSize)
        {
            return false;
        }
        Span<byte> computed = stackalloc byte[Digest.SizeBytes];
        SHA256.HashData(message[HeaderBytes..^(n * TagBytes)], computed);
        if (!computed.SequenceEqual(message.Slice(64, Digest.SizeBytes)))
        {
            return false;
        }
        ulong seen = 0;
        for (int i = 0; i < views; i++)
        {
            long replica = I64(message, HeaderBytes + (i * ViewChange.EntryBytes));
            if (replica < 0 || replica >= n || (seen & (1UL << (int)replica)) != 0)
            {
                return false;
            }
            seen |= 1UL << (int)replica;
        }
        newView = new NewView(message);
        return true;
    }

    /// <summary>Writes everything but the authenticator; returns the total size.</summary>
    public static int Write(Span<byte> buffer, int n, View view, SeqNum checkpoint, in Digest checkpointDigest, ReplicaId primary,
        IReadOnlyList<ViewChangeEntry> viewChanges, IReadOnlyList<ViewChangeEntry> batches)
    {
        int payload = (viewChanges.Count + batches.Count) * ViewChange.EntryBytes;
        int size = HeaderBytes + payload + (n * TagBytes);
        MessageHeader.Write(buffer, MessageTag.NewView, 0, size);
        I64(buffer, 8, view.Value);
        I64(buffer, 16, checkpoint.Value);
        checkpointDigest.Write(buffer[24..]);
        U64(buffer, 56, (ulong)primary.Value);
        U16(buffer, 58, viewChanges.Count);
        U16(buffer, 60, batches.Count);
        int at = ViewChange.WriteEntries(buffer, HeaderBytes, viewChanges);
        ViewChange.WriteEntries(buffer, at, batches);
        SHA256.HashData(buffer.Slice(HeaderBytes, payload), buffer[64..]);
        return size;
    }
}
