namespace BfsBench;

/// <summary>The file systems that there are to compare. Another mode of the cluster is one more line here.</summary>
internal static class SystemCatalog
{
    /// <summary>T_w of BFS-PR: the thesis' window of 1.5 minutes (§8.6.3), seconds.</summary>
    private const int WatchdogSeconds = 60;

    /// <summary>So that a short turn sees recoveries too.</summary>
    private const int QuickWatchdogSeconds = 20;

    /// <summary>In the order in which they are measured: BFS beside what it is compared with most.</summary>
    public static IReadOnlyList<IFileSystemUnderTest> All(bool quick) =>
    [
        new BfsDrive(SystemNames.Bfs, [], config => config with { WatchdogSeconds = 0 }),
        new BfsDrive(SystemNames.NoRep, ["--no-rep"], config => config),
        new BfsDrive(SystemNames.BfsPr, [], config => config with { WatchdogSeconds = quick ? QuickWatchdogSeconds : WatchdogSeconds }),
        new BfsDrive(SystemNames.BfsPk, ["--bft-pk"], config => config),
        new LocalDirectory(),
        new PassThroughDrive(),
        new GlusterVolume(),
    ];

    /// <summary>The systems that were asked for and can run here. Of others it is said why not, once, loudly.</summary>
    public static IReadOnlyList<IFileSystemUnderTest> Usable(BenchmarkSettings settings, Results results)
    {
        var usable = new List<IFileSystemUnderTest>();
        foreach (IFileSystemUnderTest system in All(settings.Quick).Where(s => settings.Selects(s.Name)))
        {
            if (system.WhyNot() is not { } reason)
            {
                usable.Add(system);
                continue;
            }
            string note = $"{system.Name} was left out: {reason}";
            if (!results.Notes.Contains(note))
            {
                Output.Warn(note);
                results.Note(note);
            }
        }
        return usable.Count > 0 ? usable : throw new BenchException("none of the systems can run here");
    }
}
