using System.Text.Json;
using BfsBench;
using BfsTests.Hosting.Files;

namespace BfsTests.Benchmarks;

public sealed class ResultsTests
{
    private static Results Some()
    {
        var results = new Results();
        foreach (double value in new double[] { 4, 1, 3 })
        {
            results.Add("latency-0/0-rw", "BFS", "us", value);
        }
        results.Add("latency-0/0-rw", "NO-REP", "us", 2);
        results.Add("alone", "local", "s", 0.5);
        return results;
    }

    [Fact]
    public void A_figure_is_the_median_and_its_ratio_that_of_medians()
    {
        Figure bfs = Some().Figures()[0];
        Assert.Equal(new Figure("latency-0/0-rw", "BFS", 3, "us", 3, 1, 4, 1.5), bfs);
        Assert.Equal(1, Some().Figures()[1].OverNoRep);
        Assert.Null(Some().Figures()[2].OverNoRep);
    }

    [Fact]
    public void Percents_have_no_ratio()
    {
        var results = new Results();
        results.Add("error", "BFS", "%", 10);
        results.Add("error", "NO-REP", "%", 5);
        Assert.All(results.Figures(), f => Assert.Null(f.OverNoRep));
    }

    [Fact]
    public void The_json_is_an_array_of_objects_with_fixed_fields()
    {
        JsonElement root = JsonDocument.Parse(Some().ToJson()).RootElement;
        Assert.Equal(3, root.GetArrayLength());
        foreach (JsonElement figure in root.EnumerateArray())
        {
            Assert.Equal(["benchmark", "system", "value", "unit", "runs", "min", "max", "overNoRep"], figure.EnumerateObject().Select(p => p.Name));
        }
        Assert.Equal("latency-0/0-rw", root[0].GetProperty("benchmark").GetString());
        Assert.Equal(3, root[0].GetProperty("value").GetDouble());
        Assert.Equal(3, root[0].GetProperty("runs").GetInt32());
        Assert.Equal(JsonValueKind.Null, root[2].GetProperty("overNoRep").ValueKind);
    }

    [Theory]
    [InlineData("[{}]")]
    [InlineData("[null]")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("")]
    public void A_file_of_something_else_has_no_figures(string text)
    {
        using var directory = new TempDirectory();
        string path = Path.Combine(directory.Path, "figures.json");
        File.WriteAllText(path, text);
        BenchException e = Assert.Throws<BenchException>(() => Results.Read(path));
        Assert.Equal(2, e.ExitCode);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
        File.WriteAllText(path, Some().ToJson());
        Assert.Equal(Some().Figures(), Results.Read(path));
    }

    [Fact]
    public void What_is_no_number_is_refused() =>
        Assert.Throws<InvalidOperationException>(() => new Results().Add("b", "BFS", "s", double.NaN));

    [Theory]
    [InlineData(2, 2.0)]
    [InlineData(2.5, 1.0, 2.0, 3.0, 9.0)]
    [InlineData(2, 3.0, 2.0, 1.0)]
    public void Median(double expected, params double[] values) => Assert.Equal(expected, Statistics.Median(values));

    [Theory]
    [InlineData(0.5, 5)]
    [InlineData(0.9, 9)]
    [InlineData(0.99, 10)]
    [InlineData(0, 1)]
    [InlineData(1, 10)]
    public void Quantile(double part, double expected) =>
        Assert.Equal(expected, Statistics.Quantile(Enumerable.Range(1, 10).Select(i => (double)i), part));

    [Fact]
    public void A_line_through_points_on_a_line()
    {
        (double intercept, double slope) = Statistics.Line([(0, 7), (1, 9), (5, 17)]);
        Assert.Equal(7, intercept, 9);
        Assert.Equal(2, slope, 9);
    }

    [Theory]
    [InlineData(0, "0.00")]
    [InlineData(0.0000318, "0.000032")]
    [InlineData(0.5, "0.50")]
    [InlineData(3.456, "3.46")]
    [InlineData(45.67, "45.7")]
    [InlineData(12345.6, "12,346")]
    public void A_table_shows_the_digits_that_count(double value, string text) => Assert.Equal(text, ResultTable.Text(value));

    [Fact]
    public void Andrew_is_as_large_as_in_the_thesis_when_that_is_asked_for()
    {
        static IEnumerable<string> Of(BenchmarkSettings settings) => BenchmarkCatalog.Andrew(settings).Select(w => w.Description[..w.Description.IndexOf(" copies", StringComparison.Ordinal)]);
        Assert.Equal(["andrew: 10"], Of(new BenchmarkSettings()));
        Assert.Equal(["andrew: 2"], Of(new BenchmarkSettings { Size = BenchmarkSize.Quick }));
        Assert.Equal(["andrew: 100", "andrew500: 500"], Of(new BenchmarkSettings { Size = BenchmarkSize.Thesis }));
        Assert.Equal(["andrew: 7"], Of(new BenchmarkSettings { Size = BenchmarkSize.Thesis, Copies = 7 }));
        IFileWorkload large = BenchmarkCatalog.Andrew(new BenchmarkSettings { Size = BenchmarkSize.Thesis })[1];
        Assert.Equal([true, false, false], Enumerable.Range(0, 3).Select(run => large.TakesPart(SystemNames.Bfs, run)));
    }

    [Fact]
    public void Quick_runs_have_dbench_once_where_it_is_compared_and_others_always()
    {
        var quick = new DbenchProgram(20, quick: true);
        Assert.True(quick.TakesPart("BFS", 0));
        Assert.True(quick.TakesPart("GlusterFS", 0));
        Assert.False(quick.TakesPart("BFS", 1));
        Assert.False(quick.TakesPart("BFS-PK", 0));
        Assert.True(new DbenchProgram(30, quick: false).TakesPart("BFS-PK", 2));
        Assert.True(new AndrewBenchmark("andrew", 2).TakesPart("BFS-PK", 1));
    }
}
