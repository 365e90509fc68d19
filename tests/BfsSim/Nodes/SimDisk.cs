using BfsCore;
using BfsCore.State;
using BfsSim.Network;

namespace BfsSim.Nodes;

/// <summary>
/// What a replica's files hold: the image of a stable checkpoint, the vote log since, the counters of keys. It outlives the
/// process, whose memory does not.
/// </summary>
public sealed class SimDisk
{
    private readonly SortedDictionary<long, byte[]> _pages = [];

    private (SeqNum Checkpoint, List<(long Page, byte[] Content)> Pages)? _save;

    /// <summary>A save was begun and not ended.</summary>
    public bool IsSaving => _save is not null;

    public MemoryVoteLog Votes { get; private set; } = new();

    public SimStableStore Counters { get; } = new();

    /// <summary>There is no vote log, though there once was.</summary>
    public bool VotesLost { get; set; }

    /// <summary>The checkpoint that the image holds; zero for the blank state.</summary>
    public SeqNum SavedCheckpoint { get; private set; }

    /// <summary>Brings the image to a checkpoint that the state holds.</summary>
    public void Save(PagedState state, SeqNum checkpoint)
    {
        BeginSave(state, checkpoint);
        EndSave(state);
    }

    /// <summary>The first step of a save that takes a while: what is to be saved is known.</summary>
    public void BeginSave(PagedState state, SeqNum checkpoint)
    {
        state.BeginSave(checkpoint);
        var pages = new List<(long, byte[])>();
        for (long page = state.Saving.Next(0); page >= 0; page = state.Saving.Next(page + 1))
        {
            pages.Add((page, state.PageAt(checkpoint, page).ToArray()));
        }
        _save = (checkpoint, pages);
    }

    /// <summary>The last step; a process that ended before it has saved nothing.</summary>
    public void EndSave(PagedState state)
    {
        (SeqNum checkpoint, List<(long Page, byte[] Content)> pages) = _save!.Value;
        foreach ((long page, byte[] content) in pages)
        {
            _pages[page] = content;
        }
        (SavedCheckpoint, _save) = (checkpoint, null);
        state.EndSave(saved: true);
    }

    /// <summary>The process that was saving has ended.</summary>
    public void ForgetSave()
    {
        _save = null;
        Votes.Abandon();
    }

    /// <summary>The memory of a process that starts from these files.</summary>
    public PagedState Load(long sizeBytes)
    {
        var state = new PagedState(sizeBytes);
        if (SavedCheckpoint.Value > 0)
        {
            foreach ((long page, byte[] content) in _pages)
            {
                state.InstallPage(page, content, PartitionTree.PageDigest(content));
            }
            state.TakeCheckpoint(SavedCheckpoint);
            state.DiscardBefore(SavedCheckpoint);
            state.BeginSave(SavedCheckpoint);
            state.EndSave(saved: true);
        }
        return state;
    }

    /// <summary>The state's files are gone; the log is not.</summary>
    public void LoseImage()
    {
        _pages.Clear();
        SavedCheckpoint = default;
    }

    /// <summary>Somebody changed bytes of the image, as often as not of many pages.</summary>
    public void Corrupt(SimRandom random)
    {
        foreach (byte[] content in _pages.Values)
        {
            if (random.PerMille(500))
            {
                content[random.Below(content.Length)] ^= (byte)random.Between(1, 255);
            }
        }
    }

    /// <summary>Holds what another disk holds.</summary>
    public void CopyFrom(SimDisk other)
    {
        _pages.Clear();
        foreach ((long page, byte[] content) in other._pages)
        {
            _pages[page] = content;
        }
        SavedCheckpoint = other.SavedCheckpoint;
        Votes = other.Votes.Copy();
    }

    /// <summary>Everything is gone but the counters, which are kept with the key.</summary>
    public void LoseAll()
    {
        LoseImage();
        Votes = new MemoryVoteLog();
        VotesLost = true;
    }
}
