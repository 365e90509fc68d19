using System.Globalization;

namespace BfsBench;

/// <summary>Maps values to pixels, linearly or by their logarithms, and says where its marks are.</summary>
internal sealed class Axis
{
    private const int MostMarks = 8;

    private readonly bool _logarithmic;
    private readonly double _low;
    private readonly double _high;
    private readonly double _from;
    private readonly double _to;

    /// <param name="values">What must fit in; a linear axis also holds zero.</param>
    /// <param name="from">The pixel of the lower end, <paramref name="to"/> that of the upper one.</param>
    public Axis(IEnumerable<double> values, bool logarithmic, double from, double to, bool tight = false)
    {
        (_logarithmic, _from, _to) = (logarithmic, from, to);
        double[] all = [.. values.Where(v => !logarithmic || v > 0)];
        double low = all.Length == 0 ? 1 : all.Min();
        double high = all.Length == 0 ? 10 : all.Max();
        if (logarithmic)
        {
            Marks = Powers(low, high);
            (_low, _high) = tight ? (low, Math.Max(high, low * 1.01)) : (Marks[0], Marks[^1]);
            Marks = [.. Marks.Where(m => m >= _low * 0.999 && m <= _high * 1.001)];
        }
        else
        {
            double step = Step(high);
            (_low, _high) = (0, Math.Max(step, Math.Ceiling((high / step) - 1e-9) * step));
            Marks = [.. Enumerable.Range(0, (int)Math.Round(_high / step) + 1).Select(i => i * step)];
        }
    }

    /// <summary>The values to mark.</summary>
    public IReadOnlyList<double> Marks { get; }

    public double Pixel(double value)
    {
        double part = _logarithmic
            ? (Math.Log(Math.Max(value, _low)) - Math.Log(_low)) / (Math.Log(_high) - Math.Log(_low))
            : (value - _low) / (_high - _low);
        return _from + (Math.Clamp(part, 0, 1) * (_to - _from));
    }

    /// <summary>A value as short as an axis needs it.</summary>
    public static string Label(double value) =>
        Math.Abs(value) >= 1e9 ? (value / 1e9).ToString("0.##", CultureInfo.InvariantCulture) + "G"
        : Math.Abs(value) >= 1e6 ? (value / 1e6).ToString("0.##", CultureInfo.InvariantCulture) + "M"
        : Math.Abs(value) >= 1e4 ? (value / 1e3).ToString("0.##", CultureInfo.InvariantCulture) + "k"
        : Math.Abs(value) >= 100 ? value.ToString("0", CultureInfo.InvariantCulture)
        : value.ToString(Math.Abs(value) >= 10 ? "0.#" : Math.Abs(value) >= 1 ? "0.##" : "0.####", CultureInfo.InvariantCulture);

    private static double Step(double high)
    {
        double raw = Math.Max(high, 1e-9) / (MostMarks - 2);
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        return power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
    }

    private static double[] Powers(double low, double high)
    {
        int first = (int)Math.Floor(Math.Log10(low) + 1e-9);
        int last = Math.Max(first + 1, (int)Math.Ceiling(Math.Log10(high) - 1e-9));
        return [.. Enumerable.Range(first, last - first + 1).Select(e => Math.Pow(10, e))];
    }
}
