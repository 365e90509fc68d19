using System.Buffers.Binary;
using BfsCore.Replication;

namespace BfsCore.Hosting;

/// <summary>What a replica is doing, in one word.</summary>
public enum ReplicaActivity : byte
{
    /// <summary>Takes part in the protocol.</summary>
    Active = 1,

    /// <summary>Fetches state from others before it can go on (§5.3.2).</summary>
    Fetching = 2,

    /// <summary>Its state is damaged, or a quorum has another one at the same number: it waits for a checkpoint to repair it by.</summary>
    Diverged = 3,
}

/// <summary>What a replica says about itself. Nobody vouches for it: it is for people, not for the protocol.</summary>
public readonly record struct MonitorAnswer
{
    public int Id { get; init; }
    public int Pid { get; init; }
    public ReplicaActivity Activity { get; init; }
    public bool IsPrimary { get; init; }
    public long View { get; init; }
    public long LastExecuted { get; init; }
    public long LastCommitted { get; init; }
    public long StableCheckpoint { get; init; }
    public Digest StableDigest { get; init; }

    /// <summary>Operations executed since the start, ordered and read-only ones.</summary>
    public long RequestsExecuted { get; init; }
    public long UptimeMicros { get; init; }

    /// <summary>One bit for each replica that it has not heard from lately.</summary>
    public ulong MissingPeers { get; init; }

    /// <summary>The checkpoint that it fetches; zero when it does not.</summary>
    public long TransferTarget { get; init; }

    /// <summary>Pages of that checkpoint fetched so far.</summary>
    public long TransferPages { get; init; }

    /// <summary>Pages of it that are known to be missing.</summary>
    public long TransferMissing { get; init; }

    /// <summary>Parts of the state not looked into yet; only when there are none, <see cref="TransferMissing"/> is all.</summary>
    public int TransferUnknown { get; init; }

    /// <summary>It has left its view and not yet entered <see cref="View"/>.</summary>
    public bool ViewChanging { get; init; }

    /// <summary>How often it left a view since its start.</summary>
    public long ViewChanges { get; init; }

    /// <summary>Of the view change under way or the last one; meaningless when <see cref="ViewChanges"/> is zero.</summary>
    public ViewChangeReason ViewChangeReason { get; init; }
    public long ViewChangeFrom { get; init; }
    public long ViewChangeTo { get; init; }

    /// <summary>How long ago it left the view <see cref="ViewChangeFrom"/>.</summary>
    public long ViewChangeAgoMicros { get; init; }

    /// <summary>Replicas whose datagrams it drops for a test, one bit each.</summary>
    public ulong CutFrom { get; init; }

    /// <summary>Replicas that it sends nothing to for a test, one bit each.</summary>
    public ulong CutTo { get; init; }

    /// <summary>How long it took part in no view then; while the change is under way, so far.</summary>
    public long ViewChangeTookMicros { get; init; }

    /// <summary>Pages in use whose digests the start computed, and those compared in the background since (§5.3.3).</summary>
    public long PagesChecked { get; init; }
    public long PagesScrubbed { get; init; }

    /// <summary>Pages found damaged in memory since the start.</summary>
    public long PagesDamaged { get; init; }

    /// <summary>Pages fetched from others since the start, because they were old or damaged.</summary>
    public long PagesFetched { get; init; }

    /// <summary>The files on disk were damaged when it started.</summary>
    public bool FilesWereDamaged { get; init; }

    /// <summary>The recovery that it was started for (§4.3.2).</summary>
    public RecoveryReport Recovery { get; init; }

    /// <summary>That recovery takes longer than it should (pitfall 42).</summary>
    public bool RecoveryAlarm { get; init; }

    /// <summary>One bit for each replica whose recovery takes longer than it should, as this one sees it (§4.3.3).</summary>
    public ulong SlowRecoveries { get; init; }
}

/// <summary>
/// Questions to a replica by whoever can reach its port, without authentication: answered by the process around the
/// engine. A query is padded so that the answer is never the larger one, and the answer repeats its nonce, so that an
/// attacker who cannot see the query cannot answer it.
///
/// All start like every message: tag u16, kind u16 (1 query, 2 answer, 3 cut), total size u32; then nonce u64. A cut, which
/// only a replica that was started for tests obeys, goes on: from u64, to u64; it is answered like a query. The answer goes on: id i32, pid i32, activity u8, isPrimary u8, viewChanging u8, viewChangeReason u8, transferUnknown i32, view i64,
/// lastExecuted i64, lastCommitted i64, stableCheckpoint i64, stableDigest (32), requestsExecuted i64, uptimeMicros i64,
/// missingPeers u64, transferTarget i64, transferPages i64, transferMissing i64, viewChanges i64, viewChangeFrom i64,
/// viewChangeTo i64, viewChangeAgoMicros i64, viewChangeTookMicros i64, cutFrom u64, cutTo u64, pagesChecked i64,
/// pagesScrubbed i64, pagesDamaged i64, pagesFetched i64, filesWereDamaged u64, recoveryPhase u8, recoveryAlarm u8,
/// zero u16, zero u32, bound i64, requestSeq i64, point i64, viewBefore i64, viewAfter i64, and the microseconds of
/// estimation, request, and check and fetch, i64 each; slowRecoveries u64.
/// </summary>
public static class MonitorProtocol
{
    /// <summary>Above the tags of the protocol's own messages.</summary>
    public const ushort Tag = 0x7ffd;

    public const int QueryBytes = 336;
    public const int AnswerBytes = 320;

    private const int RecoveryAt = 240;
    private const ushort Query = 1;
    private const ushort Answer = 2;
    private const ushort Cut = 3;

    public static bool IsMonitor(ReadOnlySpan<byte> message) =>
        message.Length >= 2 && BinaryPrimitives.ReadUInt16LittleEndian(message) == Tag;

    /// <summary>Writes <see cref="QueryBytes"/>.</summary>
    public static void WriteQuery(Span<byte> message, ulong nonce)
    {
        message[..QueryBytes].Clear();
        WriteHeader(message, Query, QueryBytes, nonce);
    }

    public static bool TryReadQuery(ReadOnlySpan<byte> message, out ulong nonce) =>
        TryReadHeader(message, Query, QueryBytes, out nonce);

    /// <summary>Writes <see cref="QueryBytes"/>: which links the replica is to cut, as <see cref="Net.UdpTransport.CutLinks"/> says.</summary>
    public static void WriteCut(Span<byte> message, ulong nonce, ulong from, ulong to)
    {
        message[..QueryBytes].Clear();
        WriteHeader(message, Cut, QueryBytes, nonce);
        BinaryPrimitives.WriteUInt64LittleEndian(message[16..], from);
        BinaryPrimitives.WriteUInt64LittleEndian(message[24..], to);
    }

    public static bool TryReadCut(ReadOnlySpan<byte> message, out ulong nonce, out ulong from, out ulong to)
    {
        bool read = TryReadHeader(message, Cut, QueryBytes, out nonce);
        from = read ? BinaryPrimitives.ReadUInt64LittleEndian(message[16..]) : 0;
        to = read ? BinaryPrimitives.ReadUInt64LittleEndian(message[24..]) : 0;
        return read;
    }

    /// <summary>Writes <see cref="AnswerBytes"/>.</summary>
    public static void WriteAnswer(Span<byte> message, ulong nonce, in MonitorAnswer answer)
    {
        message[..AnswerBytes].Clear();
        WriteHeader(message, Answer, AnswerBytes, nonce);
        BinaryPrimitives.WriteInt32LittleEndian(message[16..], answer.Id);
        BinaryPrimitives.WriteInt32LittleEndian(message[20..], answer.Pid);
        message[24] = (byte)answer.Activity;
        message[25] = answer.IsPrimary ? (byte)1 : (byte)0;
        message[26] = answer.ViewChanging ? (byte)1 : (byte)0;
        message[27] = (byte)answer.ViewChangeReason;
        BinaryPrimitives.WriteInt32LittleEndian(message[28..], answer.TransferUnknown);
        BinaryPrimitives.WriteInt64LittleEndian(message[32..], answer.View);
        BinaryPrimitives.WriteInt64LittleEndian(message[40..], answer.LastExecuted);
        BinaryPrimitives.WriteInt64LittleEndian(message[48..], answer.LastCommitted);
        BinaryPrimitives.WriteInt64LittleEndian(message[56..], answer.StableCheckpoint);
        answer.StableDigest.Write(message[64..]);
        BinaryPrimitives.WriteInt64LittleEndian(message[96..], answer.RequestsExecuted);
        BinaryPrimitives.WriteInt64LittleEndian(message[104..], answer.UptimeMicros);
        BinaryPrimitives.WriteUInt64LittleEndian(message[112..], answer.MissingPeers);
        BinaryPrimitives.WriteInt64LittleEndian(message[120..], answer.TransferTarget);
        BinaryPrimitives.WriteInt64LittleEndian(message[128..], answer.TransferPages);
        BinaryPrimitives.WriteInt64LittleEndian(message[136..], answer.TransferMissing);
        BinaryPrimitives.WriteInt64LittleEndian(message[144..], answer.ViewChanges);
        BinaryPrimitives.WriteInt64LittleEndian(message[152..], answer.ViewChangeFrom);
        BinaryPrimitives.WriteInt64LittleEndian(message[160..], answer.ViewChangeTo);
        BinaryPrimitives.WriteInt64LittleEndian(message[168..], answer.ViewChangeAgoMicros);
        BinaryPrimitives.WriteInt64LittleEndian(message[176..], answer.ViewChangeTookMicros);
        BinaryPrimitives.WriteUInt64LittleEndian(message[184..], answer.CutFrom);
        BinaryPrimitives.WriteUInt64LittleEndian(message[192..], answer.CutTo);
        BinaryPrimitives.WriteInt64LittleEndian(message[200..], answer.PagesChecked);
        BinaryPrimitives.WriteInt64LittleEndian(message[208..], answer.PagesScrubbed);
        BinaryPrimitives.WriteInt64LittleEndian(message[216..], answer.PagesDamaged);
        BinaryPrimitives.WriteInt64LittleEndian(message[224..], answer.PagesFetched);
        BinaryPrimitives.WriteUInt64LittleEndian(message[232..], answer.FilesWereDamaged ? 1u : 0u);
        WriteRecovery(message[RecoveryAt..], answer);
    }

    /// <summary>Reads the answer to the query with that nonce. Any bytes are allowed.</summary>
    public static bool TryReadAnswer(ReadOnlySpan<byte> message, ulong expectedNonce, out MonitorAnswer answer)
    {
        answer = default;
        if (!TryReadHeader(message, Answer, AnswerBytes, out ulong nonce) || nonce != expectedNonce)
        {
            return false;
        }
        answer = new MonitorAnswer
        {
            Id = BinaryPrimitives.ReadInt32LittleEndian(message[16..]),
            Pid = BinaryPrimitives.ReadInt32LittleEndian(message[20..]),
            Activity = (ReplicaActivity)message[24],
            IsPrimary = message[25] != 0,
            View = BinaryPrimitives.ReadInt64LittleEndian(message[32..]),
            LastExecuted = BinaryPrimitives.ReadInt64LittleEndian(message[40..]),
            LastCommitted = BinaryPrimitives.ReadInt64LittleEndian(message[48..]),
            StableCheckpoint = BinaryPrimitives.ReadInt64LittleEndian(message[56..]),
            StableDigest = Digest.Read(message[64..]),
            RequestsExecuted = BinaryPrimitives.ReadInt64LittleEndian(message[96..]),
            UptimeMicros = BinaryPrimitives.ReadInt64LittleEndian(message[104..]),
            MissingPeers = BinaryPrimitives.ReadUInt64LittleEndian(message[112..]),
            TransferTarget = BinaryPrimitives.ReadInt64LittleEndian(message[120..]),
            TransferPages = BinaryPrimitives.ReadInt64LittleEndian(message[128..]),
            TransferMissing = BinaryPrimitives.ReadInt64LittleEndian(message[136..]),
            ViewChanges = BinaryPrimitives.ReadInt64LittleEndian(message[144..]),
            ViewChangeFrom = BinaryPrimitives.ReadInt64LittleEndian(message[152..]),
            ViewChangeTo = BinaryPrimitives.ReadInt64LittleEndian(message[160..]),
            ViewChangeAgoMicros = BinaryPrimitives.ReadInt64LittleEndian(message[168..]),
            ViewChangeTookMicros = BinaryPrimitives.ReadInt64LittleEndian(message[176..]),
            CutFrom = BinaryPrimitives.ReadUInt64LittleEndian(message[184..]),
            CutTo = BinaryPrimitives.ReadUInt64LittleEndian(message[192..]),
            PagesChecked = BinaryPrimitives.ReadInt64LittleEndian(message[200..]),
            PagesScrubbed = BinaryPrimitives.ReadInt64LittleEndian(message[208..]),
            PagesDamaged = BinaryPrimitives.ReadInt64LittleEndian(message[216..]),
            PagesFetched = BinaryPrimitives.ReadInt64LittleEndian(message[224..]),
            FilesWereDamaged = BinaryPrimitives.ReadUInt64LittleEndian(message[232..]) != 0,
            TransferUnknown = BinaryPrimitives.ReadInt32LittleEndian(message[28..]),
            ViewChanging = message[26] != 0,
            ViewChangeReason = (ViewChangeReason)message[27],
            Recovery = ReadRecovery(message[RecoveryAt..]),
            RecoveryAlarm = message[RecoveryAt + 1] != 0,
            SlowRecoveries = BinaryPrimitives.ReadUInt64LittleEndian(message[(RecoveryAt + 72)..]),
        };
        return true;
    }

    private static void WriteRecovery(Span<byte> part, in MonitorAnswer answer)
    {
        RecoveryReport report = answer.Recovery;
        part[0] = (byte)report.Phase;
        part[1] = answer.RecoveryAlarm ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt64LittleEndian(part[8..], report.Bound.Value);
        BinaryPrimitives.WriteInt64LittleEndian(part[16..], report.RequestSeq.Value);
        BinaryPrimitives.WriteInt64LittleEndian(part[24..], report.Point.Value);
        BinaryPrimitives.WriteInt64LittleEndian(part[32..], report.ViewBefore.Value);
        BinaryPrimitives.WriteInt64LittleEndian(part[40..], report.ViewAfter.Value);
        BinaryPrimitives.WriteInt64LittleEndian(part[48..], report.EstimationMicros);
        BinaryPrimitives.WriteInt64LittleEndian(part[56..], report.RequestMicros);
        BinaryPrimitives.WriteInt64LittleEndian(part[64..], report.CheckAndFetchMicros);
        BinaryPrimitives.WriteUInt64LittleEndian(part[72..], answer.SlowRecoveries);
    }

    private static RecoveryReport ReadRecovery(ReadOnlySpan<byte> part) => new((RecoveryPhase)part[0],
        new SeqNum(BinaryPrimitives.ReadInt64LittleEndian(part[8..])),
        new SeqNum(BinaryPrimitives.ReadInt64LittleEndian(part[16..])),
        new SeqNum(BinaryPrimitives.ReadInt64LittleEndian(part[24..])),
        new View(BinaryPrimitives.ReadInt64LittleEndian(part[32..])),
        new View(BinaryPrimitives.ReadInt64LittleEndian(part[40..])),
        BinaryPrimitives.ReadInt64LittleEndian(part[48..]),
        BinaryPrimitives.ReadInt64LittleEndian(part[56..]),
        BinaryPrimitives.ReadInt64LittleEndian(part[64..]));

    private static void WriteHeader(Span<byte> message, ushort kind, int size, ulong nonce)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(message, Tag);
        BinaryPrimitives.WriteUInt16LittleEndian(message[2..], kind);
        BinaryPrimitives.WriteInt32LittleEndian(message[4..], size);
        BinaryPrimitives.WriteUInt64LittleEndian(message[8..], nonce);
    }

    private static bool TryReadHeader(ReadOnlySpan<byte> message, ushort kind, int size, out ulong nonce)
    {
        nonce = 0;
        if (message.Length != size || !IsMonitor(message) || BinaryPrimitives.ReadUInt16LittleEndian(message[2..]) != kind
            || BinaryPrimitives.ReadInt32LittleEndian(message[4..]) != size)
        {
            return false;
        }
        nonce = BinaryPrimitives.ReadUInt64LittleEndian(message[8..]);
        return true;
    }
}
