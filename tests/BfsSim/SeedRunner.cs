using System.Diagnostics;
using BfsCore;

namespace BfsSim;

/// <summary>Runs seeds for the command line.</summary>
internal static class SeedRunner
{
    private const int ProgressSeconds = 5;

    /// <returns>The exit code: 0 when nothing was violated.</returns>
    public static int RunOne(long seed, bool trace, TextWriter output)
    {
        using var simulation = new Simulation(seed);
        output.WriteLine(simulation.Options);
        if (trace)
        {
            simulation.Trace = output.WriteLine;
        }
        try
        {
            output.WriteLine(simulation.Run());
            return 0;
        }
        catch (Exception e) when (e is SimulationException or BfsAssertException)
        {
            output.WriteLine($"seed {seed} FAILED: {e}");
            return 1;
        }
    }

    /// <returns>The exit code: 0 when nothing was violated.</returns>
    public static int RunMany(long first, int count, int jobs, TextWriter output)
    {
        var lockObject = new Lock();
        var clock = Stopwatch.StartNew();
        var failures = new SortedDictionary<long, string>();
        long operations = 0, messages = 0, transfers = 0;
        int done = 0, nextProgress = ProgressSeconds;
        Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = jobs }, i =>
        {
            (SimResult? result, string? failure) = Try(first + i);
            lock (lockObject)
            {
                done++;
                operations += result?.Operations ?? 0;
                messages += result?.Messages ?? 0;
                transfers += result?.StateTransfers ?? 0;
                if (failure is not null)
                {
                    failures[first + i] = failure;
                    output.WriteLine($"seed {first + i} FAILED: {failure}");
                }
                if (clock.Elapsed.TotalSeconds >= nextProgress)
                {
                    nextProgress = (int)clock.Elapsed.TotalSeconds + ProgressSeconds;
                    output.WriteLine($"{done} of {count} seeds, {failures.Count} failed");
                }
            }
        });
        output.WriteLine($"{count} seeds in {clock.Elapsed.TotalSeconds:F1} s: {operations} operations, {messages} messages, "
            + $"{transfers} state transfers; {failures.Count} failed");
        foreach ((long seed, string failure) in failures)
        {
            output.WriteLine($"  dotnet run --project tests/BfsSim -c Release -- seed {seed}    {failure}");
        }
        return failures.Count == 0 ? 0 : 1;
    }

    public static (SimResult? Result, string? Failure) Try(long seed)
    {
        try
        {
            using var simulation = new Simulation(seed);
            return (simulation.Run(), null);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return (null, e.Message);
        }
    }
}
