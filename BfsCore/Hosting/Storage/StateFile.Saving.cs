using BfsCore.State;

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
    /// The first step: what is to be saved is written, as of the checkpoint: pages behind all that the image has in use to their places,
    /// where nothing is lost by it, the others into the journal. Afterwards the state may go on to change, and the checkpoint may be
    /// discarded.
    /// </summary>
    /// <exception cref="StateFileException">As above; nothing was begun.</exception>
    public void BeginSave(SeqNum stable, bool cleanStop = false)
    {
        // Saving a damaged state would give it a right digest.
        BfsAssert.That(State.IsTrusted && !IsSaving);
        BfsAssert.That(State.HasCheckpoint(stable) && stable >= SavedCheckpoint);
        var target = new StateMeta(
            State.PageCount, stable, State.CheckpointDigest(stable), cleanStop, State.EndOfUse(stable), _meta.Cluster);
        try
        {
            FinishPending();
            State.BeginSave(stable);
            _save = State.Saving.Count == 0 ? new ImageSave(target, null) : WritePages(target);
        }
        catch (IOException e)
        {
            throw CannotSave(target, e);
        }
    }

    /// <summary>
    /// The second step, on any thread: makes what was written durable, then brings the journal's pages to the image. A failure is told by
    /// <see cref="EndSave"/>.
    /// </summary>
    public void RunSave()
    {
        ImageSave save = _save!;
        try
        {
            if (save.Journal is { } journal)
            {
                // First the pages that are in their places: whoever finds the journal complete counts on them.
                _disk.Sync(StatePart.Image);
                journal.Complete(_disk);
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
        if (save.Failure is { } failure)
        {
            State.EndSave(saved: false);
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
        _mapping.ShowFile(State.Saving, State.Dirty, page => State.CurrentPageDigest(page).IsZero);
        State.EndSave(saved: true);
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

    private ImageSave WritePages(StateMeta target)
    {
        try
        {
            var journal = StateJournal.Write(_disk, State, target, end: _meta.Used);
            WriteNewPages(target.Checkpoint);
            return new ImageSave(target, journal);
        }
        catch (IOException)
        {
            State.EndSave(saved: false);
            GiveJournalBack();
            throw;
        }
    }

    /// <summary>
    /// What a stop leaves of this the next start takes away, unless the save came so far that it counts. So does this, where a save that
    /// failed left pages that are zero now.
    /// </summary>
    private void WriteNewPages(SeqNum stable)
    {
        const int MostPages = 256;
        long run = 0;
        for (long page = State.Saving.Next(_meta.Used); page >= 0; page = State.Saving.Next(page + run))
        {
            run = 1;
            bool zero = IsZero(page);
            while (page + run < State.PageCount && (zero || run < MostPages) && State.Saving.Contains(page + run) && IsZero(page + run) == zero)
            {
                run++;
            }
            if (zero)
            {
                _disk.PunchImage(page * PagedState.PageBytes, run * PagedState.PageBytes);
                continue;
            }
            ReadOnlySpan<byte> content = State.PagesAt(stable, page, run);
            run = content.Length / PagedState.PageBytes;
            _disk.Write(StatePart.Image, page * PagedState.PageBytes, content);
        }

        bool IsZero(long page) => State.NodeDigestAt(stable, State.Levels - 1, page).IsZero;
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
