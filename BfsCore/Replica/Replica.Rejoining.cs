using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// A replica that may have forgotten votes (its log is lost, or a power failure may have taken the end of it; pitfall 33)
/// follows the others and votes for nothing until a checkpoint is stable above everything it can have voted for. The bound is
/// that of §4.3.2: H_M = c_M + L. It never voted in a view below the one that its store remembers.
/// </summary>
public sealed partial class Replica
{
    private const long QueryMicros = 100_000;

    private readonly IStableStore _store;
    private bool _silent;
    private StableEstimate? _estimate;
    private SeqNum _silentThrough;
    private ulong _queryNonce;
    private long _queryDeadlineMicros = long.MaxValue;

    /// <summary>It votes for nothing because it may have forgotten votes.</summary>
    public bool IsSilent => _silent;

    /// <summary>Votes may be forgotten: to be called before <see cref="RestoreLog"/> or <see cref="RestartLog"/>.</summary>
    public void RejoinSilently()
    {
        _silent = true;
        _silentThrough = default;
    }

    private void StartRejoining()
    {
        if (_silent)
        {
            StartEstimating();
        }
    }

    private void StartEstimating()
    {
        Span<byte> nonce = stackalloc byte[8];
        _entropy.Fill(nonce);
        _queryNonce = BitConverter.ToUInt64(nonce);
        _estimate = new StableEstimate(_n, _config.F, Id);
        _queryDeadlineMicros = _now.MonotonicMicros;
    }

    private void RunRejoining()
    {
        if (_now.MonotonicMicros < _queryDeadlineMicros)
        {
            return;
        }
        _queryDeadlineMicros = _now.MonotonicMicros + QueryMicros;
        int size = QueryStable.Write(_message, _format, _queryNonce, Id);
        _keys.Authenticate(_message.AsSpan(0, QueryStable.HeaderBytes), _message.AsSpan(QueryStable.HeaderBytes, size - QueryStable.HeaderBytes));
        _network.MulticastToReplicas(_message.AsSpan(0, size));
    }

    private void OnQueryStable(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!QueryStable.TryParse(message, _format, out QueryStable query))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (!VerifyReplica(query.Replica, query.Header, query.Authenticator, source))
        {
            return;
        }
        (SeqNum checkpoint, SeqNum prepared) = DescribeProgress();
        int size = ReplyStable.Write(_message, query.Nonce, checkpoint, prepared, _view, Id, _silent);
        _keys.AuthenticateTo(query.Replica, _message.AsSpan(0, ReplyStable.HeaderBytes), _message.AsSpan(ReplyStable.HeaderBytes, MessageHeader.TagBytes));
        _network.SendToReplica(query.Replica, _message.AsSpan(0, size));
    }

    /// <summary>The last checkpoint taken of a committed state, and the last number that prepared here.</summary>
    private (SeqNum Checkpoint, SeqNum Prepared) DescribeProgress()
    {
        SeqNum checkpoint = LowWaterMark, prepared = Last(_lastExecuted, LowWaterMark);
        for (int i = 0; i < _pages.CheckpointCount; i++)
        {
            checkpoint = _pages.CheckpointAt(i) <= _lastCommitted ? Last(checkpoint, _pages.CheckpointAt(i)) : checkpoint;
        }
        for (SeqNum seq = prepared.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            prepared = _log.Find(seq) is { Prepared: true } || _sets.HasPrepared(seq) ? seq : prepared;
        }
        return (checkpoint, prepared);
    }

    private void OnReplyStable(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!ReplyStable.TryParse(message, _n, out ReplyStable reply))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (!(_silent || Estimating) || _estimate is null || _queryDeadlineMicros == long.MaxValue || reply.Nonce != _queryNonce || reply.Replica == Id)
        {
            Drop(DropReason.Stale);
            return;
        }
        if (!_keys.VerifyFrom(reply.Replica, reply.Header, reply.Mac))
        {
            Drop(DropReason.BadMac);
            _keys.OnKeyTrouble(reply.Replica.Value, source, _now.MonotonicMicros);
            return;
        }
        _estimate.Add(reply.Replica, reply.Checkpoint, reply.Prepared, reply.View, reply.Silent);
        if (_silent && _estimate.IsPointless)
        {
            if (Estimating)
            {
                OnEstimated(DescribeProgress().Checkpoint);
            }
            EndSilence();
        }
        else if (_estimate.TryFind(out SeqNum checkpoint))
        {
            _queryDeadlineMicros = long.MaxValue;
            if (Estimating)
            {
                OnEstimated(checkpoint);
            }
            if (_silent)
            {
                _silentThrough = Last(checkpoint, LowWaterMark) + _config.LogSize;
                LogMark(VoteRecordKind.Silent, _silentThrough, default);
                EndSilenceIfSafe();
            }
        }
    }

    /// <summary>Called whenever a checkpoint has become stable.</summary>
    private void EndSilenceIfSafe()
    {
        if (_silent && _silentThrough.Value > 0 && _stable >= _silentThrough)
        {
            EndSilence();
        }
    }

    /// <summary>From here on it votes: first for what it has followed in silence, all of it above the bound.</summary>
    private void EndSilence()
    {
        _silent = false;
        _estimate = null;
        _queryDeadlineMicros = long.MaxValue;
        LogMark(VoteRecordKind.Spoken, _stable, default);
        for (SeqNum seq = LowWaterMark.Next; _viewActive && seq <= HighWaterMark; seq = seq.Next)
        {
            if (_log.Find(seq) is { PrePrepared: true } entry && entry.View == _view)
            {
                LogPrePrepared(entry);
                if (!IsPrimary)
                {
                    entry.Prepares.Add(Id, entry.Digest);
                    SendVote(MessageTag.Prepare, entry);
                }
                if (entry.Prepared)
                {
                    LogPrepared(entry);
                    entry.Commits.Add(Id, entry.Digest);
                    SendVote(MessageTag.Commit, entry);
                }
            }
        }
        AnnounceIfHeldBack();
    }
}
