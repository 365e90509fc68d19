using System.Globalization;
using System.Net;
using System.Text;

namespace BfsBench;

/// <summary>A picture in the making; coordinates in pixels from the upper left corner.</summary>
internal sealed class Svg(double width, double height)
{
    private readonly StringBuilder _elements = new();

    public void Line(double x1, double y1, double x2, double y2, string color, double strokeWidth = 1, string dashes = "") =>
        Append($"<line x1=\"{x1:0.#}\" y1=\"{y1:0.#}\" x2=\"{x2:0.#}\" y2=\"{y2:0.#}\" stroke=\"{color}\" stroke-width=\"{strokeWidth:0.#}\"{Dashes(dashes)}/>");

    public void Path(IEnumerable<(double X, double Y)> points, string color, string dashes = "")
    {
        string all = string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.X:0.#},{p.Y:0.#}")));
        Append($"<polyline points=\"{all}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"{Dashes(dashes)}/>");
    }

    public void Circle(double x, double y, double radius, string color) => Append($"<circle cx=\"{x:0.#}\" cy=\"{y:0.#}\" r=\"{radius:0.#}\" fill=\"{color}\"/>");

    /// <param name="tip">Shown when the mouse rests on it.</param>
    public void Box(double x, double y, double boxWidth, double boxHeight, string color, string tip = "") =>
        Append($"<rect x=\"{x:0.#}\" y=\"{y:0.#}\" width=\"{boxWidth:0.#}\" height=\"{Math.Max(0, boxHeight):0.#}\" fill=\"{color}\"><title>{Escape(tip)}</title></rect>");

    /// <param name="anchor">start, middle or end: what of the text is at the point.</param>
    /// <param name="turned">Written upwards.</param>
    public void Text(double x, double y, string text, string anchor = "start", double size = 12, bool turned = false, bool bold = false)
    {
        string turn = turned ? string.Create(CultureInfo.InvariantCulture, $" transform=\"rotate(-90 {x:0.#} {y:0.#})\"") : "";
        Append($"<text x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\" font-size=\"{size:0.#}\"{(bold ? " font-weight=\"bold\"" : "")}{turn}>{Escape(text)}</text>");
    }

    /// <summary>The whole, as one element.</summary>
    public string Close() => string.Create(CultureInfo.InvariantCulture,
        $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:0} {height:0}\" width=\"{width:0}\" height=\"{height:0}\" "
        + $"font-family=\"sans-serif\" role=\"img\"><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{_elements}</svg>\n");

    private void Append(FormattableString element) => _elements.Append(FormattableString.Invariant(element)).Append('\n');

    private static string Dashes(string dashes) => dashes.Length == 0 ? "" : $" stroke-dasharray=\"{dashes}\"";

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
