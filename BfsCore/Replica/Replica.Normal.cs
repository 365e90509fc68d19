using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>The three phases (§2.3.3, §3.2.2) at backups, and their votes; batches are made in Replica.Batching.cs.</summary>
public sealed partial class Replica
{
    /// <summary>Most bytes of a batch that is voted for; leaves room for other copies of its requests, with signatures.</summary>
    private const int MaxBatchBytes = Limits.MaxMessageBytes - (64 * 1024);

    /// <summary>Pre-prepares in the log that lack a request or its authentication.</summary>
    private int _incompleteBatches;

    private void OnPrePrepare(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!PrePrepare.TryParse(message, _format, out PrePrepare prePrepare) || prePrepare.RequestCount > _config.MaxBatchRequests)
        {
            Drop(DropReason.Malformed);
            return;
        }
        ReplicaId primary = _view.Primary(_n);
        if (prePrepare.View != _view || !_viewActive)
        {
            Drop(DropReason.WrongView);
            return;
        }
        if (prePrepare.Primary != primary || primary == Id)
        {
            Drop(DropReason.NotFromPrimary);
            return;
        }
        if (!VerifyReplica(primary, prePrepare.Header, prePrepare.Authenticator, source)
            || !InsideWaterMarks(prePrepare.Seq))
        {
            return;
        }
        if (prePrepare.Seq <= _newViewLast)
        {
            // The new view has decided on this number already, or begins above it.
            Drop(DropReason.Conflicting);
            return;
        }
        LogEntry entry = _log.GetOrAdd(prePrepare.Seq, _view);
        bool other = entry.HasPrePrepare && entry.Digest != prePrepare.Digest;
        bool anew = (prePrepare.Flags & PrePrepareFlags.Anew) != 0;
        if (entry.Unconfirmed && !other)
        {
            entry.Unconfirmed = false;
            Advance(entry);
            return;
        }
        if (entry.PrePrepared || (other && !anew))
        {
            Drop(other ? DropReason.Conflicting : DropReason.Duplicate);
            return;
        }
        if (other)
        {
            // This replica has not prepared the first proposal and now never will (§3.2.2).
            entry.DropPrePrepare(_pool);
            _incompleteBatches--;
        }
        if (entry.HasPrePrepare)
        {
            RefreshAuthentication(entry, prePrepare);
        }
        else if (TimeIsAcceptable(entry, prePrepare))
        {
            AcceptPrePrepare(entry, prePrepare);
        }
        else
        {
            Drop(DropReason.BadTime);
        }
    }

    /// <summary>The same batch again, perhaps with MACs that are right this time.</summary>
    private void RefreshAuthentication(LogEntry entry, in PrePrepare prePrepare)
    {
        PrePrepare.EntryReader reader = prePrepare.Entries(_format);
        for (int i = 0; i < entry.ItemCount && reader.Next(); i++)
        {
            ref BatchItem item = ref entry.Items[i];
            if (!item.Authentic && reader.InlineBytes > 0 && reader.Digest == item.Digest
                && Request.TryParse(prePrepare.Payload.Slice(reader.InlineOffset, reader.InlineBytes), _format, out Request request))
            {
                item.Authentic = (HasRightMac(request, item.ClientIndex) || HasRightSignature(request, _view.Primary(_n).Value))
                    && request.DigestIsRight();
            }
        }
        MaybePrepare(entry);
    }

    /// <summary>
    /// The proposed time must be near this replica's own clock (§5.4, pitfall 11). A batch that f+1 replicas vote for has
    /// satisfied a correct one when it was new, and may be older by the time it comes here.
    /// </summary>
    private bool TimeIsAcceptable(LogEntry entry, in PrePrepare prePrepare)
    {
        long skewNanos = _config.MaxClockSkewMillis * 1_000_000L;
        return (prePrepare.TimeNanos >= _now.WallNanos - skewNanos && prePrepare.TimeNanos <= _now.WallNanos + skewNanos)
            || entry.Prepares.Count(prePrepare.Digest) >= _config.WeakQuorum
            || entry.Commits.Count(prePrepare.Digest) >= _config.WeakQuorum;
    }

    private void AcceptPrePrepare(LogEntry entry, in PrePrepare prePrepare)
    {
        if (!ReadBatch(entry, prePrepare))
        {
            entry.DropPrePrepare(_pool);
            Drop(DropReason.Malformed);
            return;
        }
        entry.Anew = (prePrepare.Flags & PrePrepareFlags.Anew) != 0;
        _incompleteBatches++;
        MaybePrepare(entry);
    }

    /// <summary>Takes the batch over into the log; false when it contradicts its own digest.</summary>
    private bool ReadBatch(LogEntry entry, in PrePrepare prePrepare)
    {
        ReadOnlySpan<byte> message = prePrepare.Message;
        PrePrepare.EntryReader reader = prePrepare.Entries(_format);
        while (reader.Next())
        {
            ref BatchItem item = ref entry.AddItem();
            item.ClientIndex = _config.RequesterIndex(reader.Client, reader.Slot);
            item.Slot = reader.Slot;
            item.Digest = reader.Digest;
            if (item.ClientIndex < 0)
            {
                return false;
            }
            if (reader.InlineBytes > 0)
            {
                item.InlineOffset = PrePrepare.HeaderBytes + reader.InlineOffset;
                item.InlineBytes = reader.InlineBytes;
                if (!AuthenticateInline(ref item, message))
                {
                    return false;
                }
            }
            else
            {
                FindBody(ref item);
            }
            reader.Digest.Write(_scratch.AsSpan(12 + ((entry.ItemCount - 1) * Digest.SizeBytes)));
        }
        if (!reader.Complete || PrePrepare.BatchDigest(prePrepare.TimeNanos, entry.ItemCount, _scratch) != prePrepare.Digest)
        {
            return false;
        }
        message.CopyTo(entry.PrePrepareBuffer(message.Length));
        entry.SetPrePrepare(message.Length, prePrepare.Digest, prePrepare.TimeNanos);
        return true;
    }

    /// <summary>Conditions 1 and 3 of §3.2.2 for an inlined request; false when its digest is wrong.</summary>
    private bool AuthenticateInline(ref BatchItem item, ReadOnlySpan<byte> message)
    {
        if (!Request.TryParse(message.Slice(item.InlineOffset, item.InlineBytes), _format, out Request request)
            || !request.DigestIsRight())
        {
            return false;
        }
        StoredRequest? received = _pending[(item.ClientIndex * _config.SlotsPerClient) + item.Slot];
        item.Authentic = (received is not null && received.Digest == item.Digest) || HasRightMac(request, item.ClientIndex)
            || HasRightSignature(request, _view.Primary(_n).Value);
        return true;
    }

    private void FindBody(ref BatchItem item)
    {
        StoredRequest? received = _pending[(item.ClientIndex * _config.SlotsPerClient) + item.Slot];
        if (received is not null && received.Digest == item.Digest)
        {
            RequestPool.AddReference(received);
            item.Body = received;
            item.Authentic = true;
        }
    }

    /// <summary>
    /// A request arrived that batches in the log may lack: as a body, or as its authentication (condition 3 of §3.2.2).
    /// </summary>
    private void SupplyToLog(in Request request, int client, bool authentic)
    {
        for (SeqNum seq = _lastCommitted.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            if (_log.Find(seq) is not { HasPrePrepare: true, PrePrepared: false } entry || entry.View != _view)
            {
                continue;
            }
            bool found = false;
            for (int i = 0; i < entry.ItemCount; i++)
            {
                ref BatchItem item = ref entry.Items[i];
                if (item.Digest != request.Digest || (item.Present && item.Authentic))
                {
                    continue;
                }
                found = true;
                item.Authentic |= authentic;
                if (!item.Present)
                {
                    // The digest says whose request it is. What the pre-prepare says beside it is under no digest: a faulty
                    // primary may tell every backup something else.
                    item.ClientIndex = client;
                    item.Slot = request.Slot;
                    item.Body = _pool.Keep(request, client, authentic);
                }
            }
            if (found)
            {
                MaybePrepare(entry);
            }
        }
    }

    /// <summary>
    /// As a backup, sends the prepare once all of the batch is here and authentic: each request by condition 1 or 3, or
    /// the whole batch by condition 2: f others prepared it, so a correct replica authenticated it, or knows of one that did.
    /// </summary>
    private void MaybePrepare(LogEntry entry)
    {
        // Never in a view that was left, where this replica has said that it would not (simulator seed 54925).
        if (entry.View != _view || !_viewActive || !entry.HasPrePrepare || entry.PrePrepared || IsPrimary || !entry.Complete
            || !(entry.ItemsAuthentic || OthersPrepared(entry) >= _config.F) || IsTooLong(entry))
        {
            return;
        }
        entry.PrePrepared = true;
        _incompleteBatches--;
        NoteStrangers(entry);
        if (!_silent)
        {
            entry.Prepares.Add(Id, entry.Digest);
            LogPrePrepared(entry);
        }
        SendDeferredCommits();
        SendVote(MessageTag.Prepare, entry);
        Advance(entry);
    }

    /// <summary>
    /// Whether a faulty primary made a batch that no message could carry whole, to those who may need it in a later view. Those
    /// of correct ones stay far below, with the copies of requests that any replica may have.
    /// </summary>
    private static bool IsTooLong(LogEntry entry) => BatchMessage.HeaderBytes + entry.WholeBytes > MaxBatchBytes;

    private int OthersPrepared(LogEntry entry) =>
        entry.Prepares.Count(entry.Digest, except: (1UL << Id.Value) | (1UL << _view.Primary(_n).Value));

    private void SendVote(MessageTag tag, LogEntry entry)
    {
        if (!_silent)
        {
            _network.MulticastToReplicas(BuildVote(tag, entry));
        }
    }

    private ReadOnlySpan<byte> BuildVote(MessageTag tag, LogEntry entry)
    {
        ReadOnlySpan<byte> vote = BuildVote(tag, entry.View, entry.Seq, entry.Digest);
        if (_format.Signed && tag == MessageTag.Prepare && entry.Prepares.Has(Id))
        {
            entry.Prepares.Sign(Id, vote[Vote.HeaderBytes..]);
        }
        return vote;
    }

    private ReadOnlySpan<byte> BuildVote(MessageTag tag, View view, SeqNum seq, Digest digest)
    {
        int size = Vote.Write(_message, tag, _format, view, seq, digest, Id);
        _keys.Authenticate(_message.AsSpan(0, Vote.HeaderBytes), _message.AsSpan(Vote.HeaderBytes, size - Vote.HeaderBytes));
        return _message.AsSpan(0, size);
    }

    private void OnPrepare(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (AcceptVote(message, MessageTag.Prepare, source, out Vote vote) is not { } entry)
        {
            return;
        }
        if (vote.Replica == _view.Primary(_n) || !entry.Prepares.Add(vote.Replica, vote.Digest, vote.Authenticator))
        {
            Drop(DropReason.Duplicate);
            return;
        }
        MaybePrepare(entry);
        Advance(entry);
    }

    private void OnCommit(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (AcceptVote(message, MessageTag.Commit, source, out Vote vote) is not { } entry)
        {
            return;
        }
        if (!entry.Commits.Add(vote.Replica, vote.Digest))
        {
            Drop(DropReason.Duplicate);
            return;
        }
        Advance(entry);
    }

    private LogEntry? AcceptVote(ReadOnlySpan<byte> message, MessageTag tag, SourceAddress source, out Vote vote)
    {
        if (!Vote.TryParse(message, tag, _format, out vote))
        {
            Drop(DropReason.Malformed);
            return null;
        }
        if (vote.View != _view || !_viewActive)
        {
            Drop(DropReason.WrongView);
            return null;
        }
        return VerifyReplica(vote.Replica, vote.Header, vote.Authenticator, source) && InsideWaterMarks(vote.Seq)
            ? _log.GetOrAdd(vote.Seq, _view)
            : null;
    }

    private bool InsideWaterMarks(SeqNum seq)
    {
        if (seq > LowWaterMark && seq <= HighWaterMark)
        {
            return true;
        }
        Drop(DropReason.OutsideWaterMarks);
        return false;
    }

    /// <summary>
    /// 2f with the pre-prepare. The primary itself vouched for two batches when it proposed anew, so then one more backup must
    /// make sure that not both can prepare.
    /// </summary>
    private int PreparesNeeded(LogEntry entry) => (2 * _config.F) + (entry.Anew ? 1 : 0);

    /// <summary>Completes the certificates that an entry's votes allow, then executes what has become ready.</summary>
    private void Advance(LogEntry entry)
    {
        if (entry.PrePrepared && !entry.Prepared && !entry.Unconfirmed && entry.Prepares.Count(entry.Digest) >= PreparesNeeded(entry))
        {
            Certify(entry);
            entry.Prepared = true;
            if (!_silent)
            {
                LogPrepared(entry);
                _observer?.OnPrepared(Id, entry.View, entry.Seq, entry.Digest);
                entry.Commits.Add(Id, entry.Digest);
                DeferCommit(entry);
            }
        }
        if (entry.Prepared && !entry.Committed && entry.Commits.Count(entry.Digest) >= _config.Quorum)
        {
            entry.Committed = true;
        }
        if (entry.Prepared)
        {
            ExecuteReady();
        }
    }
}
