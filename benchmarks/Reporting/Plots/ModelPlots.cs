namespace BfsBench;

/// <summary>Plots of the performance model: prediction beside measurement, more replicas, other networks (§8.3.4, §8.3.5).</summary>
internal static class ModelPlots
{
    public static IEnumerable<Plot> For(IReadOnlyList<Figure> figures)
    {
        if (Compared(figures, "latency", "microseconds") is { } latency)
        {
            yield return latency;
        }
        if (Compared(figures, "throughput", "operations a second") is { } throughput)
        {
            yield return throughput;
        }
        if (Slowdown(figures) is { } slowdown)
        {
            yield return slowdown;
        }
        if (Networks(figures) is { } networks)
        {
            yield return networks;
        }
    }

    private static Plot? Compared(IReadOnlyList<Figure> figures, string what, string unit)
    {
        string prefix = $"model-{ModelBenchmark.Measured}-{what}-", other = $"model-{ModelBenchmark.Predicted}-{what}-";
        BarGroup[] groups = [.. figures.Where(f => f.System == SystemNames.Bfs && f.Benchmark.StartsWith(prefix, StringComparison.Ordinal) && f.Benchmark.EndsWith("-n4", StringComparison.Ordinal))
            .Select(f => new BarGroup(f.Benchmark[prefix.Length..^3], [(ModelBenchmark.Measured, f.Value),
                (ModelBenchmark.Predicted, figures.First(p => p.System == f.System && p.Benchmark == other + f.Benchmark[prefix.Length..]).Value)]))];
        return groups.Length == 0 ? null : new Plot(BarPlot.Draw($"The performance model (chapter 7): {what}", "operation", unit, groups),
            FormattableString.Invariant($"What digests, MACs and messages alone should come to, beside what was measured with four replicas; the prediction is off by {groups.Min(Error):0} to {groups.Max(Error):0} %."));
    }

    private static double Error(BarGroup group) => 100 * ((group.Bars[1].Value / group.Bars[0].Value) - 1);

    private static Plot? Slowdown(IReadOnlyList<Figure> figures)
    {
        const string prefix = "model-slowdown-";
        Series[] lines = [.. figures.Where(f => f.Benchmark.StartsWith(prefix, StringComparison.Ordinal))
            .GroupBy(f => f.Benchmark[prefix.Length..f.Benchmark.LastIndexOf("-f", StringComparison.Ordinal)])
            .Select(g => new Series(g.Key, [.. g.Select((f, i) => ((double)(i + 1), f.Value))]))];
        return lines.Length == 0 ? null : new Plot(LinePlot.Draw("Predicted latency with more replicas (§8.3.4)", "faults that are tolerated (f of 3f+1)", "times the latency with f = 1", lines),
            FormattableString.Invariant($"On separate machines with a fast network, ten faults instead of one cost {lines.Min(l => l.Points[^1].Y):0.0} to {lines.Max(l => l.Points[^1].Y):0.0} times the latency, the model predicts."));
    }

    private static Plot? Networks(IReadOnlyList<Figure> figures)
    {
        BarGroup[] groups = [.. new[] { "wan", "fast-lan" }.Select(n => new BarGroup(n, [.. figures
            .Where(f => f.Benchmark.StartsWith($"model-{n}-", StringComparison.Ordinal)).Select(f => (f.Benchmark[$"model-{n}-".Length..], f.Value))]))
            .Where(g => g.Bars.Count > 0)];
        return groups.Length == 0 ? null : new Plot(BarPlot.Draw("Predicted latency in other networks (§8.3.5)", "network", "times NO-REP", groups),
            "Far apart, a read-write operation takes one round trip more than an unreplicated server, and a read-only one none.");
    }
}
