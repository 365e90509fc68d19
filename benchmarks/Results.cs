using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace BfsBench;

/// <summary>One figure, as the JSON file has it: a median over the runs of one invocation.</summary>
internal sealed record Figure(string Benchmark, string System, double Value, string Unit, int Runs, double Min, double Max,
    double? OverNoRep);

/// <summary>Collects runs of interleaved systems and turns them into figures.</summary>
internal sealed class Results
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
    };

    private readonly Dictionary<(string Benchmark, string System), (string Unit, List<double> Values)> _runs = [];
    private readonly List<(string Benchmark, string System)> _order = [];

    public void Add(string benchmark, string system, string unit, double value)
    {
        if (!_runs.TryGetValue((benchmark, system), out (string Unit, List<double> Values) run))
        {
            run = (unit, []);
            _runs.Add((benchmark, system), run);
            _order.Add((benchmark, system));
        }
        run.Values.Add(value);
    }

    public IReadOnlyList<Figure> Figures() =>
        [.. _order.Select(key =>
        {
            (string unit, List<double> values) = _runs[key];
            double median = Median(values);
            double? over = _runs.TryGetValue((key.Benchmark, "NO-REP"), out (string Unit, List<double> Values) noRep)
                ? median / Median(noRep.Values) : null;
            return new Figure(key.Benchmark, key.System, median, unit, values.Count, values.Min(), values.Max(), over);
        })];

    private static double Median(List<double> values)
    {
        List<double> sorted = [.. values.Order()];
        return sorted[sorted.Count / 2];
    }

    /// <summary>One row per figure, the systems side by side.</summary>
    public void Print()
    {
        IReadOnlyList<Figure> figures = Figures();
        string[] systems = [.. figures.Select(f => f.System).Distinct()];
        Table table = new Table().RoundedBorder().AddColumn("benchmark").AddColumn("unit");
        foreach (string system in systems)
        {
            table.AddColumn(new TableColumn(system).RightAligned());
        }
        table.AddColumn(new TableColumn("BFS / NO-REP").RightAligned());
        foreach (IGrouping<string, Figure> row in figures.GroupBy(f => f.Benchmark))
        {
            List<string> cells = [row.Key, row.First().Unit];
            cells.AddRange(systems.Select(s => row.FirstOrDefault(f => f.System == s) is { } f ? Text(f.Value) : ""));
            cells.Add(row.FirstOrDefault(f => f.System == "BFS")?.OverNoRep?.ToString("0.00", CultureInfo.InvariantCulture) ?? "");
            table.AddRow([.. cells.Select(Markup.Escape)]);
        }
        AnsiConsole.Write(table);
    }

    private static string Text(double value) => value.ToString(value >= 1000 ? "#,0" : "0.0", CultureInfo.InvariantCulture);

    public void WriteJson(string path)
    {
        File.WriteAllText(path, JsonSerializer.Serialize(Figures(), Json) + "\n");
    }
}
