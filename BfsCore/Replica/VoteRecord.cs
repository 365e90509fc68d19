using System.Buffers.Binary;

namespace BfsCore.Replication;

/// <summary>What a record of the vote log says. The numbers are on disk: never change them.</summary>
internal enum VoteRecordKind : byte
{
    /// <summary>First in a generation: the stable checkpoint that it starts from, and the view.</summary>
    Base = 1,

    /// <summary>A batch pre-prepared here; the batch follows.</summary>
    PrePrepared = 2,

    /// <summary>It prepared here.</summary>
    Prepared = 3,

    /// <summary>It committed, and all before it.</summary>
    Committed = 4,

    /// <summary>A checkpoint is stable.</summary>
    Stable = 5,

    /// <summary>This replica left for a view; its VIEW-CHANGE follows, which holds its P and Q.</summary>
    Left = 6,

    /// <summary>It entered the view; the NEW-VIEW and the VIEW-CHANGEs of the others follow.</summary>
    Entered = 7,

    /// <summary>A batch that P or Q names; the batch follows.</summary>
    OldBatch = 8,

    /// <summary>Votes up to this number may be forgotten (zero: not known yet how far); nothing is voted for until it is stable.</summary>
    Silent = 9,

    /// <summary>The end of that.</summary>
    Spoken = 10,

    /// <summary>It went back to this view in a recovery (§4.3.2).</summary>
    Retreated = 11,
}

/// <summary>
/// A record of the vote log:
///
///      0 kind u8, zero (7)   8 seq i64   16 view i64   24 digest (32)   56 parts, each with its length u32
/// </summary>
internal readonly ref struct VoteRecord
{
    public const int HeaderBytes = 56;

    private readonly ReadOnlySpan<byte> _record;

    private VoteRecord(ReadOnlySpan<byte> record) => _record = record;

    public VoteRecordKind Kind => (VoteRecordKind)_record[0];
    public SeqNum Seq => new(BinaryPrimitives.ReadInt64LittleEndian(_record[8..]));
    public View View => new(BinaryPrimitives.ReadInt64LittleEndian(_record[16..]));
    public Digest Digest => Digest.Read(_record[24..]);
    public ReadOnlySpan<byte> Parts => _record[HeaderBytes..];

    public static bool TryParse(ReadOnlySpan<byte> record, out VoteRecord parsed)
    {
        parsed = new VoteRecord(record);
        return record.Length >= HeaderBytes && parsed.Kind is >= VoteRecordKind.Base and <= VoteRecordKind.Retreated
            && parsed.Seq.Value is >= 0 and <= Limits.MaxNumber && parsed.View.Value is >= 0 and <= Limits.MaxNumber;
    }

    /// <summary>Writes the header; the parts follow it.</summary>
    public static void Write(Span<byte> record, VoteRecordKind kind, SeqNum seq, View view, in Digest digest)
    {
        BinaryPrimitives.WriteInt64LittleEndian(record, (long)kind);
        BinaryPrimitives.WriteInt64LittleEndian(record[8..], seq.Value);
        BinaryPrimitives.WriteInt64LittleEndian(record[16..], view.Value);
        digest.Write(record[24..]);
    }
}
