namespace BfsCore.Hosting.Recovery;

/// <summary>What is asked of a recovery monitor on its socket: one line of JSON.</summary>
public sealed record MonitorCommand
{
    public const string Start = "start";
    public const string Stop = "stop";
    public const string Recover = "recover";
    public const string Status = "status";

    public string Command { get; init; } = "";

    /// <summary>Recover although another replica recovers or is missing (pitfall 40).</summary>
    public bool Force { get; init; }
}

/// <summary>What a recovery monitor answers: any number of lines of progress, then one that is the last.</summary>
public sealed record MonitorLine
{
    /// <summary>For people.</summary>
    public string? Text { get; init; }

    /// <summary>A phase that has begun, as in Table 8.11.</summary>
    public string? Phase { get; init; }

    /// <summary>The command is done.</summary>
    public bool Done { get; init; }

    /// <summary>The command has failed: why, and what to do.</summary>
    public string? Error { get; init; }

    /// <summary>The replica's process, when it runs.</summary>
    public int? Pid { get; init; }

    /// <summary>Of a recovery that has ended.</summary>
    public RecoveryRecord? Record { get; init; }

    /// <summary>Status: when the recovery under way began, UTC; null when there is none.</summary>
    public DateTime? RecoveringSince { get; init; }

    /// <summary>Status: the recovery under way takes longer than it should.</summary>
    public bool Alarm { get; init; }

    /// <summary>Status: when the watchdog starts the next recovery, UTC; null for never.</summary>
    public DateTime? NextRecovery { get; init; }

    public bool IsLast => Done || Error is not null;
}

/// <summary>
/// What a recovery monitor and its replica tell each other, one line of JSON each, over the replica's standard input and
/// output.
/// </summary>
public sealed record ControlLine
{
    /// <summary>To the replica: give way if primary, check the memory, save, and end.</summary>
    public const string Save = "save";

    /// <summary>To the replica: what do these pages belong to?</summary>
    public const string Describe = "describe";

    /// <summary>From the replica: the process is there.</summary>
    public const string Booted = "booted";

    /// <summary>From the replica: its state is restored, and it takes part.</summary>
    public const string Running = "running";

    /// <summary>From the replica: it has given way to another primary.</summary>
    public const string HandedOver = "handedOver";

    /// <summary>From the replica: its state is saved; it ends.</summary>
    public const string Saved = "saved";

    /// <summary>From the replica: pages were damaged, and are replaced.</summary>
    public const string Damaged = "damaged";

    /// <summary>From the replica: the answer to <see cref="Describe"/>.</summary>
    public const string Described = "described";

    public string Kind { get; init; } = "";

    /// <summary>Of <see cref="Damaged"/>: how it was found.</summary>
    public string? Cause { get; init; }
    public IReadOnlyList<long>? Pages { get; init; }

    /// <summary>For each page in turn.</summary>
    public IReadOnlyList<string?>? Texts { get; init; }
    public long PagesChecked { get; init; }
    public long PagesCorrupt { get; init; }

    /// <summary>The file with the pages as they were.</summary>
    public string? SavedPages { get; init; }
    public long View { get; init; }
}
