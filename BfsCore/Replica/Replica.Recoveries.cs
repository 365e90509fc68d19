using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>
/// What the others do when a replica recovers (§4.3.2): its request is agreed on like any other; who executes it chooses new keys,
/// so that nothing an attacker learnt at that replica is good above the recovery point; and the primary fills the log with null
/// batches up to there if there is no work.
/// </summary>
public sealed partial class Replica
{
    /// <summary>
    /// A replica's requests are executed no more often than this: each makes everybody choose keys and fill the log. The thesis proposes half
    /// of T_w, but operators recover replicas by hand too.
    /// </summary>
    public const long RecoveryIntervalNanos = 2_000_000_000;

    private readonly ulong[] _recoveriesSeen;
    private readonly long[] _recoverySinceMicros;
    private SeqNum _nullThrough;

    /// <summary>H_R = floor(n_R / K) K + L: no log has anything above it when the request at n_R is executed.</summary>
    private SeqNum RecoveryPoint(SeqNum request) =>
        new((request.Value / _config.CheckpointPeriod * _config.CheckpointPeriod) + _config.LogSize);

    /// <summary>The place of a replica among those who make requests is behind the clients.</summary>
    private bool IsReplica(int requester) => requester >= _config.Clients.Count;

    private ReplicaId ReplicaAt(int requester) => new(requester - _config.Clients.Count);

    /// <summary>The replicas whose recovery takes longer than it may, one bit each (§4.3.3, pitfall 42).</summary>
    public ulong SlowRecoveries
    {
        get
        {
            ulong slow = 0;
            for (int i = 0; i < _n; i++)
            {
                bool outstanding = StateIsWhole && _replies.LastRecovery(new ReplicaId(i)).Point > _stable.Value;
                slow |= outstanding && _now.MonotonicMicros - _recoverySinceMicros[i] > _config.RecoveryAlarmSeconds * 1_000_000L ? 1UL << i : 0;
            }
            return slow;
        }
    }

    /// <summary>Agreed time of a replica's last recovery request, nanoseconds; 0 when there was none (pitfall 42: a watchdog that is slow).</summary>
    public long LastRecoveryNanos(ReplicaId replica) => StateIsWhole ? _replies.LastRecovery(replica).TimeNanos : 0;

    private void OnRecoveryRequest(in Request request, int requester, bool proven)
    {
        ReplicaId replica = ReplicaAt(requester);
        ReplyTable.Recovery last = StateIsWhole ? _replies.LastRecovery(replica) : default;
        if (!proven || request.ReadOnly || !RecoveryRequest.TryParse(request.Operation, out _))
        {
            Drop(proven ? DropReason.Malformed : DropReason.BadSignature);
            return;
        }
        if (request.Timestamp <= last.Counter)
        {
            if (request.Timestamp == last.Counter && replica != Id)
            {
                SendRecoveryReply(replica, last);
            }
            Drop(DropReason.Stale);
            return;
        }
        if (_now.WallNanos - last.TimeNanos < RecoveryIntervalNanos && last.Counter > 0)
        {
            Drop(DropReason.OverBudget);
            return;
        }
        ref StoredRequest? place = ref _pending[requester * _config.SlotsPerClient];
        if (place is { } waiting)
        {
            if (waiting.Timestamp >= request.Timestamp)
            {
                Relay(request, waiting, again: true);
                Drop(DropReason.Duplicate);
                return;
            }
            Forget(ref place);
        }
        place = _pool.Keep(request, requester, authentic: true, proven: true);
        place.ArrivedMicros = _now.MonotonicMicros;
        _queue.Append(place);
        Relay(request, place, again: true);
    }

    /// <summary>Decided from the state and the batch alone, so that every replica decides the same.</summary>
    private void ExecuteRecovery(LogEntry entry, ReplicaId replica, in Request request, long time)
    {
        ReplyTable.Recovery last = _replies.LastRecovery(replica);
        SeqNum point = RecoveryPoint(entry.Seq);
        if (request.Timestamp <= last.Counter || (last.Counter > 0 && time - last.TimeNanos < RecoveryIntervalNanos)
            || !RecoveryRequest.TryParse(request.Operation, out SeqNum bound) || bound > point + (2 * _config.LogSize))
        {
            // A correct replica's H_M is never that high: its log would end below.
            return;
        }
        var recovery = new ReplyTable.Recovery(request.Timestamp, entry.Seq.Value, Last(bound, point).Value, time);
        _replies.StoreRecovery(replica, recovery);
        Counters.RecoveriesExecuted++;
        NoteRecovery(replica, recovery);
        if (replica != Id && !_restoring)
        {
            SendRecoveryReply(replica, recovery);
        }
    }

    private void NoteRecovery(ReplicaId replica, in ReplyTable.Recovery recovery)
    {
        _nullThrough = Last(_nullThrough, new SeqNum(recovery.Point));
        _recoverySinceMicros[replica.Value] = _now.MonotonicMicros;
        if (recovery.Counter > _recoveriesSeen[replica.Value])
        {
            _recoveriesSeen[replica.Value] = recovery.Counter;
            _refreshWanted |= replica != Id && !_restoring;
        }
    }

    /// <summary>State that was fetched reflects recovery requests as if they had been executed (pitfall 41).</summary>
    private void NoteRecoveriesInState()
    {
        for (int i = 0; i < _n; i++)
        {
            ReplyTable.Recovery recovery = _replies.LastRecovery(new ReplicaId(i));
            if (recovery.Counter > _recoveriesSeen[i])
            {
                NoteRecovery(new ReplicaId(i), recovery);
            }
        }
    }

    private void SendRecoveryReply(ReplicaId replica, in ReplyTable.Recovery recovery)
    {
        Span<byte> result = stackalloc byte[sizeof(long)];
        BitConverter.TryWriteBytes(result, recovery.Seq);
        int size = Reply.Write(_message, _format, ReplyFlags.None, _view, 0, recovery.Counter, new ClientId(replica.Value), 0, Id, ContentDigest.Of(result), default, result);
        _keys.AuthenticateTo(replica, _message.AsSpan(0, Reply.HeaderBytes), _message.AsSpan(size - MessageHeader.TagBytes, MessageHeader.TagBytes));
        _network.SendToReplica(replica, _message.AsSpan(0, size));
    }

    /// <summary>As primary with nothing else to do: null batches until the checkpoint at the recovery point can be stable.</summary>
    private void IssueNull()
    {
        _lastIssued = _lastIssued.Next;
        BatchBuilder batch = Begin(_log.GetOrAdd(_lastIssued, _view));
        Send(ref batch, PrePrepareFlags.None);
    }
}
