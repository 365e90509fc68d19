using System.Globalization;

namespace BfsClient.Commands;

/// <summary>Sizes as people write them: 1048576, 512M, 16G, 1T (powers of 1024).</summary>
internal static class Size
{
    private const string Units = "KMGT";

    /// <returns>Bytes; null when it is no such size.</returns>
    public static long? Parse(string text)
    {
        string number = text.Trim().ToUpperInvariant();
        number = number.EndsWith("IB", StringComparison.Ordinal) ? number[..^2] : number;
        int unit = number.Length == 0 ? -1 : Units.IndexOf(number[^1], StringComparison.Ordinal);
        number = unit < 0 ? number : number[..^1];
        int shift = 10 * (unit + 1);
        return long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long value) && value > 0
            && value <= long.MaxValue >> shift
            ? value << shift
            : null;
    }

    public static string Text(long bytes)
    {
        int unit = -1;
        while (unit + 1 < Units.Length && bytes >= 1024 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            unit++;
        }
        return unit < 0 ? $"{bytes} bytes" : $"{bytes} {Units[unit]}iB";
    }
}
