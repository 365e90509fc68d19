using System.Globalization;
using System.Xml.Linq;
using BfsBench;

namespace BfsTests.Benchmarks;

/// <summary>Pictures are well-formed, and what is drawn is where the values say.</summary>
public sealed class PlotTests
{
    private static readonly XNamespace s_svg = "http://www.w3.org/2000/svg";

    [Fact]
    public void Taller_bars_for_larger_values()
    {
        XDocument plot = XDocument.Parse(BarPlot.Draw("Title <&>", "x", "seconds", [new("a", [("BFS", 2), ("NO-REP", 1)]), new("b", [("BFS", 4), ("NO-REP", 4)])]).Svg);
        double[] heights = [.. plot.Descendants(s_svg + "rect").Where(r => r.Element(s_svg + "title") is not null)
            .Select(r => double.Parse(r.Attribute("height")!.Value, CultureInfo.InvariantCulture))];
        Assert.Equal(4, heights.Length);
        Assert.Equal(2, heights[0] / heights[1], 0.05);
        Assert.Equal(heights[2], heights[3]);
        Assert.True(heights[2] > heights[0]);
        string[] texts = [.. plot.Descendants(s_svg + "text").Select(t => t.Value)];
        Assert.Contains("Title <&>", texts);
        Assert.Contains("seconds", texts);
        Assert.Contains("BFS", texts);
    }

    [Fact]
    public void A_line_goes_through_its_points_from_left_to_right()
    {
        XDocument plot = XDocument.Parse(LinePlot.Draw("t", "clients", "us", [new("BFS read-write", [(10, 5), (1, 1), (100, 3)])], logarithmicX: true, (4, "aim")).Svg);
        (double X, double Y)[] points = [.. plot.Descendants(s_svg + "polyline").Single().Attribute("points")!.Value.Split(' ')
            .Select(p => (double.Parse(p.Split(',')[0], CultureInfo.InvariantCulture), double.Parse(p.Split(',')[1], CultureInfo.InvariantCulture)))];
        Assert.Equal(points.OrderBy(p => p.X), points);
        // The axis is logarithmic, and downwards is less.
        Assert.Equal(points[1].X - points[0].X, points[2].X - points[1].X, 0.5);
        Assert.True(points[0].Y > points[2].Y && points[2].Y > points[1].Y);
    }

    [Theory]
    [InlineData(0.0004)]
    [InlineData(1)]
    [InlineData(987_654)]
    public void Axes_hold_their_values(double value)
    {
        foreach (bool logarithmic in new[] { false, true })
        {
            var axis = new Axis([value, value / 3], logarithmic, 300, 40);
            Assert.InRange(axis.Pixel(value), 40, 300);
            Assert.True(axis.Pixel(value) < axis.Pixel(value / 3));
            Assert.InRange(axis.Marks.Count, 2, 12);
        }
    }

    /// <summary>Of every kind of figure that there is a plot for.</summary>
    [Fact]
    public void A_report_is_well_formed_and_has_a_caption_for_each_plot()
    {
        var results = new Results();
        foreach (string system in new[] { "BFS", "NO-REP", "GlusterFS" })
        {
            double value = system.Length;
            foreach (string benchmark in new[]
            {
                "latency-argument-8-rw", "latency-argument-4096-rw", "latency-result-8-ro", "latency-result-4096-ro", "throughput-0/0-rw-1",
                "throughput-0/0-rw-20", "latency-0/0-rw-n4", "latency-0/0-rw-n7", "latency-0/0-rw", "cpu-busiest-server-0/4-rw-50", "throughput-0/0-rw-20-with-batching", "throughput-0/0-rw-20-without-batching",
                "andrew-1-mkdir", "andrew-2-copy", "andrew-3-stat", "andrew-4-read", "andrew-5-compile", "andrew-total", "postmark-transactions",
                "postmark-create", "postmark-delete", "postmark-read", "postmark-append", "sequential-write", "sequential-read", "dbench",
                "checkpoint-copy-random-8", "checkpoint-digest-random-8", "checkpoint-page-random", "growth-state-10", "growth-state-100",
                "growth-state-all-in-use-10", "growth-state-all-in-use-100", "view-change-idle", "view-change-mean-idle", "view-change-p90-idle", "transfer-idle",
            })
            {
                results.Add(benchmark, system, "s", value++);
            }
        }
        results.Note("a note with <brackets>");
        IReadOnlyList<Plot> plots = PlotCatalog.For([results.ToRun("one"), results.ToRun("two")]);
        Assert.Equal(15, plots.Count);
        Assert.Equal(15, plots.DistinctBy(p => p.FileName).Count());
        Assert.All(plots, p => Assert.Matches("^[a-z0-9-]+\\.svg$", p.FileName));
        XDocument page = XDocument.Parse(HtmlReport.Render([results.ToRun("one"), results.ToRun("two")], results.Notes, "title & more", "machine").Replace("<!DOCTYPE html>", "", StringComparison.Ordinal));
        XElement[] figures = [.. page.Descendants("figure")];
        Assert.Equal(15, figures.Length);
        Assert.All(figures, f =>
        {
            Assert.Single(f.Elements(s_svg + "svg"));
            Assert.EndsWith(".", f.Element("figcaption")!.Value.Trim(), StringComparison.Ordinal);
            Assert.DoesNotContain("NaN", f.ToString(), StringComparison.Ordinal);
            TextsAreApart(f.Element(s_svg + "svg")!);
        });
    }

    /// <summary>All texts lie inside the picture, and none on another; by an estimate of how wide letters are.</summary>
    private static void TextsAreApart(XElement svg)
    {
        const double letter = 0.56;
        double Number(XElement e, string name) => double.Parse(e.Attribute(name)!.Value, CultureInfo.InvariantCulture);
        var boxes = new List<(double Left, double Top, double Right, double Bottom, string Text)>();
        foreach (XElement text in svg.Elements(s_svg + "text"))
        {
            double size = Number(text, "font-size"), width = text.Value.Length * size * letter, x = Number(text, "x"), y = Number(text, "y");
            double before = text.Attribute("text-anchor")!.Value switch { "start" => 0, "middle" => width / 2, _ => width };
            boxes.Add(text.Attribute("transform") is null
                ? (x - before, y - (0.8 * size), x - before + width, y + (0.2 * size), text.Value)
                : (x - (0.8 * size), y + before - width, x + (0.2 * size), y + before, text.Value));
        }
        Assert.All(boxes, b => Assert.True(b.Left >= 0 && b.Top >= 0 && b.Right <= Number(svg, "width") && b.Bottom <= Number(svg, "height"), "outside: " + b.Text));
        foreach (var a in boxes)
        {
            Assert.DoesNotContain(boxes, b => b != a && a.Left < b.Right - 1 && b.Left < a.Right - 1 && a.Top < b.Bottom - 1 && b.Top < a.Bottom - 1);
        }
    }

    [Fact]
    public void Without_figures_there_are_no_plots() => Assert.Empty(PlotCatalog.For([]));
}
