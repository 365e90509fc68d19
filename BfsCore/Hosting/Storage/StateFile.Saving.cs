namespace BfsCore.Hosting.Storage;

// Saving: at once, or in three steps of which the long one may run on another thread.
public sealed unsafe partial class StateFile
{
    private ImageSave? _save;

    /// <summary>A save was begun and not ended.</summary>
    public bool IsSaving => _save != null;

    /// <summary>
    /// Brings the image to checkpoint <paramref name="stable"/>, which must be held, and gives back the memory of pages
    /// that are as saved. If it throws, the state in memory is as before, the image is that of an earlier checkpoint or can
    /// be completed from the journal, and saving may be tried again.
    /// </summary>
    /// <param name="cleanStop">Nothing will be executed after this: the next start may trust it.</param>
    /// <exception cref="StateFileException">I/O failed, for example on a full disk.</exception>
    public void Save(SeqNum stable, bool cleanStop = false)
    {
        BeginSave(stable, cleanStop);
        RunSave();
        EndSave();
    }

    /// <summary>
    /// The first step: what is to be saved is written into the journal, as of the checkpoint. Afterwards the state may go on
    /// to change, and the checkpoint may be discarded.
    /// </summary>
    /// <exception cref="StateFileException">As above; nothing was begun.</exception>
    public void BeginSave(SeqNum stable, bool cleanStop = false)
    {
        // Saving a damaged state would give it a right digest.
        BfsAssert.That(State.IsTrusted && !IsSaving);
        BfsAssert.That(State.HasCheckpoint(stable) && stable >= SavedCheckpoint);
        var target = new StateMeta(State.PageCount, stable, State.CheckpointDigest(stable), cleanStop, _meta.Cluster);
        try
        {
            FinishPending();
            State.BeginSave(stable);
            _save = new ImageSave(target, State.Saving.Count == 0 ? null : WriteJournal(target));
        }
        catch (IOException e)
        {
            throw CannotSave(target, e);
        }
    }

    /// <summary>
    /// The second step, on any thread: makes the journal durable, then the image. A failure is told by <see cref="EndSave"/>.
    /// </summary>
    public void RunSave()
    {
        ImageSave save = _save!;
        try
        {
            if (save.Journal is { } journal)
            {
                _disk.Sync(StatePart.Journal);
                save.JournalIsDurable = true;
                journal.Apply(_disk);
            }
            WriteMeta(save.Target);
        }
        catch (IOException e)
        {
            save.Failure = e;
        }
    }

    /// <summary>The last step, when the second has ended: the memory of what is as saved is given back.</summary>
    /// <exception cref="StateFileException">The second step failed; see <see cref="Save"/>.</exception>
    public void EndSave()
    {
        ImageSave save = _save!;
        _save = null;
        State.EndSave(saved: save.Failure == null);
        if (save.Failure is { } failure)
        {
            if (save.JournalIsDurable)
            {
                _pending = save.Journal;
            }
            else
            {
                GiveJournalBack();
            }
            throw CannotSave(save.Target, failure);
        }
        _meta = save.Target;
        if (save.Journal is { } journal)
        {
            ShowSavedPages(journal);
        }
        VoidJournal();
    }

    /// <summary>If the disk lets us: a journal that was applied changes nothing.</summary>
    private void VoidJournal()
    {
        if (_meta.CleanStop)
        {
            GiveJournalBack();
            return;
        }
        try
        {
            StateJournal.Void(_disk);
        }
        catch (IOException)
        {
            // Whoever saves next finds out.
        }
    }

    private static StateFileException CannotSave(StateMeta target, IOException e) =>
        new($"cannot save the state at checkpoint {target.Checkpoint}: {e.Message}", e);

    private StateJournal WriteJournal(StateMeta target)
    {
        try
        {
            return StateJournal.Write(_disk, State, target);
        }
        catch (IOException)
        {
            State.EndSave(saved: false);
            GiveJournalBack();
            throw;
        }
    }

    /// <summary>Its space, if the disk still lets us: a journal that was applied or is not complete changes nothing.</summary>
    private void GiveJournalBack()
    {
        try
        {
            _disk.Resize(StatePart.Journal, 0);
        }
        catch (IOException)
        {
            // Whoever saves next finds out.
        }
    }

    private void FinishPending()
    {
        if (_pending != null)
        {
            _pending.Apply(_disk);
            WriteMeta(_pending.Target);
            _meta = _pending.Target;
            _pending = null;
        }
    }

    /// <summary>Pages not modified after the checkpoint are the same in memory and in the file.</summary>
    private void ShowSavedPages(StateJournal journal)
    {
        for (int entry = 0; entry < journal.Count;)
        {
            long first = journal.PageAt(entry);
            int run = 0;
            while (entry + run < journal.Count && journal.PageAt(entry + run) == first + run && !State.Dirty.Contains(first + run))
            {
                run++;
            }
            if (run > 0)
            {
                _mapping.ShowFile(first, run);
            }
            entry += Math.Max(run, 1);
        }
    }

    /// <summary>What a save under way brings the image to.</summary>
    /// <param name="journal">Null when no page has changed.</param>
    private sealed class ImageSave(StateMeta target, StateJournal? journal)
    {
        public StateMeta Target { get; } = target;
        public StateJournal? Journal { get; } = journal;
        public bool JournalIsDurable { get; set; }
        public IOException? Failure { get; set; }
    }
}
