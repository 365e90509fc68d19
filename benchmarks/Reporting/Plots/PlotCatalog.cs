namespace BfsBench;

/// <summary>A plot, and one sentence that says what one sees.</summary>
internal sealed record Plot(string Svg, string Caption);

/// <summary>The plots that can be drawn of some figures, in the manner of the thesis' chapter 8.</summary>
internal static class PlotCatalog
{
    public static IReadOnlyList<Plot> For(IReadOnlyList<Figure> figures) =>
        [.. MicroPlots.For(figures), .. ModelPlots.For(figures), .. FilePlots.For(figures), .. StatePlots.For(figures)];
}
