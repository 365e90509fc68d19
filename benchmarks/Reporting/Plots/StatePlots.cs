using System.Globalization;

namespace BfsBench;

/// <summary>Plots of checkpoints, growth, state transfers and view changes (§8.4, §8.5).</summary>
internal static class StatePlots
{
    public static IEnumerable<Plot> For(IReadOnlyList<Figure> figures)
    {
        if (Checkpoint(figures) is { } checkpoint)
        {
            yield return checkpoint;
        }
        foreach ((string what, string title) in new[] { ("state", "size of the state (MB)"), ("directory", "names in the directory"), ("files", "files in the system"), ("operation-files", "files in the system, whole operations"),
            ("operation-state", "size of the state (MB), whole operations"), ("clients", "clients that the cluster knows") })
        {
            if (Growth(figures, what, title) is { } plot)
            {
                yield return plot;
            }
        }
        if (ViewChanges(figures) is { } viewChanges)
        {
            yield return viewChanges;
        }
        if (Transfers(figures) is { } transfers)
        {
            yield return transfers;
        }
    }

    private static Plot? Checkpoint(IReadOnlyList<Figure> figures)
    {
        Series[] lines = [.. new[] { "copy", "digest" }.SelectMany(part => new[] { "consecutive", "random" }.Select(order =>
            new Series($"{part}, {order}", Points(figures, $"checkpoint-{part}-{order}-")))).Where(l => l.Points.Count > 0)];
        if (lines.Length == 0)
        {
            return null;
        }
        Figure? page = figures.FirstOrDefault(f => f.Benchmark == "checkpoint-page-random");
        return new Plot(LinePlot.Draw("Cost of a checkpoint (§8.4.1)", "pages modified since the last checkpoint", "microseconds", lines),
            "Copies and digests grow in proportion to the pages modified" + (page is null ? "."
                : FormattableString.Invariant($": {page.Value:0.0} microseconds for each, where the thesis had {GoalCatalog.ThesisPageMicros} and we ask for {GoalCatalog.MostPageMicros}.")));
    }

    private static Plot? Growth(IReadOnlyList<Figure> figures, string what, string title)
    {
        IReadOnlyList<(double X, double Y)> points = Points(figures, $"growth-{what}-");
        if (points.Count < 2)
        {
            return null;
        }
        var lines = new List<Series> { new(SystemNames.Bfs, Relative(points)) };
        if (Points(figures, $"growth-{what}-all-in-use-") is { Count: > 1 } all)
        {
            lines.Add(new Series("all of it in use", Relative(all)));
        }
        string when = lines.Count > 1 ? ", with as much in use as before" : "";
        return new Plot(LinePlot.Draw($"Cost of an operation by {title}", title, "times the cost at the left", lines, logarithmicX: true, (GoalCatalog.MostGrowth, FormattableString.Invariant($"aim: below {GoalCatalog.MostGrowth}"))),
            FormattableString.Invariant($"From {Axis.Label(points[0].X)} to {Axis.Label(points[^1].X)} the cost of an operation at a server goes from {points[0].Y:0.0} to {points[^1].Y:0.0} microseconds{when}: {points[^1].Y / points[0].Y:0.00} times."));
    }

    private static (double, double)[] Relative(IReadOnlyList<(double X, double Y)> points) => [.. points.Select(p => (p.X, p.Y / points[0].Y))];

    private static Plot? ViewChanges(IReadOnlyList<Figure> figures)
    {
        const string prefix = "view-change-";
        string[] loads = [.. figures.Where(f => f.Benchmark.StartsWith(prefix + "mean-", StringComparison.Ordinal)).Select(f => f.Benchmark[(prefix + "mean-").Length..])];
        BarGroup[] groups = [.. loads.Select(load => new BarGroup(load,
            [("median", Value(figures, prefix + load)), ("mean", Value(figures, prefix + "mean-" + load)), ("ninth decile", Value(figures, prefix + "p90-" + load))]))];
        return groups.Length == 0 ? null : new Plot(BarPlot.Draw("View changes (§8.5)", "load", "milliseconds", groups),
            FormattableString.Invariant($"From its VIEW-CHANGE until it is ready in the new view, a replica takes {groups[0].Bars[0].Value:0.0} ms when idle and at most {groups.Max(g => g.Bars[0].Value):0.0} ms under these loads (medians)."));
    }

    private static Plot? Transfers(IReadOnlyList<Figure> figures)
    {
        const string prefix = "transfer-";
        BarGroup[] groups = [.. figures.Where(f => f.Benchmark.StartsWith(prefix, StringComparison.Ordinal))
            .Select(f => new BarGroup(f.Benchmark[prefix.Length..], [(f.System, f.Value)]))];
        return groups.Length == 0 ? null : new Plot(BarPlot.Draw("State transfer (§8.4.2)", "load: part of the clients' operations that write", "MB/s", groups),
            FormattableString.Invariant($"A replica that starts with nothing fetches the state at {groups.Min(g => g.Bars[0].Value):0} to {groups.Max(g => g.Bars[0].Value):0} MB/s."));
    }

    private static double Value(IReadOnlyList<Figure> figures, string benchmark) => figures.First(f => f.Benchmark == benchmark).Value;

    /// <summary>Of names that end with a number: that number, and the value.</summary>
    private static IReadOnlyList<(double X, double Y)> Points(IReadOnlyList<Figure> figures, string prefix) =>
        [.. figures.Where(f => f.System == SystemNames.Bfs && f.Benchmark.StartsWith(prefix, StringComparison.Ordinal)
                && double.TryParse(f.Benchmark[prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out _))
            .Select(f => (double.Parse(f.Benchmark[prefix.Length..], CultureInfo.InvariantCulture), f.Value)).OrderBy(p => p.Item1)];
}
