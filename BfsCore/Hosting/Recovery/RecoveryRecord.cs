namespace BfsCore.Hosting.Recovery;

/// <summary>A phase of a recovery as in Table 8.11.</summary>
public sealed record PhaseTime(string Name, double Millis);

/// <summary>A page that was not what its digest or the other replicas say.</summary>
/// <param name="What">What it belongs to, as far as that is known: "inode 17 (/src/main.c)".</param>
public sealed record CorruptPage(long Page, string? What);

/// <summary>
/// The record of one recovery, or of damage that was found without one; one line of JSON in recoveries.jsonl. What the
/// replica said of itself before its restart is not to be trusted if it was taken over.
/// </summary>
public sealed record RecoveryRecord
{
    /// <summary>When it began, UTC.</summary>
    public DateTime Time { get; init; }
    public int Replica { get; init; }

    /// <summary>"operator", "watchdog"; or "scrubbing", "start": damage that was found otherwise.</summary>
    public string Cause { get; init; } = "";

    /// <summary>The operator's name, as the kernel knows the process that asked.</summary>
    public string? Who { get; init; }

    /// <summary>"recovered", "repaired" (damage found otherwise), or "failed".</summary>
    public string Outcome { get; init; } = "";

    /// <summary>What went wrong, in a sentence.</summary>
    public string? Error { get; init; }
    public IReadOnlyList<PhaseTime> Phases { get; init; } = [];
    public double TotalMillis { get; init; }

    /// <summary>Longer than the cluster file's recoveryAlarmSeconds.</summary>
    public bool Alarm { get; init; }

    /// <summary>The replica was the primary and gave way to another before it was stopped.</summary>
    public bool HandedOver { get; init; }

    /// <summary>The replica saved its state when it was told to; if not, it was ended by force.</summary>
    public bool StateSaved { get; init; }
    public long ViewBefore { get; init; }
    public long ViewAfter { get; init; }

    /// <summary>H_M, n_R and H of §4.3.2.</summary>
    public long Bound { get; init; }
    public long RequestSeq { get; init; }
    public long Point { get; init; }

    /// <summary>Pages in use that were compared with their digests in memory, before the restart.</summary>
    public long MemoryPagesChecked { get; init; }

    /// <summary>Pages in use of the image on disk whose digests were computed by the restart, for the comparison with the others.</summary>
    public long PagesChecked { get; init; }

    /// <summary>Pages fetched from the others, because they were old or damaged.</summary>
    public long PagesFetched { get; init; }

    /// <summary>All damaged pages that were found; the list may be shorter.</summary>
    public long PagesCorrupt { get; init; }
    public IReadOnlyList<CorruptPage> CorruptPages { get; init; } = [];

    /// <summary>Files with the damaged pages: for each its number (8 bytes, little-endian) and its 4096 bytes.</summary>
    public IReadOnlyList<string> SavedPages { get; init; } = [];
    public IReadOnlyList<TamperedFile> ProgramFiles { get; init; } = [];
}
