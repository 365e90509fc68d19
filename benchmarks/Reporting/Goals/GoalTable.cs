using System.Text;
using Spectre.Console;

namespace BfsBench;

/// <summary>What is asked beside what was measured, a column for each run; for the terminal, and as Markdown.</summary>
internal sealed class GoalTable
{
    private const string Reached = " ✓";

    private readonly IReadOnlyList<RunFigures> _runs;

    /// <param name="runs">Goals that none of them measured are left out.</param>
    public GoalTable(IReadOnlyList<RunFigures> runs)
    {
        _runs = runs;
        Rows = [.. GoalCatalog.All.Select(goal => (goal, (IReadOnlyList<double?>)[.. runs.Select(goal.Measure)])).Where(row => row.Item2.Any(v => v is not null))];
    }

    /// <summary>Goals, and what each of the runs has for it.</summary>
    public IReadOnlyList<(Goal Goal, IReadOnlyList<double?> Values)> Rows { get; }

    /// <summary>Nothing, when there are no rows.</summary>
    public void Print(IAnsiConsole console)
    {
        if (Rows.Count == 0)
        {
            return;
        }
        Table table = new Table().RoundedBorder().Title("what is asked (✓: reached)");
        foreach (string title in Titles())
        {
            table.AddColumn(table.Columns.Count == 0 ? new TableColumn(Markup.Escape(title)) : new TableColumn(Markup.Escape(title)).RightAligned());
        }
        foreach ((Goal goal, IReadOnlyList<double?> values) in Rows)
        {
            table.AddRow([Markup.Escape(goal.What), goal.Thesis, goal.AskedText,
                .. values.Select(v => v is not { } value ? "" : $"[{(goal.IsReached(value) ? "green" : "red")}]{Cell(goal, value)}[/]")]);
        }
        console.Write(table);
    }

    public string ToMarkdown()
    {
        var text = new StringBuilder();
        Line(Titles());
        Line(Titles().Select((_, i) => i == 0 ? "---" : "---:"));
        foreach ((Goal goal, IReadOnlyList<double?> values) in Rows)
        {
            Line([goal.What, goal.Thesis, goal.AskedText, .. values.Select(v => v is { } value ? Cell(goal, value) : "")]);
        }
        return text.ToString();

        void Line(IEnumerable<string> cells) => text.Append("| ").AppendJoin(" | ", cells).Append(" |\n");
    }

    private IEnumerable<string> Titles() => ["what", "thesis", "asked", .. _runs.Select(r => r.Name)];

    private static string Cell(Goal goal, double value) => ResultTable.Text(value) + (goal.IsReached(value) ? Reached : "");
}
