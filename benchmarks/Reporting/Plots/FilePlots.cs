namespace BfsBench;

/// <summary>Plots of work on file systems (§8.6).</summary>
internal static class FilePlots
{
    public static IEnumerable<Plot> For(IReadOnlyList<Figure> figures)
    {
        foreach (string name in figures.Select(f => f.Benchmark).Where(b => b.StartsWith("andrew", StringComparison.Ordinal) && b.EndsWith("-total", StringComparison.Ordinal)).Distinct())
        {
            string andrew = name[..^"-total".Length];
            yield return Andrew(figures, andrew);
            yield return Groups(figures, $"{andrew}: time of each phase", "phase", "seconds (logarithmic)",
                [.. AndrewBenchmark.Phases.Select(p => ($"{andrew}-{p}", p))], true,
                $"{andrew}, phase by phase: the systems differ most where the program waits for each operation, least where it compiles.");
        }
        if (Has(figures, "postmark-transactions"))
        {
            yield return Groups(figures, "PostMark: throughput", "", "transactions per second (logarithmic)", [("postmark-transactions", "transactions")], true,
                "PostMark: more is better; " + Comparison(figures, "postmark-transactions", "transactions per second") + ".");
        }
        if (Has(figures, "postmark-create"))
        {
            yield return Groups(figures, "PostMark's operations: median time", "operation", "microseconds (logarithmic)",
                [("postmark-create", "create"), ("postmark-delete", "delete"), ("postmark-read", "read"), ("postmark-append", "append")], true,
                "The time of one operation with its open and close: less is better; " + Comparison(figures, "postmark-create", "time to create a file") + ".");
        }
        if (Has(figures, "sequential-write"))
        {
            yield return Groups(figures, "One large file, and dbench with four clients", "", "MB/s (logarithmic)",
                [("sequential-write", "write"), ("sequential-read", "read"), ("dbench", "dbench")], true,
                "More is better; " + Comparison(figures, "sequential-write", "rate of writing") + ".");
        }
    }

    /// <summary>"BFS has 1.14 times NO-REP's ..."</summary>
    private static string Comparison(IReadOnlyList<Figure> figures, string benchmark, string what)
    {
        Figure? bfs = figures.FirstOrDefault(f => f.Benchmark == benchmark && f.System == SystemNames.Bfs);
        if (bfs is null)
        {
            return $"the {what} of each system";
        }
        IEnumerable<string> others = figures.Where(f => f.Benchmark == benchmark && (f.System is SystemNames.NoRep or SystemNames.GlusterFs))
            .Select(f => FormattableString.Invariant($"{bfs.Value / f.Value:0.00} times {f.System}'s"));
        string all = string.Join(" and ", others);
        return all.Length == 0 ? $"the {what} of BFS is {ResultTable.Text(bfs.Value)} {bfs.Unit}" : $"the {what} of BFS is {all}";
    }

    private static Plot Andrew(IReadOnlyList<Figure> figures, string andrew)
    {
        string[] systems = [.. figures.Where(f => f.Benchmark == andrew + "-total").Select(f => f.System).OrderBy(SystemNames.Rank)];
        BarGroup[] groups = [.. systems.Select(system => new BarGroup(system,
            [.. AndrewBenchmark.Phases.Select(p => (p, figures.First(f => f.Benchmark == $"{andrew}-{p}" && f.System == system).Value))]))];
        return new Plot(BarPlot.DrawStacked($"{andrew}: elapsed time", "system", "seconds", groups),
            $"{andrew}, five phases on top of each other: less is better; {Comparison(figures, andrew + "-total", "time for all phases")}.");
    }

    private static Plot Groups(IReadOnlyList<Figure> figures, string title, string xTitle, string yTitle, (string Benchmark, string Label)[] benchmarks,
        bool logarithmic, string caption)
    {
        BarGroup[] groups = [.. benchmarks.Where(b => Has(figures, b.Benchmark)).Select(b => new BarGroup(b.Label,
            [.. figures.Where(f => f.Benchmark == b.Benchmark).OrderBy(f => SystemNames.Rank(f.System)).Select(f => (f.System, f.Value))]))];
        return new Plot(BarPlot.Draw(title, xTitle, yTitle, groups, logarithmic), caption);
    }

    private static bool Has(IReadOnlyList<Figure> figures, string benchmark) => figures.Any(f => f.Benchmark == benchmark);
}
