using System.Globalization;

namespace BfsBench;

/// <summary>Each goal on a line of its own: a dot for each run, to the right of the line in the middle where it is reached.</summary>
internal static class GoalPlot
{
    private const double Width = 940;
    private const double Left = 420;
    private const double Right = 830;
    private const double Top = 62;
    private const double RowHeight = 19;
    private const string ReachedColor = "#2ca02c";
    private const string MissedColor = "#d62728";

    /// <summary>Factors marked on the axis; what is further out is drawn at its end.</summary>
    private static readonly double[] s_marks = [1 / 4.0, 1 / 2.0, 1, 2, 4, 8];

    /// <returns>Null when nothing that is asked was measured.</returns>
    public static Plot? For(GoalTable table)
    {
        if (table.Rows.Count == 0)
        {
            return null;
        }
        const string title = "What is asked of BFS, and what was measured";
        double bottom = Top + (table.Rows.Count * RowHeight);
        var svg = new Svg(Width, bottom + 40);
        svg.Text(Width / 2, 22, title, "middle", 15, bold: true);
        svg.Text(X(1) - 10, Top - 22, "← falls short", "end", 12);
        svg.Text(X(1) + 10, Top - 22, "better than asked →", "start", 12);
        foreach (double mark in s_marks)
        {
            svg.Line(X(mark), Top - 8, X(mark), bottom, mark == 1 ? "#000000" : "#e0e0e0");
            svg.Text(X(mark), bottom + 16, mark < 1 ? string.Create(CultureInfo.InvariantCulture, $"1/{1 / mark:0}") : Axis.Label(mark), "middle");
        }
        svg.Text((Left + Right) / 2, bottom + 34, "times better than asked", "middle", 12);
        int reached = 0;
        for (int i = 0; i < table.Rows.Count; i++)
        {
            (Goal goal, IReadOnlyList<double?> values) = table.Rows[i];
            double[] measured = [.. values.OfType<double>()];
            double y = Top + ((i + 0.5) * RowHeight), median = Statistics.Median(measured);
            reached += goal.IsReached(median) ? 1 : 0;
            svg.Text(Left - 10, y + 4, goal.What, "end", 11);
            svg.Line(X(1), y, X(goal.Better(median)), y, Color(goal, median), 3);
            foreach (double value in measured)
            {
                svg.Circle(X(goal.Better(value)), y, 4, Color(goal, value));
            }
            svg.Text(Right + 10, y + 4, $"{ResultTable.Text(median)} ({goal.AskedText})", "start", 10);
        }
        return new Plot(new Drawing(title, svg.Close()),
            $"A dot for each run, the number and the bar for their median, what is asked in brackets: {reached} of {table.Rows.Count} are reached.");
    }

    private static string Color(Goal goal, double value) => goal.IsReached(value) ? ReachedColor : MissedColor;

    private static double X(double factor) =>
        Left + ((Right - Left) * (Math.Log(Math.Clamp(factor, s_marks[0], s_marks[^1])) - Math.Log(s_marks[0])) / (Math.Log(s_marks[^1]) - Math.Log(s_marks[0])));
}
