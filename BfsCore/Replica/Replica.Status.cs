using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Retransmission driven by the receiver (§5.2): a replica that makes no progress says what it has; the others send again
/// what they sent before and it lacks, authenticated with present keys.
/// </summary>
public sealed partial class Replica
{
    private const long FirstStatusMicros = 20_000;
    private const long LongestStatusMicros = 320_000;
    private const long IdleStatusMicros = 1_000_000;

    /// <summary>Most batches sent again in answer to one status message: bounds what a liar can make us send.</summary>
    private const int MaxBatchesPerAnswer = 32;

    private long _statusDeadlineMicros;
    private long _statusIntervalMicros = FirstStatusMicros;
    private SeqNum _committedAtLastStatus;
    private SeqNum _stableAtLastStatus;
    private long _lastStatusMicros;

    private void ResetStatusTimer()
    {
        _statusIntervalMicros = FirstStatusMicros;
        _statusDeadlineMicros = _now.MonotonicMicros + FirstStatusMicros;
    }

    private void RunStatusTimer()
    {
        long now = _now.MonotonicMicros;
        if (now < _statusDeadlineMicros)
        {
            return;
        }
        _keys.RequestMissingKeys(now);
        ConsiderStateTransfer(stuck: false);
        bool progress = _lastCommitted > _committedAtLastStatus || _stable > _stableAtLastStatus;
        _committedAtLastStatus = _lastCommitted;
        _stableAtLastStatus = _stable;
        if (progress)
        {
            _statusIntervalMicros = FirstStatusMicros;
        }
        else if (!_viewActive)
        {
            ConsiderStateTransfer(stuck: true);
            SendStatusPending();
            SendStatus();
            SendOwnViewChange();
            if (_format.Signed)
            {
                AnnounceIfHeldBack();
            }
            _statusIntervalMicros = Math.Min(_statusIntervalMicros * 2, LongestStatusMicros);
        }
        else if (SomethingIsOutstanding())
        {
            if (_wanted.Count > 0)
            {
                SendStatusPending();
            }
            ConsiderStateTransfer(stuck: _statusIntervalMicros == LongestStatusMicros);
            SendStatus();
            RelayFirst();
            _statusIntervalMicros = Math.Min(_statusIntervalMicros * 2, LongestStatusMicros);
        }
        else if (now - _lastStatusMicros >= IdleStatusMicros)
        {
            SendStatus();
        }
        _statusDeadlineMicros = now + _statusIntervalMicros;
    }

    /// <summary>Whether this replica waits for anything that others may have to send again.</summary>
    private bool SomethingIsOutstanding()
    {
        if (_lastCommitted < _nullThrough || _queue.Count > 0 || _suspects.Count > 0 || _wanted.Count > 0 || _lastCommitted < _lastExecuted || !StateIsWhole)
        {
            return true;
        }
        if (_checkpoints.TryFindAhead(_lastCommitted, _config.WeakQuorum, out _, out _))
        {
            return true;
        }
        LogEntry? next = _log.Find(_lastCommitted.Next);
        return (next is not null && (next.HasPrePrepare || next.Prepares.Any || next.Commits.Any))
            || _lastIssued > _lastCommitted || _pages.LastCheckpoint > _stable;
    }

    /// <summary>
    /// What the others are told: a replica whose state is in doubt, or that cannot prove its stable checkpoint, wants to hear of
    /// every checkpoint.
    /// </summary>
    private SeqNum StableForOthers => Diverged || !CanProveStable ? default : _stable;

    private void SendStatus()
    {
        var builder = new StatusActive.Builder(_message, _config.LogSize, _format);
        for (int i = 0; i < _config.LogSize; i++)
        {
            if (_log.Find(_lastCommitted + 1 + i) is not { } entry || entry.View != _view)
            {
                continue;
            }
            if (entry.Prepared)
            {
                builder.SetPrepared(i);
            }
            if (entry.Committed)
            {
                builder.SetCommitted(i);
            }
            if (entry.HasPrePrepare && !entry.PrePrepared)
            {
                AddMissing(ref builder, entry);
            }
        }
        // A batch executed tentatively still waits for commits: "executed" is what has committed.
        int size = builder.Finish(_view, StableForOthers, _lastCommitted, Id);
        _keys.Authenticate(_message.AsSpan(0, StatusActive.HeaderBytes), _message.AsSpan(size - _format.AuthenticatorBytes,
            _format.AuthenticatorBytes));
        _network.MulticastToReplicas(_message.AsSpan(0, size));
        _lastStatusMicros = _now.MonotonicMicros;
        Counters.StatusSent++;
    }

    private void AddMissing(ref StatusActive.Builder builder, LogEntry entry)
    {
        for (int j = 0; j < entry.ItemCount; j++)
        {
            ref BatchItem item = ref entry.Items[j];
            if (!item.Present || !item.Authentic)
            {
                builder.AddMissing(_config.RequesterAt(item.ClientIndex), item.Slot, item.Digest, doubted: item.Present);
            }
        }
    }

    private void OnStatusActive(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!StatusActive.TryParse(message, _config.LogSize, _format, out StatusActive status))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (!VerifyReplica(status.Replica, status.Header, status.Authenticator, source))
        {
            return;
        }
        SendCheckpointsAgain(status.Replica, status.StableCheckpoint);
        if (status.View < _view)
        {
            HelpIntoView(status.Replica);
        }
        if (status.View != _view || !_viewActive)
        {
            SendCommittedAgain(status);
            return;
        }
        // In the same view too: the primary may have kept its pre-prepare from this replica (pitfall 13).
        SendCommittedAgain(status);
        SendMissingRequests(status);
        if (IsPrimary && status.MissingCount > 0 && !_format.Signed)
        {
            OnDoubts(status);
        }
        SendBatchesAgain(status);
    }

    /// <summary>The stable checkpoint, and announced ones above it, if the sender's own stable one is lower.</summary>
    private void SendCheckpointsAgain(ReplicaId to, SeqNum above)
    {
        for (int i = 0; i < _pages.CheckpointCount; i++)
        {
            SeqNum seq = _pages.CheckpointAt(i);
            if (seq > above && seq.Value > 0 && seq <= _lastCommitted && !Diverged)
            {
                _network.SendToReplica(to, BuildCheckpoint(seq, _pages.CheckpointDigest(seq)));
                Counters.Retransmitted++;
            }
        }
    }

    private void SendMissingRequests(in StatusActive status)
    {
        for (int i = 0; i < status.MissingCount; i++)
        {
            if (!status.IsDoubted(i) && FindRequest(status.LastExecuted, status.MissingDigest(i)) is { } request)
            {
                _network.SendToReplica(status.Replica, request.Message);
                Counters.Retransmitted++;
            }
        }
    }

    private StoredRequest? FindRequest(SeqNum after, in Digest digest)
    {
        for (SeqNum seq = after.Next; seq <= HighWaterMark && seq <= after + _config.LogSize; seq = seq.Next)
        {
            if (_log.Find(seq) is not { } entry)
            {
                continue;
            }
            for (int j = 0; j < entry.ItemCount; j++)
            {
                if (entry.Items[j].Body is { } body && body.Digest == digest)
                {
                    return body;
                }
            }
        }
        return null;
    }

    private void SendBatchesAgain(in StatusActive status)
    {
        if (_silent)
        {
            return;
        }
        int sent = 0;
        for (int i = 0; i < _config.LogSize && sent < MaxBatchesPerAnswer; i++)
        {
            if (_log.Find(status.LastExecuted + 1 + i) is not { } entry || entry.View != _view || !entry.PrePrepared)
            {
                continue;
            }
            bool prepared = status.Prepared(i);
            if (!prepared)
            {
                SendPreparationAgain(status.Replica, entry);
                sent++;
            }
            if (entry.Prepared && !status.Committed(i))
            {
                _network.SendToReplica(status.Replica, BuildVote(MessageTag.Commit, entry));
                Counters.Retransmitted++;
            }
        }
    }

    private void SendPreparationAgain(ReplicaId to, LogEntry entry)
    {
        if (IsPrimary)
        {
            ReadOnlySpan<byte> message = entry.PrePrepareMessage;
            if (!PrePrepare.TryParse(message, _format, out PrePrepare prePrepare) || prePrepare.View != _view)
            {
                // Proposed by the new view itself; who lacks the batch asks for it by digest.
                return;
            }
            int authenticatorBytes = _format.AuthenticatorBytes;
            Span<byte> buffer = entry.PrePrepareBuffer(message.Length);
            _keys.Authenticate(message[..PrePrepare.HeaderBytes], buffer.Slice(message.Length - authenticatorBytes, authenticatorBytes));
            _network.SendToReplica(to, message);
        }
        else
        {
            _network.SendToReplica(to, BuildVote(MessageTag.Prepare, entry));
        }
        Counters.Retransmitted++;
    }
}
