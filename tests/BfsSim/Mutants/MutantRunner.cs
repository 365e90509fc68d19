using System.Diagnostics;
using System.Globalization;

namespace BfsSim.Mutants;

/// <summary>
/// Tests the tests: removes one protection after the other and looks whether seeds find the violation. A protection that
/// can go without a seed that fails is one that nobody watches over.
/// </summary>
internal static class MutantRunner
{
    private const int FirstSeed = 1;
    private const int LongestFailure = 150;

    /// <param name="only">Names to run, or none for all.</param>
    /// <param name="seeds">Instead of the number that each mutant states.</param>
    /// <returns>The exit code: 0 when every mutant was found that is not expected to survive.</returns>
    public static int Run(IReadOnlyList<string> only, int? seeds, int jobs, TextWriter output)
    {
        List<Mutant> chosen = [.. MutantList.All.Where(m => only.Count == 0 || only.Contains(m.Name))];
        if (only.FirstOrDefault(name => !chosen.Exists(m => m.Name == name)) is { } unknown)
        {
            output.WriteLine($"no mutant is called {unknown}; there are {string.Join(", ", MutantList.All.Select(m => m.Name))}");
            return 2;
        }
        using var workspace = new MutantWorkspace(MutantWorkspace.FindSources());
        output.WriteLine("| protection removed | demanded by | mutant | found at seed | as | within | s |");
        output.WriteLine("|---|---|---|---|---|---|---|");
        int survivors = 0, unexpected = 0;
        foreach (Mutant mutant in chosen)
        {
            bool found = IsFound(workspace, mutant, seeds ?? mutant.Seeds, jobs, output);
            survivors += found ? 0 : 1;
            unexpected += found || mutant.Survives is not null ? 0 : 1;
        }
        output.WriteLine();
        output.WriteLine($"{chosen.Count} mutants, {survivors} survived, {unexpected} of them unexpectedly");
        return unexpected == 0 ? 0 : 1;
    }

    private static bool IsFound(MutantWorkspace workspace, Mutant mutant, int seeds, int jobs, TextWriter output)
    {
        workspace.Build(mutant);
        var clock = Stopwatch.StartNew();
        long end = FirstSeed + seeds;
        (long Seed, string Failure)? found = Hunt(workspace, mutant, FirstSeed, end, jobs);
        while (found is { } candidate && SeedHunt.FailureOf(candidate.Seed, mutant.Profile, !mutant.Stops) is { } failure)
        {
            output.WriteLine($"seed {candidate.Seed} fails with all protections in place: {failure}");
            found = candidate.Seed + 1 < end ? Hunt(workspace, mutant, candidate.Seed + 1, end, jobs) : null;
        }
        workspace.Restore(mutant);
        string where = found is { } violation ? $"{violation.Seed} | {Shorten(violation.Failure)}" : $"SURVIVED | {mutant.Survives}";
        output.WriteLine($"| {mutant.Protection} | {mutant.Source} | {mutant.Name} | {where} | {seeds} of {mutant.Profile ?? "all"} | {clock.Elapsed.TotalSeconds:F0} |");
        return found is not null;
    }

    /// <summary>The first seed that fails in the simulator that was built last.</summary>
    private static (long Seed, string Failure)? Hunt(MutantWorkspace workspace, Mutant mutant, long first, long end, int jobs)
    {
        (int code, string report) = workspace.Simulate(["seeds", Text(first), Text(end - first), "--jobs", Text(jobs), "--until-failure",
            .. mutant.Profile is { } profile ? ["--profile", profile] : Array.Empty<string>(), .. mutant.Stops ? Array.Empty<string>() : ["--safety"]]);
        int at = report.IndexOf(SeedHunt.Found, StringComparison.Ordinal);
        if (at < 0)
        {
            return code == 0 ? null : throw new InvalidOperationException($"the simulator ended with {code}: {report}");
        }
        string line = report[(at + SeedHunt.Found.Length)..].Split('\n')[0];
        int colon = line.IndexOf(':', StringComparison.Ordinal);
        return (long.Parse(line[..colon], CultureInfo.InvariantCulture), line[(colon + 1)..].Trim());
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>Fit for a cell of a table.</summary>
    private static string Shorten(string failure)
    {
        string text = failure.Replace('|', '/');
        return text.Length <= LongestFailure ? text : text[..LongestFailure] + "...";
    }
}
