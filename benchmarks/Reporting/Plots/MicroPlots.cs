using System.Globalization;
using System.Text.RegularExpressions;

namespace BfsBench;

/// <summary>Plots of the null service (§8.3).</summary>
internal static class MicroPlots
{
    public static IEnumerable<Plot> For(IReadOnlyList<Figure> figures)
    {
        foreach (string what in new[] { "argument", "result" })
        {
            if (Latency(figures, what) is { } plot)
            {
                yield return plot;
            }
        }
        foreach (string operation in new[] { "0/0", "0/4", "4/0" })
        {
            if (Throughput(figures, operation) is { } plot)
            {
                yield return plot;
            }
        }
        if (Optimizations(figures) is { } optimizations)
        {
            yield return optimizations;
        }
        if (Replicas(figures) is { } replicas)
        {
            yield return replicas;
        }
    }

    private static Plot? Latency(IReadOnlyList<Figure> figures, string what)
    {
        Series[] lines = Lines(figures, new Regex($"^latency-{what}-(?<x>[0-9]+)-(?<mode>rw|ro)$"));
        if (lines.Length == 0)
        {
            return null;
        }
        string caption = lines.FirstOrDefault(l => l.Name == "BFS read-write") is { } bfs && lines.FirstOrDefault(l => l.Name == "NO-REP read-write") is { } noRep
            ? FormattableString.Invariant($"One client: a read-write operation of BFS takes {bfs.Points[0].Y / noRep.Points[0].Y:0.0} times NO-REP's time with the smallest {what} and {bfs.Points[^1].Y / noRep.Points[^1].Y:0.0} times with the largest.")
            : $"One client: how long an operation takes, by the size of its {what}.";
        return new Plot(LinePlot.Draw($"Latency by size of the {what}", $"size of the {what} (bytes)", "latency (microseconds)", lines), caption);
    }

    private static Plot? Throughput(IReadOnlyList<Figure> figures, string operation)
    {
        Series[] lines = Lines(figures, new Regex($"^throughput-{operation}-(?<mode>rw|ro)-(?<x>[0-9]+)$"));
        if (lines.Length == 0 || lines.Max(l => l.Points.Count) < 2)
        {
            return null;
        }
        string caption = lines.FirstOrDefault(l => l.Name == "BFS read-write") is { } bfs
            ? FormattableString.Invariant($"More clients, more operations in a batch: BFS executes {ResultTable.Text(bfs.Points[0].Y)} read-write operations {operation} a second with {bfs.Points[0].X:0} client(s) and {ResultTable.Text(bfs.Points.Max(p => p.Y))} at most.")
            : $"Operations {operation} a second by the number of clients.";
        return new Plot(LinePlot.Draw($"Throughput, operation {operation} (KB of argument/result)", "clients", "operations per second", lines), caption);
    }

    private static Plot? Optimizations(IReadOnlyList<Figure> figures)
    {
        var groups = new List<BarGroup>();
        foreach (Figure with in figures.Where(f => f.System == SystemNames.Bfs && f.Benchmark.Contains("-with-", StringComparison.Ordinal)))
        {
            Figure? without = figures.FirstOrDefault(f => f.System == SystemNames.Bfs && f.Benchmark == with.Benchmark.Replace("-with-", "-without-", StringComparison.Ordinal));
            if (without is not null && !with.Benchmark.StartsWith("cpu", StringComparison.Ordinal))
            {
                // How much better the optimized one is, whatever better means.
                double better = with.Benchmark.StartsWith("latency", StringComparison.Ordinal) ? without.Value / with.Value : with.Value / without.Value;
                string[] parts = with.Benchmark.Split("-with-");
                string clients = parts[0].StartsWith("latency", StringComparison.Ordinal) ? "1 client" : parts[0].Split('-')[^1] + " clients";
                groups.Add(new BarGroup($"{groups.Count + 1}", [($"{groups.Count + 1}: {parts[1].Replace('-', ' ')}, {clients}", better)]));
            }
        }
        if (groups.Count == 0)
        {
            return null;
        }
        BarGroup best = groups.MaxBy(g => g.Bars[0].Value)!;
        return new Plot(BarPlot.DrawStacked("What each optimization brings (§8.3.3)", "optimization, and with how many clients", "times faster with it than without", groups),
            FormattableString.Invariant($"Above 1 the optimization pays, below it costs on this machine; most comes from {best.Bars[0].Name.Split(": ")[1]} ({best.Bars[0].Value:0.00} times)."));
    }

    private static Plot? Replicas(IReadOnlyList<Figure> figures)
    {
        var pattern = new Regex("^latency-(?<op>[0-9]/[0-9])-(?<mode>rw|ro)-n(?<n>[0-9]+)$");
        BarGroup[] groups = [.. figures.Where(f => f.System == SystemNames.Bfs && pattern.IsMatch(f.Benchmark))
            .GroupBy(f => pattern.Match(f.Benchmark).Groups["op"].Value + " " + ModeName(pattern.Match(f.Benchmark).Groups["mode"].Value))
            .Select(g => new BarGroup(g.Key, [.. g.Select(f => ("n = " + pattern.Match(f.Benchmark).Groups["n"].Value, f.Value))]))];
        return groups.Length == 0 ? null : new Plot(
            BarPlot.Draw("Latency by number of replicas (§8.3.4)", "operation", "latency (microseconds)", groups),
            "All replicas share this machine's cores, so that more of them cost more here than on machines of their own.");
    }

    private static Series[] Lines(IReadOnlyList<Figure> figures, Regex pattern) =>
        [.. figures.Select(f => (Figure: f, Match: pattern.Match(f.Benchmark))).Where(f => f.Match.Success)
            .GroupBy(f => $"{f.Figure.System} {ModeName(f.Match.Groups["mode"].Value)}")
            .OrderBy(g => SystemNames.Rank(g.Key.Split(' ')[0])).ThenBy(g => g.Key.EndsWith("read-only", StringComparison.Ordinal))
            .Select(g => new Series(g.Key, [.. g.Select(f => (double.Parse(f.Match.Groups["x"].Value, CultureInfo.InvariantCulture), f.Figure.Value)).OrderBy(p => p.Item1)]))];

    private static string ModeName(string mode) => mode == "ro" ? "read-only" : "read-write";
}
