namespace BfsBench;

/// <summary>One line of a plot.</summary>
internal sealed record Series(string Name, IReadOnlyList<(double X, double Y)> Points);

/// <summary>Lines: how something depends on something else.</summary>
internal static class LinePlot
{
    /// <param name="level">A dashed line across, for what was aimed at.</param>
    public static Drawing Draw(string title, string xTitle, string yTitle, IReadOnlyList<Series> lines, bool logarithmicX = false,
        (double Value, string Name)? level = null)
    {
        var svg = new Svg(PlotFrame.Width, PlotFrame.Height);
        IEnumerable<double> ys = lines.SelectMany(l => l.Points.Select(p => p.Y));
        var y = new Axis(level is { } asked ? ys.Append(asked.Value) : ys, false, PlotFrame.Bottom, PlotFrame.Top);
        var x = new Axis(lines.SelectMany(l => l.Points.Select(p => p.X)), logarithmicX, PlotFrame.Left, PlotFrame.Right, tight: true);
        PlotFrame.Draw(svg, title, xTitle, yTitle, y);
        foreach (double mark in x.Marks)
        {
            svg.Line(x.Pixel(mark), PlotFrame.Bottom, x.Pixel(mark), PlotFrame.Bottom + 5, "#000000");
            svg.Text(x.Pixel(mark), PlotFrame.Bottom + 19, Axis.Label(mark), "middle");
        }
        var legend = new List<(string, string, string)>();
        for (int i = 0; i < lines.Count; i++)
        {
            string color = PlotFrame.Color(lines[i].Name, i);
            string dashes = PlotFrame.Dashes(lines[i].Name);
            (double, double)[] points = [.. lines[i].Points.OrderBy(p => p.X).Select(p => (x.Pixel(p.X), y.Pixel(p.Y)))];
            svg.Path(points, color, dashes);
            foreach ((double px, double py) in points)
            {
                svg.Circle(px, py, 3, color);
            }
            legend.Add((lines[i].Name, color, dashes));
        }
        if (level is { } line)
        {
            svg.Line(PlotFrame.Left, y.Pixel(line.Value), PlotFrame.Right, y.Pixel(line.Value), "#000000", 1, "2 4");
            legend.Add((line.Name, "#000000", "2 4"));
        }
        PlotFrame.Legend(svg, legend);
        return new Drawing(title, svg.Close());
    }
}
