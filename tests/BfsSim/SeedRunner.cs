using System.Diagnostics;

namespace BfsSim;

/// <summary>Runs seeds for the command line. Exit code 0: nothing was violated.</summary>
internal static class SeedRunner
{
    private const int ProgressSeconds = 5;

    public static int RunOne(long seed, string? profile, bool trace, TextWriter output)
    {
        using var simulation = new Simulation(seed, adjust: profile is null ? null : SimProfiles.All[profile]);
        output.WriteLine(simulation.Options);
        if (trace)
        {
            simulation.Trace = output.WriteLine;
        }
        try
        {
            SimResult result = simulation.Run();
            foreach ((string name, long count) in result.Tally.Counts)
            {
                output.WriteLine($"{count,10} {name}");
            }
            output.WriteLine(result);
            return 0;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            output.WriteLine($"seed {seed} FAILED: {e}");
            return 1;
        }
    }

    /// <param name="profile">A name in <see cref="SimProfiles"/>; null for the common mix.</param>
    public static int RunMany(long first, int count, int jobs, string? profile)
    {
        var totals = new RunTotals(profile);
        RunAll(totals, Enumerable.Range(0, count).Select(i => first + i), jobs, () => $"{totals.Seeds:N0} of {count:N0} seeds");
        totals.WriteTable(Console.Out);
        return totals.Failures.Count == 0 ? 0 : 1;
    }

    /// <param name="jsonPath">Where the summary goes, also while it runs.</param>
    public static int Soak(double minutes, long first, int jobs, string jsonPath)
    {
        var totals = new RunTotals(profile: null);
        var clock = Stopwatch.StartNew();
        Console.WriteLine($"seeds from {first}");
        RunAll(totals, SeedsUntil(), jobs, () =>
        {
            totals.WriteJson(jsonPath);
            return $"{clock.Elapsed.TotalMinutes:N1} of {minutes:N1} minutes, {totals.Seeds:N0} seeds";
        });
        totals.WriteJson(jsonPath);
        totals.WriteTable(Console.Out);
        return totals.Failures.Count == 0 ? 0 : 1;

        IEnumerable<long> SeedsUntil()
        {
            for (long seed = first; clock.Elapsed.TotalMinutes < minutes; seed++)
            {
                yield return seed;
            }
        }
    }

    private static void RunAll(RunTotals totals, IEnumerable<long> seeds, int jobs, Func<string> progress)
    {
        var clock = Stopwatch.StartNew();
        long nextProgress = ProgressSeconds;
        Parallel.ForEach(Partitioned(seeds), new ParallelOptions { MaxDegreeOfParallelism = jobs }, seed =>
        {
            if (totals.Run(seed) is { } failure)
            {
                Console.WriteLine($"seed {seed} FAILED: {failure}");
            }
            long due = Interlocked.Read(ref nextProgress);
            if (clock.Elapsed.TotalSeconds >= due
                && Interlocked.CompareExchange(ref nextProgress, (long)clock.Elapsed.TotalSeconds + ProgressSeconds, due) == due)
            {
                Console.WriteLine($"{progress()}, {totals.Operations:N0} operations, {totals.Failures.Count} failed");
            }
        });
    }

    /// <summary>One seed at a time: they take from a moment to a minute.</summary>
    private static System.Collections.Concurrent.OrderablePartitioner<long> Partitioned(IEnumerable<long> seeds) =>
        System.Collections.Concurrent.Partitioner.Create(seeds, System.Collections.Concurrent.EnumerablePartitionerOptions.NoBuffering);
}
