using BfsCore.State;

namespace BfsCore.Hosting.Storage;

/// <summary>What was found on disk.</summary>
public enum StateFileStatus
{
    /// <summary>Nothing: the state is blank.</summary>
    New,

    /// <summary>A saved checkpoint, after which the process ended in order.</summary>
    CleanStop,

    /// <summary>A saved checkpoint; what the process did after it is not here.</summary>
    UncleanStop,

    /// <summary>
    /// The files do not hold what they say: the state must not be trusted. What is right of it need not be fetched again.
    /// </summary>
    Damaged,
}

/// <summary>Files that cannot be used as they are or could not be written; the message says what to do.</summary>
public sealed class StateFileException : IOException
{
    public StateFileException() { }
    public StateFileException(string message) : base(message) { }
    public StateFileException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>
/// A replica's state on disk: always the image of a stable checkpoint. The image is mapped copy-on-write, so that
/// execution never changes the file; <see cref="Save"/> brings it from one stable checkpoint to a later one through a
/// journal, so that a stop at any moment leaves the one or the other. Linux only. This part opens; .Saving saves.
/// </summary>
public sealed unsafe partial class StateFile : IDisposable
{
    /// <summary>Modified bytes from which the state is to be saved, so that they do not fill the memory.</summary>
    public const long LargeBytes = 64L << 20;

    private readonly IStateDisk _disk;
    private readonly MappedImage _mapping;
    private StateMeta _meta;

    // What state.meta says; not yet _meta when a journal was replayed at the start.
    private StateMeta? _written;

    // A complete journal that the image does not hold yet: an earlier save failed half way, say on a full disk.
    private StateJournal? _pending;

    private StateFile(IStateDisk disk, MappedImage mapping, StateMeta meta, StateMeta? written)
    {
        _disk = disk;
        _mapping = mapping;
        _meta = meta;
        _written = written;
        State = new PagedState(mapping.Memory, meta.Pages, mapping);
    }

    public PagedState State { get; }

    public StateFileStatus Status { get; private set; }

    /// <summary>The status in words, for the log and the operator.</summary>
    public string StatusText { get; private set; } = "";

    /// <summary>Pages that the start found in use and computed the digests of.</summary>
    public long PagesChecked { get; private set; }

    /// <summary>The checkpoint that the image on disk holds.</summary>
    public SeqNum SavedCheckpoint => _meta.Checkpoint;

    /// <summary>Bytes modified in memory since the last save that has ended.</summary>
    public long UnsavedBytes => (State.Dirty.Count + State.Saving.Count) * PagedState.PageBytes;

    /// <summary>
    /// Opens or creates the state in a directory, finishes a save that was interrupted, and checks every page that is not a
    /// hole against the saved root digest (about half a second per gigabyte and processor). From here on the files count as
    /// in use, until a save says that the process ends. A damaged state opens too, as one that is not trusted
    /// (<see cref="PagedState.IsTrusted"/>): its files change only when it was made whole and is saved.
    /// </summary>
    /// <param name="sizeBytes">A multiple of the page size; must be what the files were made with.</param>
    /// <param name="cluster">What the files must have been made for; zero to take any.</param>
    /// <exception cref="StateFileException">
    /// Another process has the files, they are of another size or cluster, or I/O fails.
    /// </exception>
    public static StateFile Open(string directory, long sizeBytes, Digest cluster = default)
    {
        IStateDisk? disk = null;
        try
        {
            disk = new StateDisk(directory);
            return Open(disk, sizeBytes, cluster);
        }
        catch (Exception e) when (e is not StateFileException and (IOException or UnauthorizedAccessException))
        {
            disk?.Dispose();
            throw new StateFileException($"cannot open the state in {directory}: {e.Message}", e);
        }
        catch
        {
            disk?.Dispose();
            throw;
        }
    }

    internal static StateFile Open(IStateDisk disk, long sizeBytes, Digest cluster = default)
    {
        BfsAssert.That(sizeBytes > 0 && sizeBytes % PagedState.PageBytes == 0);
        long pages = sizeBytes / PagedState.PageBytes;
        byte[] metaBytes = disk.ReadMeta();
        StateMeta? written = StateMeta.Decode(metaBytes);
        StateMeta? found = written;
        RefuseOthers(found, sizeBytes, cluster);
        string? problem = FirstProblem(disk, metaBytes, found, sizeBytes);
        if (problem == null && found != null)
        {
            found = Replay(disk, found.Value);
            PunchUnused(disk, found.Value.Used * PagedState.PageBytes);
        }
        StateMeta meta = (found ?? Nothing(pages)) with { Cluster = cluster };
        if (disk.Length(StatePart.Image) != sizeBytes)
        {
            disk.Resize(StatePart.Image, sizeBytes);
            disk.Sync(StatePart.Image);
        }
        var file = new StateFile(disk, disk.MapImage(), meta, written);
        try
        {
            file.Load(problem, isNew: found == null);
        }
        catch
        {
            file.State.Dispose();
            throw;
        }
        return file;
    }

    /// <summary>
    /// What was saved was of no checkpoint, whatever number it had (§4.3.2): the next save may be of a lower one. To be called
    /// when the state in memory is distrusted. The files stay as they are until then.
    /// </summary>
    public void ForgetSaved()
    {
        BfsAssert.That(!State.IsTrusted && _save == null);
        _meta = Nothing(_meta.Pages) with { Used = _meta.Used, Cluster = _meta.Cluster };
        _pending = null;
    }

    /// <summary>Frees the memory; what was not saved is lost.</summary>
    public void Dispose()
    {
        State.Dispose();
        _disk.Dispose();
    }

    /// <summary>Files that are whole but not this replica's are left alone.</summary>
    private static void RefuseOthers(StateMeta? meta, long sizeBytes, Digest cluster)
    {
        if (meta is { } m && m.Pages != sizeBytes / PagedState.PageBytes)
        {
            throw new StateFileException($"the saved state has {m.Pages * PagedState.PageBytes} bytes, the cluster file "
                + $"says {sizeBytes}: the size of a state cannot change");
        }
        if (meta is { Cluster.IsZero: false } other && !cluster.IsZero && other.Cluster != cluster)
        {
            throw new StateFileException("the saved state was made for another cluster: its replicas have other keys, or another mode. "
                + "Move state.image, state.journal and state.meta away if they are not needed");
        }
    }

    private static string? FirstProblem(IStateDisk disk, byte[] metaBytes, StateMeta? meta, long sizeBytes)
    {
        long imageBytes = disk.Length(StatePart.Image);
        bool blank = meta == null && metaBytes.Length == 0 && !disk.TryNextData(0, out _, out _);
        if (imageBytes > sizeBytes && !blank)
        {
            throw new StateFileException($"state.image has {imageBytes} bytes instead of {sizeBytes}");
        }
        if (meta == null && metaBytes.Length > 0)
        {
            return "state.meta is damaged or of another version";
        }
        if (meta == null && !blank)
        {
            return "state.meta is missing beside a state.image that is not empty";
        }
        return meta != null && imageBytes < sizeBytes
            ? $"state.image has {imageBytes} bytes instead of {sizeBytes}"
            : null;
    }

    /// <summary>Finishes a save whose journal is complete: an older journal changes nothing, since it was applied.</summary>
    private static StateMeta Replay(IStateDisk disk, StateMeta meta)
    {
        StateJournal? journal = StateJournal.Read(disk);
        if (journal == null || journal.Target.Pages != meta.Pages || journal.Target.Checkpoint < meta.Checkpoint)
        {
            return meta;
        }
        journal.Apply(disk);
        bool alreadyApplied = journal.Target.Checkpoint == meta.Checkpoint && journal.Target.Root == meta.Root;
        return alreadyApplied ? meta : journal.Target with { Cluster = meta.Cluster };
    }

    /// <summary>No checkpoint, in an image of which nothing is known.</summary>
    private static StateMeta Nothing(long pages) => new(pages, default, default, CleanStop: false, Used: pages);

    /// <summary>What a save left that did not come to its end. A file system without holes has zeros there.</summary>
    private static void PunchUnused(IStateDisk disk, long from)
    {
        var piece = new byte[1 << 20];
        while (disk.TryNextData(from, out long start, out long end))
        {
            int length = (int)Math.Min(piece.Length, end - start);
            disk.Read(StatePart.Image, start, piece.AsSpan(0, length));
            if (piece.AsSpan(0, length).ContainsAnyExcept((byte)0))
            {
                disk.PunchImage(start, length);
            }
            from = start + length;
        }
    }

    private void Load(string? problem, bool isNew)
    {
        HashUsedPages();
        State.FinishImage(_meta.Checkpoint);
        _mapping.ExpectRandomAccess();
        if (problem == null && State.CheckpointDigest(_meta.Checkpoint) != _meta.Root)
        {
            problem = $"state.image does not have the digest of checkpoint {_meta.Checkpoint}";
        }
        Report(problem, isNew);
        if (problem == null)
        {
            _meta = _meta with { CleanStop = false, Used = State.EndOfUse(_meta.Checkpoint) };
            _mapping.ExpectHoleFrom(_meta.Used);
            WriteMeta(_meta);
            StateJournal.Void(_disk);
        }
        else
        {
            Distrust(wasBlank: _written is { Checkpoint.Value: 0, Root.IsZero: true });
        }
    }

    /// <summary>All processors take part: a start must not take long.</summary>
    private void HashUsedPages()
    {
        const long PiecePages = 1024;
        var pieces = new List<(long First, long Count)>();
        long position = 0;
        while (_disk.TryNextData(position, out long start, out long end))
        {
            long last = (end - 1) / PagedState.PageBytes;
            for (long first = start / PagedState.PageBytes; first <= last; first += PiecePages)
            {
                pieces.Add((first, Math.Min(PiecePages, last - first + 1)));
                PagesChecked += pieces[^1].Count;
            }
            position = end;
        }
        Parallel.ForEach(pieces, piece => State.HashImagePages(piece.First, piece.Count));
    }

    /// <summary>What the image was meant to be is known only if it was blank.</summary>
    private void Distrust(bool wasBlank)
    {
        _meta = Nothing(_meta.Pages) with { Cluster = _meta.Cluster };
        State.Distrust();
        if (wasBlank)
        {
            State.Blank();
        }
    }

    private void Report(string? problem, bool isNew)
    {
        (Status, StatusText) = problem != null ? (StateFileStatus.Damaged, "the state is damaged: " + problem)
            : isNew ? (StateFileStatus.New, "a new, blank state")
            : _meta.CleanStop ? (StateFileStatus.CleanStop, $"checkpoint {_meta.Checkpoint}, stopped cleanly")
            : (StateFileStatus.UncleanStop, $"checkpoint {_meta.Checkpoint}, not stopped cleanly: later work is not saved here");
    }

    private void WriteMeta(StateMeta meta)
    {
        if (meta != _written)
        {
            _written = null;
            _disk.ReplaceMeta(meta.Encode());
            _written = meta;
        }
    }
}
