namespace BfsBench;

/// <summary>A group of bars side by side, or of pieces on top of each other: one value for each name of the legend.</summary>
internal sealed record BarGroup(string Name, IReadOnlyList<(string Name, double Value)> Bars);

/// <summary>Bars: things side by side.</summary>
internal static class BarPlot
{
    private const double GapPart = 0.2;

    /// <summary>Bars beside each other, each with its value above it.</summary>
    public static Drawing Draw(string title, string xTitle, string yTitle, IReadOnlyList<BarGroup> groups, bool logarithmic = false)
    {
        var svg = new Svg(PlotFrame.Width, PlotFrame.Height);
        var y = new Axis(groups.SelectMany(g => g.Bars.Select(b => b.Value)), logarithmic, PlotFrame.Bottom, PlotFrame.Top);
        PlotFrame.Draw(svg, title, xTitle, yTitle, y);
        List<string> names = NamesOf(groups);
        double room = (PlotFrame.Right - PlotFrame.Left) / groups.Count;
        double width = room * (1 - GapPart) / names.Count;
        for (int g = 0; g < groups.Count; g++)
        {
            double left = PlotFrame.Left + (g * room) + (room * GapPart / 2);
            foreach ((string name, double value) in groups[g].Bars)
            {
                double x = left + (names.IndexOf(name) * width);
                string text = ResultTable.Text(value);
                svg.Box(x, y.Pixel(value), width * 0.92, PlotFrame.Bottom - y.Pixel(value), PlotFrame.Color(name, names.IndexOf(name)), $"{groups[g].Name}, {name}: {text}");
                // Beyond this width of a bar its value would run into the next one's.
                if (width >= 26)
                {
                    svg.Text(x + (width * 0.46), y.Pixel(value) - 4, Axis.Label(value), "middle", 10);
                }
                else
                {
                    svg.Text(x + (width * 0.46) + 3, y.Pixel(value) - 4, Axis.Label(value), "start", 9, turned: true);
                }
            }
            svg.Text(left + (room * (1 - GapPart) / 2), PlotFrame.Bottom + 19, groups[g].Name, "middle", groups.Count > 6 ? 10 : 12);
        }
        PlotFrame.Legend(svg, [.. names.Select((n, i) => (n, PlotFrame.Color(n, i), ""))]);
        return new Drawing(title, svg.Close());
    }

    /// <summary>Pieces on top of each other, the sum above them.</summary>
    public static Drawing DrawStacked(string title, string xTitle, string yTitle, IReadOnlyList<BarGroup> groups)
    {
        var svg = new Svg(PlotFrame.Width, PlotFrame.Height);
        var y = new Axis(groups.Select(g => g.Bars.Sum(b => b.Value)), false, PlotFrame.Bottom, PlotFrame.Top);
        PlotFrame.Draw(svg, title, xTitle, yTitle, y);
        List<string> names = NamesOf(groups);
        double room = (PlotFrame.Right - PlotFrame.Left) / groups.Count;
        for (int g = 0; g < groups.Count; g++)
        {
            double left = PlotFrame.Left + (g * room) + (room * GapPart / 2);
            double sum = 0;
            foreach ((string name, double value) in groups[g].Bars)
            {
                svg.Box(left, y.Pixel(sum + value), room * (1 - GapPart), y.Pixel(sum) - y.Pixel(sum + value), PlotFrame.Color(name, names.IndexOf(name)),
                    $"{groups[g].Name}, {name}: {ResultTable.Text(value)}");
                sum += value;
            }
            svg.Text(left + (room * (1 - GapPart) / 2), y.Pixel(sum) - 4, Axis.Label(sum), "middle", 11);
            svg.Text(left + (room * (1 - GapPart) / 2), PlotFrame.Bottom + 19, groups[g].Name, "middle");
        }
        PlotFrame.Legend(svg, [.. names.Select((n, i) => (n, PlotFrame.Color(n, i), ""))]);
        return new Drawing(title, svg.Close());
    }

    private static List<string> NamesOf(IReadOnlyList<BarGroup> groups) => [.. groups.SelectMany(g => g.Bars.Select(b => b.Name)).Distinct().OrderBy(SystemNames.Rank)];
}
