using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace BfsBench;

/// <summary>dbench: four clients repeat what a file server was once asked for; megabytes per second of all.</summary>
/// <param name="seconds">In the first few GlusterFS is more than twice as fast as later.</param>
/// <param name="quick">Once, and only on those systems that others are compared with.</param>
internal sealed partial class DbenchProgram(int seconds, bool quick) : IFileWorkload
{
    private const int Clients = 4;
    private const int WarmUpSeconds = 1;

    private static readonly string[] s_compared = [SystemNames.Bfs, SystemNames.NoRep, SystemNames.GlusterFs];

    public string Name => "dbench";

    public string Description => $"dbench: {Clients} clients, {seconds} s{(quick ? $", once on {string.Join(", ", s_compared)}" : "")}.";

    public string? WhyNot() => ChildProgram.Find("dbench") is null ? "the program is missing (package dbench)" : null;

    public bool TakesPart(string system, int run) => !quick || (run == 0 && s_compared.Contains(system));

    /// <summary>Its own warming up is a fifth of its time.</summary>
    public void WarmUp(string directory) => Work(directory, WarmUpSeconds);

    public void Run(string directory, string system, Results results)
    {
        string output = Work(directory, seconds);
        Match match = Throughput().Match(output);
        if (!match.Success)
        {
            throw new BenchException("dbench printed no throughput: " + output);
        }
        results.Add("dbench", system, "MB/s", double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));
    }

    private static string Work(string directory, int time) =>
        ChildProgram.Run(new ProcessStartInfo("dbench", ["-D", directory, "-t", $"{time}", $"{Clients}"]));

    [GeneratedRegex(@"^Throughput ([0-9.]+) MB/sec", RegexOptions.Multiline)]
    private static partial Regex Throughput();
}
