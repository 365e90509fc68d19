using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Taking up the vote log at a start. What it says committed is executed again from the saved image on, which ends in the same
/// state because execution is deterministic; what it says of votes holds as if the process had never ended.
/// </summary>
public sealed partial class Replica
{
    /// <summary>
    /// The last stable checkpoint that the log speaks of. When the state lies below it, votes up to it are forgotten,
    /// so that this replica takes no part there and names it as its h (§3.2.4) until a transfer brings the state.
    /// </summary>
    private SeqNum _floor;

    /// <summary>h of §2.3.4: nothing at or below it is voted for.</summary>
    private SeqNum LowWaterMark => Last(_stable, _floor);

    /// <summary>What it voted for at a number, and what proves that it prepared (BFT-PK).</summary>
    private readonly record struct Voted(Digest Digest, bool Prepared, byte[] Certificate);

    /// <summary>What is being read from the log.</summary>
    private sealed class Restored
    {
        public SortedDictionary<long, Digest> Committed { get; } = [];
        public SortedDictionary<long, Voted> Entries { get; } = [];
        public SortedSet<long> NullAnew { get; } = [];
    }

    /// <summary>Takes up the log, before <see cref="Start"/>. The state is the image of a checkpoint, or blank.</summary>
    /// <returns>What is wrong with the log, or null. Records that make no sense are passed over and counted.</returns>
    public string? RestoreLog()
    {
        var restored = new Restored();
        int bad = 0, records = 0;
        _restoring = true;
        _votes.Read(record =>
        {
            records++;
            bad += VoteRecord.TryParse(record, out VoteRecord parsed) && Take(parsed, restored) ? 0 : 1;
        });
        RestoreEntries(restored);
        _lastIssued = Last(_lastIssued, Last(_lastExecuted, LowWaterMark));
        ExecuteReady();
        if (_store.LoadView() is { } remembered && remembered > _view)
        {
            // The log has lost its end: this replica had left for a higher view.
            (_view, _viewActive, _newView) = (remembered, false, null);
            RejoinSilently();
        }
        _restoring = false;
        if (_silent)
        {
            LogMark(VoteRecordKind.Silent, _silentThrough, default);
        }
        ProposeFromNewView();
        return bad > 0 ? $"{bad} of {records} records of the vote log make no sense" : null;
    }

    private bool Take(in VoteRecord record, Restored restored)
    {
        long seq = record.Seq.Value;
        if (record.Kind is VoteRecordKind.Base or VoteRecordKind.Prepared or VoteRecordKind.Committed or VoteRecordKind.Stable)
        {
            _readsFrom = Last(_readsFrom, record.Seq);
        }
        switch (record.Kind)
        {
            case VoteRecordKind.Base:
                _view = record.View;
                _floor = Last(_floor, record.Seq);
                TakeStableCertificate(record);
                CompareWithBase(record.Seq, record.Digest);
                return true;
            case VoteRecordKind.PrePrepared:
                if (restored.Entries.TryGetValue(seq, out Voted first) && first.Digest != record.Digest)
                {
                    // As primary it proposed anew: both belong to Q.
                    _sets.AddPrePrepared(new ViewChangeEntry(record.Seq, first.Digest, record.View));
                    _abandoned.Add((record.Seq, first.Digest));
                }
                restored.Entries[seq] = new Voted(record.Digest, false, []);
                NoteNullAnew(record, restored);
                return record.Digest.IsZero || _oldBatches.TryKeep(record.Seq, record.Digest, record.Parts);
            case VoteRecordKind.OldBatch:
                if (_format.Signed)
                {
                    _sets.AddPrePrepared(new ViewChangeEntry(record.Seq, record.Digest, record.View));
                }
                return _oldBatches.TryKeep(record.Seq, record.Digest, record.Parts);
            case VoteRecordKind.Prepared:
                restored.Entries[seq] = new Voted(record.Digest, true, TakeCertificate(record, Certificate.PreparedBytes(_format)));
                return true;
            case VoteRecordKind.Committed:
                restored.Committed[seq] = record.Digest;
                ExecuteRestored(restored);
                return true;
            case VoteRecordKind.Stable:
                TakeStableCertificate(record);
                TakeStable(record.Seq, record.Digest, restored);
                return true;
            case VoteRecordKind.Silent:
                (_silent, _silentThrough) = (true, record.Seq);
                return true;
            case VoteRecordKind.Spoken:
                _silent = false;
                return true;
            case VoteRecordKind.Retreated:
                restored.Entries.Clear();
                restored.NullAnew.Clear();
                _abandoned.Clear();
                TakeView(record.View);
                return true;
            case VoteRecordKind.Left:
                return TakeLeft(record, restored);
            default:
                return TakeEntered(record, restored);
        }
    }

    /// <summary>The log tells what the image should be when it begins with the same checkpoint.</summary>
    private void CompareWithBase(SeqNum seq, Digest digest)
    {
        if (seq == _stable && seq == _lastExecuted && seq.Value > 0)
        {
            Diverged |= !digest.IsZero && digest != StableDigest;
        }
        else if (Diverged && seq.Value == 0)
        {
            // The log has everything since the beginning, which is known: all zeros.
            _pages.Blank();
            Diverged = false;
            StateBecameWhole();
        }
    }

    /// <summary>A null batch is not kept; that a primary proposed it because it had nothing left must be.</summary>
    private void NoteNullAnew(in VoteRecord record, Restored restored)
    {
        ReadOnlySpan<byte> parts = record.Parts;
        bool anew = record.Digest.IsZero && BatchMessage.TryTake(ref parts, out ReadOnlySpan<byte> message)
            && PrePrepare.TryParse(message, _format, out PrePrepare prePrepare) && (prePrepare.Flags & PrePrepareFlags.Anew) != 0;
        _ = anew ? restored.NullAnew.Add(record.Seq.Value) : restored.NullAnew.Remove(record.Seq.Value);
    }

    private void ExecuteRestored(Restored restored)
    {
        while (restored.Committed.TryGetValue(_lastExecuted.Value + 1, out Digest digest) && !Diverged
            && _oldBatches.Has(_lastExecuted.Next, digest))
        {
            SeqNum seq = _lastExecuted.Next;
            restored.Committed.Remove(seq.Value);
            // Not in the log: in the present view it may not even have pre-prepared here.
            _learned.Reset(seq, _view, _pool);
            RestoreBatch(_learned, digest);
            Execute(_learned, tentative: false);
            OnBatchCommitted(_learned);
            _learned.ReleaseBodies(_pool);
        }
    }

    private void RestoreBatch(LogEntry entry, in Digest digest)
    {
        if (entry.HasPrePrepare && entry.Digest == digest)
        {
            return;
        }
        entry.DropPrePrepare(_pool);
        if (digest.IsZero)
        {
            entry.SetPrePrepare(0, default, 0);
        }
        else
        {
            OldBatch batch = _oldBatches.Find(entry.Seq, digest)!;
            TakeOver(entry, batch);
            entry.Anew = PrePrepare.TryParse(batch.PrePrepare, _format, out PrePrepare prePrepare) && prePrepare.View == _view
                && (prePrepare.Flags & PrePrepareFlags.Anew) != 0;
        }
    }

    private void TakeStable(SeqNum seq, in Digest digest, Restored restored)
    {
        _floor = Last(_floor, seq);
        DropThrough(restored.Committed, seq.Value);
        DropThrough(restored.Entries, seq.Value);
        _oldBatches.DiscardThrough(seq);
        if (seq > _stable && seq <= _lastCommitted && _pages.HasCheckpoint(seq))
        {
            if (_pages.CheckpointDigest(seq) == digest)
            {
                MakeStable(seq);
            }
            else
            {
                Diverged = true;
            }
        }
    }

    private static void DropThrough<T>(SortedDictionary<long, T> entries, long through)
    {
        while (entries.Count > 0 && entries.First().Key <= through)
        {
            entries.Remove(entries.First().Key);
        }
    }

    private bool TakeLeft(in VoteRecord record, Restored restored)
    {
        ReadOnlySpan<byte> parts = record.Parts;
        if (!BatchMessage.TryTake(ref parts, out ReadOnlySpan<byte> message)
            || !ViewChange.TryParse(message, _config, out ViewChange own) || own.Replica != Id || own.View != record.View)
        {
            return false;
        }
        _view = record.View;
        _floor = Last(_floor, own.StableCheckpoint);
        _viewActive = false;
        _newView = null;
        _sets.Replace(ViewChangeFacts.From(own));
        TakeCertificates(own, restored);
        restored.Entries.Clear();
        restored.NullAnew.Clear();
        _abandoned.Clear();
        Leaving leaving = _leaving[Id.Value];
        leaving.Message = message.ToArray();
        (leaving.View, leaving.Identity, leaving.Authentic, leaving.Facts) = (own.View, own.Identity, true, ViewChangeFacts.From(own));
        return true;
    }

    private bool TakeEntered(in VoteRecord record, Restored restored)
    {
        ReadOnlySpan<byte> parts = record.Parts;
        if (record.View < _view || !BatchMessage.TryTake(ref parts, out ReadOnlySpan<byte> message)
            || !NewView.TryParse(message, _config, out NewView newView) || newView.View != record.View)
        {
            return false;
        }
        if (record.View > _view)
        {
            // It was silent when it left the view before, and made no VIEW-CHANGE of its own.
            _view = record.View;
            restored.Entries.Clear();
            restored.NullAnew.Clear();
            _abandoned.Clear();
        }
        _newView = message.ToArray();
        _newViewLast = newView.Checkpoint + newView.BatchCount;
        _viewActive = true;
        while (BatchMessage.TryTake(ref parts, out ReadOnlySpan<byte> other) && ViewChange.TryParse(other, _config, out ViewChange viewChange))
        {
            Leaving leaving = _leaving[viewChange.Replica.Value];
            leaving.Message = other.ToArray();
            (leaving.View, leaving.Identity, leaving.Authentic) = (viewChange.View, viewChange.Identity, true);
            leaving.Facts = ViewChangeFacts.From(viewChange);
        }
        return true;
    }

    /// <summary>The batches of the present view, with this replica's own votes.</summary>
    private void RestoreEntries(Restored restored)
    {
        if (!_viewActive)
        {
            return;
        }
        foreach ((long number, (Digest digest, bool prepared, byte[] certificate)) in restored.Entries)
        {
            var seq = new SeqNum(number);
            if (seq <= LowWaterMark || seq > HighWaterMark || !_oldBatches.Has(seq, digest))
            {
                continue;
            }
            LogEntry entry = _log.GetOrAdd(seq, _view);
            RestoreBatch(entry, digest);
            entry.Anew |= digest.IsZero && restored.NullAnew.Contains(number);
            entry.PrePrepared = true;
            entry.Prepared |= prepared;
            entry.Certificate = certificate;
            if (!IsPrimary)
            {
                entry.Prepares.Add(Id, digest);
            }
            if (entry.Prepared)
            {
                entry.Commits.Add(Id, digest);
            }
            _lastIssued = Last(_lastIssued, seq);
        }
        _oldBatches.KeepOnly(_sets, _lastCommitted);
    }

    private static SeqNum Last(SeqNum a, SeqNum b) => a > b ? a : b;
}
