using System.Globalization;
using System.Net;
using System.Text;

namespace BfsBench;

/// <summary>One HTML file with the plots, what they show, and all figures; it refers to no other file.</summary>
internal static class HtmlReport
{
    private const string Style = """
        body { font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
        figure { margin: 2em 0 } figcaption { margin-top: .3em } svg { max-width: 100%; height: auto }
        table { border-collapse: collapse; font-size: .85em } td, th { padding: .2em .6em; border-bottom: 1px solid #ddd; text-align: right }
        td:first-child, th:first-child { text-align: left } .note { color: #555 }
        """;

    /// <param name="notes">What somebody who looks at the figures has to know, beside them.</param>
    /// <param name="origin">What they ran on, or where they are from.</param>
    public static string Render(IReadOnlyList<RunFigures> runs, IReadOnlyList<string> notes, string title, string origin)
    {
        var html = new StringBuilder();
        html.Append(CultureInfo.InvariantCulture, $"""
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"/><title>{Escape(title)}</title>
            <style>
            {Style}
            </style></head><body>
            <h1>{Escape(title)}</h1>
            <p>{Escape(origin)} Values are medians; systems took turns in one run. A ratio is that of two medians of one run.</p>

            """);
        if (notes.Count > 0)
        {
            html.Append("<ul class=\"note\">\n");
            foreach (string note in notes)
            {
                html.Append(CultureInfo.InvariantCulture, $"<li>{Escape(note)}</li>\n");
            }
            html.Append("</ul>\n");
        }
        foreach (Plot plot in PlotCatalog.For(runs))
        {
            html.Append(CultureInfo.InvariantCulture, $"<figure>\n{plot.Drawing.Svg}<figcaption>{Escape(plot.Caption)}</figcaption>\n</figure>\n");
        }
        Table(html, RunFigures.Together(runs));
        return html.Append("</body></html>\n").ToString();
    }

    private static void Table(StringBuilder html, IReadOnlyList<Figure> figures)
    {
        html.Append("<h2>All figures</h2>\n<table><tr><th>benchmark</th><th>system</th><th>median</th><th>unit</th><th>least</th><th>most</th><th>runs</th><th>over NO-REP</th></tr>\n");
        foreach (Figure f in figures)
        {
            html.Append(CultureInfo.InvariantCulture, $"<tr><td>{Escape(f.Benchmark)}</td><td>{Escape(f.System)}</td><td>{ResultTable.Text(f.Value)}</td><td>{Escape(f.Unit)}</td>"
                + $"<td>{ResultTable.Text(f.Min)}</td><td>{ResultTable.Text(f.Max)}</td><td>{f.Runs}</td><td>{f.OverNoRep?.ToString("0.00", CultureInfo.InvariantCulture)}</td></tr>\n");
        }
        html.Append("</table>\n");
    }

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
