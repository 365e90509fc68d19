using System.Text.RegularExpressions;

namespace BfsBench;

/// <summary>A picture with its title, which is also written on it.</summary>
internal sealed record Drawing(string Title, string Svg);

/// <summary>A plot, and one sentence that says what one sees.</summary>
internal sealed record Plot(Drawing Drawing, string Caption)
{
    /// <summary>A name for a file of its own: the title without what is in brackets.</summary>
    public string FileName { get; } = Regex.Replace(Regex.Replace(Drawing.Title, "\\([^)]*\\)", ""), "[^A-Za-z0-9]+", "-").Trim('-').ToLowerInvariant() + ".svg";
}

/// <summary>The plots that can be drawn of some figures, in the manner of the thesis' chapter 8.</summary>
internal static class PlotCatalog
{
    /// <param name="runs">What is asked is compared with each; the other plots show their figures together.</param>
    public static IReadOnlyList<Plot> For(IReadOnlyList<RunFigures> runs)
    {
        Figure[] figures = RunFigures.Together(runs);
        return [.. GoalPlot.For(new GoalTable(runs)) is { } goals ? new[] { goals } : [], .. MicroPlots.For(figures), .. ModelPlots.For(figures), .. FilePlots.For(figures),
            .. StatePlots.For(figures)];
    }
}
