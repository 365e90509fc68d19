using System.Globalization;
using System.Xml.Linq;
using BfsBench;
using BfsTests.Mounted;

namespace BfsTests.Benchmarks;

/// <summary>What is asked beside what was measured.</summary>
public sealed class GoalTests
{
    private static RunFigures Run(string name, params (string Benchmark, string System, double Value)[] values)
    {
        var results = new Results();
        foreach ((string benchmark, string system, double value) in values)
        {
            results.Add(benchmark, system, "x", value);
        }
        return results.ToRun(name);
    }

    [Theory]
    [InlineData("latency-0/0-rw", 300, 100, 3, true)]
    [InlineData("latency-0/0-rw", 301, 100, 3.01, false)]
    [InlineData("latency-result-8192-rw", 150, 100, 1.5, true)]
    [InlineData("postmark-transactions", 75, 100, 0.75, true)]
    [InlineData("postmark-transactions", 74, 100, 0.74, false)]
    [InlineData("sequential-write", 41, 100, 0.41, true)]
    public void Ratios_over_NO_REP_are_held_against_what_is_asked(string benchmark, double bfs, double noRep, double expected, bool reached)
    {
        var table = new GoalTable([Run("r", (benchmark, "BFS", bfs), (benchmark, "NO-REP", noRep))]);
        // An absolute figure may be asked of the same benchmark.
        (Goal goal, IReadOnlyList<double?> values) = table.Rows[0];
        Assert.Equal(expected, values[0]!.Value, 9);
        Assert.Equal(reached, goal.IsReached(values[0]!.Value));
    }

    [Fact]
    public void Times_faster_than_GlusterFS_are_of_times_and_of_rates()
    {
        var table = new GoalTable([Run("r", ("andrew-2-copy", "BFS", 2), ("andrew-2-copy", "GlusterFS", 12), ("dbench", "BFS", 12), ("dbench", "GlusterFS", 3))]);
        Assert.Equal([6.0, 4.0], table.Rows.Select(r => r.Values[0]!.Value));
        Assert.Equal([true, false], table.Rows.Select(r => r.Goal.IsReached(r.Values[0]!.Value)));
    }

    [Fact]
    public void A_table_has_a_column_for_each_run_and_leaves_out_what_none_measured()
    {
        var table = new GoalTable([Run("first", ("checkpoint-page-random", "BFS", 2.5)), Run("second", ("growth-ratio-files", "BFS", 1.3))]);
        Assert.Equal("""
            | what | thesis | asked | first | second |
            | --- | ---: | ---: | ---: | ---: |
            | a modified page in a checkpoint, at random, us | 101 | ≤ 8 | 2.50 ✓ |  |
            | growth at snfsd alone, by files |  | ≤ 1.2 |  | 1.30 |

            """, table.ToMarkdown());
    }

    [Fact]
    public void Of_several_runs_all_figures_of_a_kind_are_of_the_one_that_has_most()
    {
        RunFigures small = Run("small", ("latency-1", "BFS", 1), ("dbench", "BFS", 1), ("dbench", "BFS-PK", 1));
        RunFigures large = Run("large", ("latency-1", "BFS", 2), ("latency-2", "BFS", 2), ("dbench", "BFS", 2), ("andrew-total", "BFS", 2));
        (string, string, double)[] expected = [("dbench", "BFS", 1), ("dbench", "BFS-PK", 1), ("latency-1", "BFS", 2), ("latency-2", "BFS", 2), ("andrew-total", "BFS", 2)];
        Assert.Equal(expected, RunFigures.Together([small, large]).Select(f => (f.Benchmark, f.System, f.Value)));
    }

    [Fact]
    public void Of_runs_with_as_many_figures_it_is_the_one_with_more_measurements_or_the_first()
    {
        static RunFigures Of(string name, double value, int runs) => new(name, [new Figure("growth-state-10", "BFS", value, "us", runs, value, value, null)]);
        Assert.Equal(3, Assert.Single(RunFigures.Together([Of("a", 1, 1), Of("b", 2, 1), Of("c", 3, 5)])).Value);
        Assert.Equal(1, Assert.Single(RunFigures.Together([Of("a", 1, 1), Of("b", 2, 1)])).Value);
    }

    [Fact]
    public void The_plot_has_what_is_better_than_asked_to_the_right()
    {
        XNamespace svg = "http://www.w3.org/2000/svg";
        Plot plot = GoalPlot.For(new GoalTable([Run("a", ("checkpoint-page-random", "BFS", 4)), Run("b", ("checkpoint-page-random", "BFS", 16)), Run("c", ("checkpoint-page-random", "BFS", 100_000))]))!;
        (double X, string Color)[] dots = [.. XDocument.Parse(plot.Drawing.Svg).Descendants(svg + "circle")
            .Select(c => (double.Parse(c.Attribute("cx")!.Value, CultureInfo.InvariantCulture), c.Attribute("fill")!.Value))];
        Assert.Equal(3, dots.Length);
        Assert.True(dots[0].X > dots[1].X && dots[1].X > dots[2].X);
        Assert.NotEqual(dots[0].Color, dots[1].Color);
        Assert.Equal(dots[1].Color, dots[2].Color);
        Assert.Contains("0 of 1 are reached", plot.Caption, StringComparison.Ordinal);
    }

    private static readonly string s_docs = Path.Combine(ClusterFixture.Project, "docs");

    private static RunFigures[] FiguresIn(string directory) =>
        [.. Directory.GetFiles(directory, "*.json").Order(StringComparer.Ordinal).Select(f => new RunFigures(Path.GetFileNameWithoutExtension(f), Results.Read(f)))];

    private static string[] Directories => [.. Directory.GetDirectories(Path.Combine(s_docs, "figures")).Order(StringComparer.Ordinal)];

    /// <summary>One table of each directory with figures.</summary>
    [Fact]
    public void The_tables_in_the_documentation_are_those_that_its_figures_make()
    {
        Assert.NotEmpty(Directories);
        Assert.All(Directories, directory =>
        {
            var table = new GoalTable(FiguresIn(directory));
            Assert.NotEmpty(table.Rows);
            Assert.Contains(table.ToMarkdown(), File.ReadAllText(Path.Combine(s_docs, "performance.md")), StringComparison.Ordinal);
        });
    }

    [Fact]
    public void The_plots_in_the_documentation_are_drawn_from_its_figures()
    {
        RunFigures[] runs = [.. Directories.SelectMany(FiguresIn)];
        Dictionary<string, string> drawn = PlotCatalog.For(runs).ToDictionary(p => p.FileName, p => p.Drawing.Svg);
        string[] files = Directory.GetFiles(Path.Combine(s_docs, "plots"));
        Assert.Equal(drawn.Keys.Order(StringComparer.Ordinal), files.Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        Assert.All(files, f => Assert.Equal(drawn[Path.GetFileName(f)], File.ReadAllText(f)));
    }
}
