using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Learning what has committed without the certificate (pitfall 13). A replica that left its view alone, or whom a liar among
/// 2f+1 starves of commits, could not execute, and clients need its reply. It takes f+1 claims of others for the certificate,
/// and the batch from whoever sends it; it votes for nothing by that.
/// </summary>
public sealed partial class Replica
{
    private readonly CommittedClaims _claims;

    // The last batches that committed here, by number modulo 2L, which is how far back the log may still have them.
    private readonly (SeqNum Seq, Digest Digest)[] _committedBatches;

    /// <summary>Where a learned batch is unpacked; the log keeps what this replica itself voted for.</summary>
    private readonly LogEntry _learned;

    private void SendCommittedAgain(in StatusActive status)
    {
        SeqNum last = status.LastExecuted + MaxBatchesPerAnswer;
        for (SeqNum seq = status.LastExecuted.Next; seq <= _lastCommitted && seq <= last; seq = seq.Next)
        {
            if (!TryFindCommitted(seq, out Digest digest))
            {
                return;
            }
            if (status.View == _view && status.Prepared((int)(seq - status.LastExecuted) - 1))
            {
                continue;
            }
            _network.SendToReplica(status.Replica, BuildVote(MessageTag.Committed, _view, seq, digest));
            if (_log.Find(seq) is { Complete: true, ItemCount: > 0 } entry && entry.Digest == digest)
            {
                SendBatch(status.Replica, entry);
            }
            Counters.Retransmitted++;
        }
    }

    private bool TryFindCommitted(SeqNum seq, out Digest digest)
    {
        (SeqNum found, digest) = _committedBatches[seq.Value % _committedBatches.Length];
        return found == seq && seq.Value > 0;
    }

    private void SendBatch(ReplicaId to, LogEntry entry)
    {
        if (BatchMessage.HeaderBytes + entry.WholeBytes > _batch.Length)
        {
            return;
        }
        int at = BatchMessage.Append(_batch, BatchMessage.HeaderBytes, entry.PrePrepareMessage);
        for (int i = 0; i < entry.ItemCount; i++)
        {
            if (entry.Items[i].Body is { } body)
            {
                at = BatchMessage.Append(_batch, at, body.Message);
            }
        }
        BatchMessage.WriteHeader(_batch, entry.Seq, at);
        _network.SendToReplica(to, _batch.AsSpan(0, at));
    }

    private void OnCommitted(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!Vote.TryParse(message, MessageTag.Committed, _format, out Vote claim))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (claim.Seq <= _lastCommitted)
        {
            Drop(DropReason.Stale);
            return;
        }
        if (VerifyReplica(claim.Replica, claim.Header, claim.Authenticator, source))
        {
            _claims.Add(claim.Seq, claim.Replica, claim.Digest, _lastCommitted);
            ExecuteClaimed();
        }
    }

    /// <summary>A batch whose digest f+1 others claim to have committed.</summary>
    private bool IsClaimed(SeqNum seq, out Digest digest) =>
        _claims.TryFind(seq, _config.WeakQuorum, out digest) && seq > _lastCommitted && seq <= HighWaterMark;

    private void ExecuteClaimed()
    {
        while (StateIsWhole && IsClaimed(_lastCommitted.Next, out Digest digest) && HasBatch(_lastCommitted.Next, digest))
        {
            SeqNum seq = _lastCommitted.Next;
            if (_lastExecuted == seq)
            {
                LogEntry? tentative = _log.Find(seq);
                if (tentative is null || tentative.Digest != digest)
                {
                    UndoTentative();
                    continue;
                }
                OnBatchCommitted(tentative);
                continue;
            }
            if (_oldBatches.Find(seq, digest) is { } batch)
            {
                LogOldBatch(batch);
            }
            _learned.Reset(seq, _view, _pool);
            RestoreBatch(_learned, digest);
            Execute(_learned, tentative: false);
            OnBatchCommitted(_learned);
            _learned.ReleaseBodies(_pool);
            Counters.Learned++;
            _watch.Disregard(_now.MonotonicMicros);
        }
        _lastIssued = Last(_lastIssued, _lastExecuted);
        ExecuteReady();
    }

    /// <summary>Whether a batch is here whole, in the log or among those of earlier views, where it is put.</summary>
    private bool HasBatch(SeqNum seq, in Digest digest)
    {
        if (!_oldBatches.Has(seq, digest) && _log.Find(seq) is { Complete: true } entry && entry.Digest == digest)
        {
            _oldBatches.Keep(entry);
        }
        return _oldBatches.Has(seq, digest);
    }
}
