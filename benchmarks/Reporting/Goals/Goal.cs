using System.Globalization;

namespace BfsBench;

/// <summary>A speed that is asked of BFS.</summary>
/// <param name="What">What is measured, and over what.</param>
/// <param name="Thesis">What the thesis has for it; empty where it has nothing.</param>
/// <param name="Asked">The bound.</param>
/// <param name="AtLeast">Whether more is better.</param>
/// <param name="Measure">Finds the value among the figures of one run; null when that did not measure it.</param>
internal sealed record Goal(string What, string Thesis, double Asked, bool AtLeast, Func<RunFigures, double?> Measure)
{
    /// <summary>How many times better than asked: 1 is just enough.</summary>
    public double Better(double value) => AtLeast ? value / Asked : Asked / value;

    public bool IsReached(double value) => Better(value) >= 1;

    public string AskedText => (AtLeast ? "≥ " : "≤ ") + Asked.ToString("#,0.##", CultureInfo.InvariantCulture);
}

/// <summary>The figures of one run, by name.</summary>
/// <param name="Name">What to call the run.</param>
internal sealed record RunFigures(string Name, IReadOnlyList<Figure> Figures)
{
    public double? Value(string benchmark, string system = SystemNames.Bfs) => Find(benchmark, system)?.Value;

    /// <summary>BFS over NO-REP.</summary>
    public double? OverNoRep(string benchmark) => Find(benchmark, SystemNames.Bfs)?.OverNoRep;

    /// <summary>BFS over another system.</summary>
    public double? Over(string system, string benchmark) => Value(benchmark) / Value(benchmark, system);

    /// <summary>Another system's time over that of BFS.</summary>
    public double? TimesFasterThan(string system, string benchmark) => Value(benchmark, system) / Value(benchmark);

    /// <summary>
    /// The figures of several runs: those of a kind are all of one run, as they are compared and drawn together; of the run that has most
    /// of them, and of those the first.
    /// </summary>
    public static Figure[] Together(IReadOnlyList<RunFigures> runs)
    {
        Dictionary<string, RunFigures> chosen = runs.SelectMany(r => r.Figures.Select(KindOf)).Distinct().ToDictionary(kind => kind, kind => runs.MaxBy(r => r.CountOf(kind))!);
        return [.. runs.SelectMany(run => run.Figures.Where(f => chosen[KindOf(f)] == run))];
    }

    /// <summary>Figures, and measurements that they are of.</summary>
    private (int Figures, int Measurements) CountOf(string kind)
    {
        Figure[] figures = [.. Figures.Where(f => KindOf(f) == kind)];
        return (figures.Length, figures.Sum(f => f.Runs));
    }

    /// <summary>The first word of a name: latency, growth, andrew.</summary>
    private static string KindOf(Figure figure) => figure.Benchmark.Split('-')[0];

    private Figure? Find(string benchmark, string system) => Figures.FirstOrDefault(f => f.Benchmark == benchmark && f.System == system);
}
