using System.Globalization;
using Spectre.Console;

namespace BfsBench;

/// <summary>The figures as a table: one row for each, the systems side by side.</summary>
internal static class ResultTable
{
    public static void Print(IAnsiConsole console, IReadOnlyList<Figure> figures)
    {
        string[] systems = [.. figures.Select(f => f.System).Distinct().OrderBy(SystemNames.Rank)];
        bool ratio = systems.Contains(SystemNames.Bfs) && systems.Contains(SystemNames.NoRep);
        Table table = new Table().RoundedBorder().AddColumn("benchmark").AddColumn("unit");
        foreach (string system in systems)
        {
            table.AddColumn(new TableColumn(system).RightAligned());
        }
        if (ratio)
        {
            table.AddColumn(new TableColumn("BFS / NO-REP").RightAligned());
        }
        foreach (IGrouping<string, Figure> row in figures.GroupBy(f => f.Benchmark))
        {
            List<string> cells = [row.Key, row.First().Unit];
            cells.AddRange(systems.Select(s => row.FirstOrDefault(f => f.System == s) is { } f ? Text(f.Value) : ""));
            if (ratio)
            {
                cells.Add(row.FirstOrDefault(f => f.System == SystemNames.Bfs)?.OverNoRep?.ToString("0.00", CultureInfo.InvariantCulture) ?? "");
            }
            table.AddRow([.. cells.Select(Markup.Escape)]);
        }
        console.Write(table);
    }

    /// <summary>A value with as many digits as one can tell apart.</summary>
    public static string Text(double value)
    {
        double size = Math.Abs(value);
        string format = size >= 1000 ? "#,0" : size >= 10 ? "0.0" : size >= 1 || size == 0 ? "0.00"
            : "0." + new string('0', 1 - (int)Math.Floor(Math.Log10(size)));
        return value.ToString(format, CultureInfo.InvariantCulture);
    }
}
