using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace BfsBench;

/// <summary>
/// PostMark itself (§8.6.1), with its commands on standard input. It counts whole seconds; so its transactions are timed here,
/// by what it prints when they begin and end.
/// </summary>
internal sealed class PostMarkProgram(PostMarkSize size) : IFileWorkload
{
    private const string Begin = "Performing transactions";
    private const string End = "Done";

    public string Name => "postmark";

    public string Description => $"postmark: {size.Files} files of {PostMarkSize.LeastBytes} to {PostMarkSize.MostBytes} bytes in "
        + $"{size.Directories} directories, {size.Transactions} transactions.";

    public string? WhyNot() => ChildProgram.Find("postmark") is null ? "the program is missing (package postmark)" : null;

    public void WarmUp(string directory) => Time(directory, size.Fraction(0.1));

    public void Run(string directory, string system, Results results)
    {
        (double transactions, double total) = Time(directory, size);
        results.Add("postmark-transactions", system, "transactions/s", size.Transactions / transactions);
        results.Add("postmark-total", system, "s", total);
    }

    private static (double Transactions, double Total) Time(string directory, PostMarkSize size)
    {
        string commands = string.Create(CultureInfo.InvariantCulture, $"""
            set location {directory}
            set number {size.Files}
            set transactions {size.Transactions}
            set size {PostMarkSize.LeastBytes} {PostMarkSize.MostBytes}
            set subdirectories {size.Directories}
            run
            quit

            """);
        var output = new StringBuilder();
        double? begun = null, ended = null;
        long start = Stopwatch.GetTimestamp();
        // Without a buffer, or all of it would come at the end.
        string? problem = ChildProgram.RunReading(new ProcessStartInfo("stdbuf", ["-o0", "postmark"]), commands, text =>
        {
            output.Append(text);
            string all = output.ToString();
            double now = Stopwatch.GetElapsedTime(start).TotalSeconds;
            int at = all.IndexOf(Begin, StringComparison.Ordinal);
            begun ??= at >= 0 ? now : null;
            ended ??= at >= 0 && all.IndexOf(End, at, StringComparison.Ordinal) >= 0 ? now : null;
        });
        double total = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return problem is null && begun is not null && ended is not null && !output.ToString().Contains("Error", StringComparison.Ordinal)
            ? (ended.Value - begun.Value, total)
            : throw new BenchException($"postmark: {problem} {output}");
    }
}
