using System.Runtime.InteropServices;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>
/// The library's own pages of the replicated state: agreed time, and for every slot of every client its last executed
/// request and the result (§2.3.3, §5.5). Under the Merkle root, so that exactly-once execution survives state transfer
/// and rollback (pitfalls 6 and 26).
///
/// Page 0 holds the header and the last recovery of each replica; then one record of 512 bytes per slot, with short results inside; then one area of 64 KB per
/// slot for long results, which takes no space until used.
/// </summary>
public sealed class ReplyTable
{
    private const int RecordBytes = 512;
    private const int RecordHeaderBytes = 56;
    private const int InlineResultBytes = RecordBytes - RecordHeaderBytes;
    private const int OverflowBytes = 64 * 1024;

    [StructLayout(LayoutKind.Sequential)]
    private struct Record
    {
        public ulong Session;
        public ulong Timestamp;
        public int ResultBytes;
        public int Reserved;
        public Digest ResultDigest;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Header
    {
        public long LastTimeNanos;
    }

    /// <summary>The last recovery of a replica (§4.3.2); part of the state, so that who fetches it knows too (pitfall 41).</summary>
    /// <param name="Counter">Of its recovery request; 0 when there was none.</param>
    /// <param name="Seq">n_R: the batch in which the request was executed.</param>
    /// <param name="Point">H: the checkpoint at which it is recovered.</param>
    /// <param name="TimeNanos">Agreed time of that batch.</param>
    [StructLayout(LayoutKind.Sequential)]
    public readonly record struct Recovery(ulong Counter, long Seq, long Point, long TimeNanos);

    private const int RecoveriesAt = 64;
    private const int RecoveryBytes = 32;

    private readonly StateRegion _region;
    private readonly int _clients;
    private readonly int _slotsPerClient;
    private readonly long _overflowStart;

    public ReplyTable(StateRegion region, ClusterConfig config)
    {
        _region = region;
        _clients = config.Clients.Count;
        _slotsPerClient = config.SlotsPerClient;
        _overflowStart = OverflowStart(config);
        BfsAssert.That(region.SizeBytes >= SizeFor(config));
    }

    /// <summary>Bytes of state that the table takes, whole pages.</summary>
    public static long SizeFor(ClusterConfig config) =>
        OverflowStart(config) + ((long)config.Clients.Count * config.SlotsPerClient * OverflowBytes);

    private static long OverflowStart(ClusterConfig config)
    {
        long end = PagedState.PageBytes + ((long)config.Clients.Count * config.SlotsPerClient * RecordBytes);
        return (end + PagedState.PageBytes - 1) / PagedState.PageBytes * PagedState.PageBytes;
    }

    /// <summary>Agreed time of the last executed batch, nanoseconds.</summary>
    public long LastTimeNanos
    {
        get => _region.Get<Header>(0).LastTimeNanos;
        set => _region.Modify<Header>(0).LastTimeNanos = value;
    }

    public Recovery LastRecovery(ReplicaId replica) => _region.Get<Recovery>(RecoveriesAt + (replica.Value * RecoveryBytes));

    public void StoreRecovery(ReplicaId replica, in Recovery recovery) =>
        _region.Modify<Recovery>(RecoveriesAt + (replica.Value * RecoveryBytes)) = recovery;

    /// <summary>
    /// How a request compares with the slot's last executed one: negative if it is older, zero if it is that one, positive
    /// if it is new. A new session starts over (pitfall 3).
    /// </summary>
    public int Compare(int client, int slot, ulong session, ulong timestamp)
    {
        if (client >= _clients)
        {
            return timestamp.CompareTo(LastRecovery(new ReplicaId(client - _clients)).Counter);
        }
        ref readonly Record record = ref _region.Get<Record>(RecordAt(client, slot));
        int bySession = session.CompareTo(record.Session);
        return bySession != 0 ? bySession : timestamp.CompareTo(record.Timestamp);
    }

    public (ulong Session, ulong Timestamp, Digest ResultDigest) Last(int client, int slot)
    {
        ref readonly Record record = ref _region.Get<Record>(RecordAt(client, slot));
        return (record.Session, record.Timestamp, record.ResultDigest);
    }

    /// <summary>The result of the slot's last executed request.</summary>
    public ReadOnlySpan<byte> Result(int client, int slot)
    {
        long at = RecordAt(client, slot);
        int length = _region.Get<Record>(at).ResultBytes;
        return length <= InlineResultBytes
            ? _region.Read(at + RecordHeaderBytes, length)
            : _region.Read(OverflowAt(client, slot), length);
    }

    /// <summary>Records an executed request and its result.</summary>
    public void Store(int client, int slot, ulong session, ulong timestamp, in Digest resultDigest, ReadOnlySpan<byte> result)
    {
        long at = RecordAt(client, slot);
        ref Record record = ref _region.Modify<Record>(at);
        record.Session = session;
        record.Timestamp = timestamp;
        record.ResultBytes = result.Length;
        record.ResultDigest = resultDigest;
        Span<byte> place = result.Length <= InlineResultBytes
            ? _region.Modify(at + RecordHeaderBytes, result.Length)
            : _region.Modify(OverflowAt(client, slot), result.Length);
        result.CopyTo(place);
    }

    private long RecordAt(int client, int slot) =>
        PagedState.PageBytes + ((((long)client * _slotsPerClient) + slot) * RecordBytes);

    private long OverflowAt(int client, int slot) =>
        _overflowStart + ((((long)client * _slotsPerClient) + slot) * OverflowBytes);
}
