using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>Checkpoints, stable certificates and water marks (§2.3.4, §3.2.3, §5.3).</summary>
public sealed partial class Replica
{
    private readonly CheckpointVotes _checkpoints;

    /// <summary>Called when a checkpoint has become stable: the host may write its pages to disk.</summary>
    public Action<SeqNum>? CheckpointBecameStable { get; set; }

    /// <summary>The digest of the last stable checkpoint.</summary>
    public Digest StableDigest => _pages.CheckpointDigest(_stable);

    /// <summary>
    /// A quorum agreed on a state other than this replica's at the same number: its memory or code is faulty, and it
    /// votes for no further checkpoint until its state is fetched anew.
    /// </summary>
    public bool Diverged { get; private set; }

    /// <summary>Right after the execution, tentative or not; announced only when the batch has committed (§5.1.2).</summary>
    private void TakeCheckpoint(SeqNum seq)
    {
        _pages.TakeCheckpoint(seq);
        _observer?.OnCheckpoint(Id, seq, _pages.CheckpointDigest(seq), stable: false);
    }

    private void AnnounceCheckpoint(SeqNum seq)
    {
        Digest digest = _pages.CheckpointDigest(seq);
        if (Diverged)
        {
            return;
        }
        _checkpoints.Add(seq, Id, digest, LowWaterMark);
        if (_restoring)
        {
            return;
        }
        _network.MulticastToReplicas(BuildCheckpoint(seq, digest));
        CheckStable(seq);
    }

    private ReadOnlySpan<byte> BuildCheckpoint(SeqNum seq, in Digest digest)
    {
        int size = Checkpoint.Write(_message, _format, seq, digest, Id);
        _keys.Authenticate(_message.AsSpan(0, Checkpoint.HeaderBytes),
            _message.AsSpan(Checkpoint.HeaderBytes, size - Checkpoint.HeaderBytes));
        return _message.AsSpan(0, size);
    }

    private void OnCheckpoint(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!Checkpoint.TryParse(message, _format, out Checkpoint checkpoint)
            || checkpoint.Seq.Value % _config.CheckpointPeriod != 0)
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (!VerifyReplica(checkpoint.Replica, checkpoint.Header, checkpoint.Authenticator, source))
        {
            return;
        }
        if (checkpoint.Seq <= _stable && !Diverged && CanProveStable)
        {
            Drop(DropReason.OutsideWaterMarks);
            return;
        }
        _checkpoints.Add(checkpoint.Seq, checkpoint.Replica, checkpoint.Digest, LowWaterMark, checkpoint.Authenticator);
        ProveStableWith(checkpoint);
        CheckStable(checkpoint.Seq);
        if (Diverged)
        {
            ConsiderStateTransfer(stuck: false);
        }
    }

    /// <summary>
    /// 2f+1 equal votes, this replica's own among them, make the checkpoint stable: a quorum and not a weak certificate,
    /// because MACs cannot be shown to others (§3.2.3).
    /// </summary>
    private void CheckStable(SeqNum seq)
    {
        if (seq <= _stable || seq > _lastCommitted || !_pages.HasCheckpoint(seq))
        {
            return;
        }
        Digest own = _pages.CheckpointDigest(seq);
        if (_checkpoints.Count(seq, own) >= _config.Quorum)
        {
            MakeStable(seq);
        }
        else if (_checkpoints.AnotherHasQuorum(seq, own, _config.Quorum))
        {
            Diverged = true;
        }
    }

    private void MakeStable(SeqNum seq)
    {
        SeqNum previous = _stable;
        _stable = seq;
        CertifyStable(seq, StableDigest);
        LogMark(VoteRecordKind.Stable, seq, StableDigest, StableCertificate(seq));
        DiscardCheckpoints();
        _sets.DiscardThrough(seq);
        _oldBatches.DiscardThrough(seq);
        DiscardAbandoned(seq);
        for (SeqNum old = new(Math.Max(1, previous.Value - _config.CheckpointPeriod + 1)); old <= previous; old = old.Next)
        {
            _log.Find(old)?.ReleaseBodies(_pool);
        }
        _observer?.OnCheckpoint(Id, seq, _pages.CheckpointDigest(seq), stable: true);
        LiftBound();
        EndSilenceIfSafe();
        if (!_restoring)
        {
            CheckpointBecameStable?.Invoke(seq);
        }
        _marksMoved = true;
        if (!_restoring && _newViewLast > previous + _config.LogSize)
        {
            ProposeFromNewView();
        }
    }
}
