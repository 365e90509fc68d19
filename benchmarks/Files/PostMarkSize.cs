namespace BfsBench;

/// <summary>How much PostMark does; the thesis' settings are 1 (§8.6.1).</summary>
internal readonly record struct PostMarkSize(double Scale)
{
    public const int LeastBytes = 512;
    public const int MostBytes = 16 * 1024;

    private const int ThesisFiles = 10_000;
    private const int ThesisTransactions = 100_000;
    private const int ThesisDirectories = 130;

    public int Files => Math.Max(10, (int)(ThesisFiles * Scale));
    public int Transactions => Math.Max(20, (int)(ThesisTransactions * Scale));
    public int Directories => Math.Max(2, (int)(ThesisDirectories * Scale));

    /// <summary>A part of it.</summary>
    public PostMarkSize Fraction(double part) => new(Scale * part);
}
