namespace BfsBench;

/// <summary>
/// Workloads on file systems that take turns: in each run every system is started, warmed up, measured and stopped, in every
/// second run in the opposite order. So what is compared is measured one soon after the other, and each is the first as often.
/// </summary>
internal static class FileBenchmark
{
    public static void Run(string title, IReadOnlyList<IFileWorkload> workloads, int runs, BenchmarkSettings settings, Results results)
    {
        List<IFileWorkload> usable = [.. workloads.Where(w => IsUsable(w, results))];
        if (usable.Count == 0)
        {
            return;
        }
        IReadOnlyList<IFileSystemUnderTest> systems = SystemCatalog.Usable(settings, results);
        usable.ForEach(w => results.Note(w.Description));
        var failed = new HashSet<string>();
        int steps = Enumerable.Range(0, runs).Sum(run => systems.Sum(s => 1 + usable.Count(w => w.TakesPart(s.Name, run))));
        Output.WithProgress(title, steps, onDone =>
        {
            foreach ((int run, IFileSystemUnderTest system) in Turns(systems, runs))
            {
                if (failed.Contains(system.Name))
                {
                    continue;
                }
                if (Turn(system, usable.Where(w => w.TakesPart(system.Name, run)), results, onDone) is { } problem)
                {
                    failed.Add(system.Name);
                    results.Failed($"{title} on {system.Name} failed: {problem}");
                }
            }
        });
    }

    /// <summary>Which system has its turn, in which run.</summary>
    public static IEnumerable<(int Run, T System)> Turns<T>(IReadOnlyList<T> systems, int runs) =>
        Enumerable.Range(0, runs).SelectMany(run => (run % 2 == 0 ? systems : systems.Reverse()).Select(system => (run, system)));

    private static bool IsUsable(IFileWorkload workload, Results results)
    {
        if (workload.WhyNot() is not { } reason)
        {
            return true;
        }
        string note = $"{workload.Name} was left out: {reason}";
        Output.Warn(note);
        results.Note(note);
        return false;
    }

    /// <returns>What went wrong, or null.</returns>
    private static string? Turn(IFileSystemUnderTest system, IEnumerable<IFileWorkload> workloads, Results results, Action<string> onDone)
    {
        try
        {
            using IFileSystemUnderTest running = system;
            string root = system.Start();
            onDone($"{system.Name} has started");
            foreach (IFileWorkload workload in workloads)
            {
                string directory = Path.Combine(root, workload.Name);
                Directory.CreateDirectory(directory + "-warm");
                workload.WarmUp(directory + "-warm");
                Directory.Delete(directory + "-warm", recursive: true);
                Directory.CreateDirectory(directory);
                workload.Run(directory, system.Name, results);
                Directory.Delete(directory, recursive: true);
                onDone($"{workload.Name} on {system.Name}");
            }
            system.Report(results);
            return null;
        }
        catch (Exception e) when (e is IOException or BenchException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }
}
