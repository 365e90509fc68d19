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
    /// <returns>The exit code: 0 when every mutant was found.</returns>
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
        int survivors = 0;
        foreach (Mutant mutant in chosen)
        {
            survivors += IsFound(workspace, mutant, seeds ?? mutant.Seeds, jobs, output) ? 0 : 1;
        }
        output.WriteLine();
        output.WriteLine($"{chosen.Count} mutants, {survivors} survived");
        return survivors == 0 ? 0 : 1;
    }

    private static bool IsFound(MutantWorkspace workspace, Mutant mutant, int seeds, int jobs, TextWriter output)
    {
        workspace.Build(mutant);
        var clock = Stopwatch.StartNew();
        string[] profile = mutant.Profile is { } name ? ["--profile", name] : [];
        (int code, string report) = workspace.Simulate(["seeds", Text(FirstSeed), Text(seeds), "--jobs", Text(jobs), "--until-failure", .. profile]);
        workspace.Restore(mutant);
        int at = report.IndexOf(SeedHunt.Found, StringComparison.Ordinal);
        string line = at < 0 ? "" : report[(at + SeedHunt.Found.Length)..].Split('\n')[0];
        bool found = code == 1 && at >= 0;
        if (!found && code != 0)
        {
            throw new InvalidOperationException($"{mutant.Name}: the simulator ended with {code}: {report}");
        }
        string seed = found ? line[..line.IndexOf(':', StringComparison.Ordinal)] : "SURVIVED";
        if (found && SeedRunner.Try(long.Parse(seed, CultureInfo.InvariantCulture)).Failure is { } failure)
        {
            throw new InvalidOperationException($"seed {seed} fails with all protections in place: {failure}");
        }
        string how = found ? Shorten(line[(seed.Length + 2)..]) : "";
        output.WriteLine($"| {mutant.Protection} | {mutant.Source} | {mutant.Name} | {seed} | {how} | {seeds} | {clock.Elapsed.TotalSeconds:F0} |");
        return found;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>The first line, fit for a cell of a table.</summary>
    private static string Shorten(string failure)
    {
        string text = failure.Trim().Replace('|', '/');
        return text.Length <= LongestFailure ? text : text[..LongestFailure] + "...";
    }
}
