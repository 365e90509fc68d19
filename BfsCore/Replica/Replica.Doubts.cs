using System.Numerics;
using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// What the primary does about a batch that backups cannot prepare because they cannot authenticate a request in it (§3.2.2).
/// It takes a batch of the same number without that request instead of a view change: no correct replica is to blame.
///
/// Safe, because a backup prepares one batch per view and number, and a second proposal needs 2f+1 of the 3f backups: with the
/// 2f that the first one needs, more than f backups would have prepared both. The first proposal stays in the primary's Q.
/// </summary>
public sealed partial class Replica
{
    /// <summary>How long a client has to sign, once it is clear that nothing else helps.</summary>
    private const long DoubtMicros = 30_000;

    private readonly List<(SeqNum Seq, Digest Digest)> _abandoned = [];

    /// <summary>As primary: a backup says what it cannot authenticate.</summary>
    private void OnDoubts(in StatusActive status)
    {
        for (SeqNum seq = _lastCommitted.Next; seq <= _lastIssued; seq = seq.Next)
        {
            if (_log.Find(seq) is not { PrePrepared: true, Prepared: false } entry || entry.View != _view)
            {
                continue;
            }
            for (int i = 0; i < status.MissingCount; i++)
            {
                if (status.IsDoubted(i))
                {
                    Doubt(entry, status.MissingDigest(i), status.Replica);
                }
            }
            ConsiderProposingAnew(entry);
        }
    }

    private void Doubt(LogEntry entry, in Digest request, ReplicaId by)
    {
        for (int i = 0; i < entry.ItemCount; i++)
        {
            ref BatchItem item = ref entry.Items[i];
            if (item.Digest != request)
            {
                continue;
            }
            item.DoubtedBy |= 1UL << by.Value;
            if (BitOperations.PopCount(item.DoubtedBy) >= _config.WeakQuorum && entry.TryGetRequest(item, _format, out Request doubted))
            {
                // At least one of them is correct.
                Suspect(item.ClientIndex, doubted);
            }
        }
    }

    private void ConsiderProposingAnew(LogEntry entry)
    {
        ulong doubters = 0;
        for (int i = 0; i < entry.ItemCount; i++)
        {
            doubters |= entry.Items[i].DoubtedBy;
        }
        if (BitOperations.PopCount(doubters) < _config.Quorum)
        {
            // Fewer could not prepare the other batch either.
            return;
        }
        if (entry.DoubtedSinceMicros == 0)
        {
            entry.DoubtedSinceMicros = _now.MonotonicMicros;
        }
        else if (_now.MonotonicMicros - entry.DoubtedSinceMicros >= DoubtMicros)
        {
            ProposeAnew(entry);
        }
    }

    private void DiscardAbandoned(SeqNum through)
    {
        for (int i = _abandoned.Count - 1; i >= 0; i--)
        {
            if (_abandoned[i].Seq <= through)
            {
                _abandoned.RemoveAt(i);
            }
        }
    }

    private void ProposeAnew(LogEntry entry)
    {
        _sets.Add(entry);
        _oldBatches.Keep(entry);
        _abandoned.Add((entry.Seq, entry.Digest));
        var kept = new List<StoredRequest>();
        for (int i = 0; i < entry.ItemCount; i++)
        {
            ref BatchItem item = ref entry.Items[i];
            ref StoredRequest? waiting = ref _pending[(item.ClientIndex * _config.SlotsPerClient) + item.Slot];
            if (waiting is null || waiting.Digest != item.Digest)
            {
                continue;
            }
            if (item.DoubtedBy == 0 || waiting.Proven)
            {
                kept.Add(waiting);
            }
            else if (MayOrder(waiting))
            {
                // Too few doubt it to say that its client is at fault.
                QueueOf(waiting).Remove(waiting);
                waiting.Ordered = false;
                QueueOf(waiting).Append(waiting);
            }
            else
            {
                Forget(ref waiting);
            }
        }
        entry.DropPrePrepare(_pool);
        entry.PrePrepared = false;
        BatchBuilder batch = Begin(entry);
        foreach (StoredRequest request in kept)
        {
            Add(ref batch, request, request.OperationBytes > _config.InlineThresholdBytes);
        }
        Counters.ProposedAnew++;
        Send(ref batch, PrePrepareFlags.Anew);
    }
}
