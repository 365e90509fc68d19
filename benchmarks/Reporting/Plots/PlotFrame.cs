namespace BfsBench;

/// <summary>What all plots have: size, colours, title, axes with titles, a legend.</summary>
internal static class PlotFrame
{
    public const double Width = 820;
    public const double Height = 400;
    public const double Left = 78;
    public const double Right = 540;
    public const double Top = 40;
    public const double Bottom = 336;

    private static readonly string[] Others = ["#8c564b", "#e377c2", "#bcbd22", "#7f7f7f", "#aec7e8", "#ffbb78"];

    /// <summary>The same colour for the same system in all plots; others by their place.</summary>
    public static string Color(string name, int place) => name.Split(' ')[0] switch
    {
        SystemNames.Bfs => "#1f77b4",
        SystemNames.BfsPr => "#17becf",
        SystemNames.BfsPk => "#9467bd",
        SystemNames.NoRep => "#ff7f0e",
        SystemNames.Local => "#7f7f7f",
        SystemNames.PassThrough => "#2ca02c",
        SystemNames.GlusterFs => "#d62728",
        _ => Others[place % Others.Length],
    };

    /// <summary>The second of a system's lines.</summary>
    public static string Dashes(string name) => name.Contains("read-only", StringComparison.Ordinal) ? "6 4" : "";

    public static void Draw(Svg svg, string title, string xTitle, string yTitle, Axis y)
    {
        svg.Text((Left + Right) / 2, 22, title, "middle", 15, bold: true);
        foreach (double mark in y.Marks)
        {
            svg.Line(Left, y.Pixel(mark), Right, y.Pixel(mark), "#e0e0e0");
            svg.Text(Left - 8, y.Pixel(mark) + 4, Axis.Label(mark), "end");
        }
        svg.Line(Left, Bottom, Right, Bottom, "#000000");
        svg.Line(Left, Top, Left, Bottom, "#000000");
        svg.Text((Left + Right) / 2, Height - 14, xTitle, "middle", 13);
        svg.Text(20, (Top + Bottom) / 2, yTitle, "middle", 13, turned: true);
    }

    public static void Legend(Svg svg, IReadOnlyList<(string Name, string Color, string Dashes)> entries)
    {
        for (int i = 0; i < entries.Count; i++)
        {
            double y = Top + 10 + (i * 20);
            svg.Line(Right + 14, y - 4, Right + 36, y - 4, entries[i].Color, 4, entries[i].Dashes);
            svg.Text(Right + 42, y, entries[i].Name);
        }
    }
}
