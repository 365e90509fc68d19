using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>Entering a view that is decided: its checkpoint and its batches are taken over (§3.2.4).</summary>
public sealed partial class Replica
{
    private SeqNum _newViewLast;

    // What the last new view starts from. f+1 replicas named it, one of them correct; a liar among them that says otherwise
    // afterwards changes nothing.
    private (SeqNum Seq, Digest Digest) _newViewStart;

    /// <summary>The view is decided: takes over its checkpoint and batches, and normal operation goes on (§3.2.4).</summary>
    private void Enter(in NewView newView, List<ViewChangeFacts> s)
    {
        _viewActive = true;
        NoteEntered();
        _viewDeadlineMicros = long.MaxValue;
        _batchWait = _requestWait = default;
        _watch.EnterView(_view, _now.MonotonicMicros);
        LogEntered();
        UndoTentative(newView);
        StartFrom(newView, s);
        _wanted.Clear();
        _newViewLast = newView.Checkpoint + newView.BatchCount;
        ProposeFromNewView();
        AskForWanted();
        _lastIssued = Last(newView.Checkpoint + newView.BatchCount, Last(_stable, _lastCommitted));
        _queue.ForgetOrder();
        _suspects.ForgetOrder();
        ResetStatusTimer();
        PassOnRequests();
        for (int i = 0; i < newView.BatchCount; i++)
        {
            if (_log.Find(newView.Checkpoint + 1 + i) is { } entry && entry.View == _view)
            {
                Advance(entry);
            }
        }
        ExecuteReady();
    }

    /// <summary>
    /// The primary of the view before has requests that were sent to it alone: it passes them on, or their clients would have to
    /// wait until they send them again.
    /// </summary>
    private void PassOnRequests()
    {
        if (IsPrimary || new View(_view.Value - 1).Primary(_n) != Id)
        {
            return;
        }
        for (StoredRequest? request = _queue.First; request is not null; request = request.Next)
        {
            Relay(request.Message);
        }
    }

    /// <summary>A batch that was executed tentatively stays only if it is the new view's (§5.1.2).</summary>
    private void UndoTentative(in NewView newView)
    {
        if (_lastExecuted == _lastCommitted || !StateIsWhole)
        {
            return;
        }
        long index = _lastExecuted - newView.Checkpoint - 1;
        Digest executed = _log.Find(_lastExecuted)?.Digest ?? default;
        if (index < 0 || index >= newView.BatchCount || newView.BatchAt((int)index) != executed)
        {
            UndoTentative();
        }
    }

    /// <summary>
    /// Back to the last checkpoint before the tentative execution; what had committed since is executed again, as the new view
    /// commits it again or others say that it did.
    /// </summary>
    private void UndoTentative()
    {
        SeqNum target = _stable;
        for (int i = 0; i < _pages.CheckpointCount; i++)
        {
            target = _pages.CheckpointAt(i) <= _lastCommitted ? _pages.CheckpointAt(i) : target;
        }
        _pages.RollbackTo(target);
        _service.StateReplaced();
        _readsFrom = Last(_readsFrom, _lastExecuted);
        _lastExecuted = _lastCommitted = target;
        _observer?.OnRolledBack(Id, target);
        Counters.Rollbacks++;
    }

    private void StartFrom(in NewView newView, List<ViewChangeFacts> s)
    {
        SeqNum checkpoint = newView.Checkpoint;
        if (checkpoint <= _stable)
        {
            return;
        }
        if (checkpoint <= _lastCommitted && _pages.HasCheckpoint(checkpoint)
            && _pages.CheckpointDigest(checkpoint) == newView.CheckpointDigest)
        {
            // Stable it is only with 2f+1 votes, though f+1 suffice for the view (§3.2.4): were this replica to forget what came
            // before, it and the liars among the f+1 might be the only ones that have the checkpoint.
            return;
        }
        FetchStart(s, checkpoint, newView.CheckpointDigest);
    }

    /// <summary>What the decision rests on tells of checkpoints: of this replica itself perhaps what it said in an earlier life.</summary>
    private void FetchStart(List<ViewChangeFacts> s, SeqNum checkpoint, in Digest digest)
    {
        foreach (ViewChangeFacts m in s)
        {
            foreach (ViewChangeEntry c in m.Checkpoints)
            {
                _checkpoints.Add(c.Seq, m.Replica, c.Digest, LowWaterMark);
            }
        }
        _newViewStart = (checkpoint, digest);
        ConsiderStateTransfer(stuck: true);
    }

    /// <summary>
    /// Proposes those batches of the new view that lie inside the water marks and were not yet: again when the marks move, for a
    /// replica that was behind when the view began (pitfall 24).
    /// </summary>
    private void ProposeFromNewView()
    {
        if (!_viewActive || _newView is null || !NewView.TryParse(_newView, _config, out NewView newView))
        {
            return;
        }
        for (int i = 0; i < newView.BatchCount; i++)
        {
            SeqNum seq = newView.Checkpoint + 1 + i;
            bool proposed = _log.Find(seq) is { HasPrePrepare: true } entry && entry.View == _view;
            if (seq > LowWaterMark && seq <= HighWaterMark && !proposed && !IsWanted(seq))
            {
                Propose(seq, newView.BatchAt(i));
            }
        }
    }

    /// <summary>Marks a batch as pre-prepared in the new view; a backup that has it sends its prepare.</summary>
    private void Propose(SeqNum seq, in Digest digest)
    {
        if (!HasBatch(seq, digest))
        {
            _wanted.Add((seq, digest));
            return;
        }
        LogEntry entry = _log.GetOrAdd(seq, _view);
        RestoreBatch(entry, digest);
        entry.PrePrepared = true;
        if (_silent)
        {
            return;
        }
        LogPrePrepared(entry);
        if (!IsPrimary)
        {
            entry.Prepares.Add(Id, entry.Digest);
            SendVote(MessageTag.Prepare, entry);
        }
    }

    private void TakeOver(LogEntry entry, OldBatch batch)
    {
        entry.DropPrePrepare(_pool);
        BfsAssert.That(PrePrepare.TryParse(batch.PrePrepare, _format, out PrePrepare prePrepare) && ReadBatch(entry, prePrepare));
        int body = 0;
        for (int i = 0; i < entry.ItemCount; i++)
        {
            ref BatchItem item = ref entry.Items[i];
            item.Authentic = true;
            if (item.InlineBytes == 0)
            {
                BfsAssert.That(Request.TryParse(batch.Bodies[body++], _format, out Request request));
                // What the pre-prepare says of the client is under no digest; the request itself is.
                item.ClientIndex = _config.RequesterIndex(request.Client, request.Slot);
                item.Slot = request.Slot;
                item.Body ??= _pool.Keep(request, item.ClientIndex, authentic: true);
            }
        }
    }
}
