using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Batches that a view change needs and that are not here, fetched by digest (§3.2.4): to decide on the view, or to vote in it.
/// </summary>
public sealed partial class Replica
{
    private readonly List<(SeqNum Seq, Digest Digest)> _wanted = [];
    private int _askedFor;

    /// <summary>
    /// The view waits for batches: the others are asked at once when it turns out that there are, or more than before, and again
    /// by the status timer.
    /// </summary>
    private void AskForWanted()
    {
        if (_wanted.Count > _askedFor)
        {
            SendStatusPending();
        }
        _askedFor = Math.Max(_askedFor, _wanted.Count);
    }

    /// <summary>Whether the view has a batch for this number that has not come yet.</summary>
    private bool IsWanted(SeqNum seq)
    {
        foreach ((SeqNum wanted, _) in _wanted)
        {
            if (wanted == seq)
            {
                return true;
            }
        }
        return false;
    }

    private void OnBatch(ReadOnlySpan<byte> message)
    {
        if (!BatchMessage.TryParse(message, out SeqNum seq, out ReadOnlySpan<byte> parts))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (IsClaimed(seq, out Digest claimed) && !HasBatch(seq, claimed) && _oldBatches.TryKeep(seq, claimed, parts))
        {
            ExecuteClaimed();
        }
        int at = _wanted.FindIndex(w => w.Seq == seq);
        if (at < 0 || !(_oldBatches.Has(seq, _wanted[at].Digest) || _oldBatches.TryKeep(seq, _wanted[at].Digest, parts)))
        {
            Drop(DropReason.BadDigest);
            return;
        }
        Digest digest = _wanted[at].Digest;
        _wanted.RemoveAt(at);
        if (!_viewActive)
        {
            Reconsider();
        }
        else if (seq > LowWaterMark && seq <= HighWaterMark && _log.GetOrAdd(seq, _view) is { PrePrepared: false } entry)
        {
            Propose(seq, digest);
            Advance(entry);
        }
    }
}
