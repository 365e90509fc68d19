using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace BfsBench;

/// <summary>dbench: four clients repeat what a file server was once asked for; megabytes per second of all.</summary>
internal sealed partial class DbenchProgram(int seconds) : IFileWorkload
{
    private const int Clients = 4;
    private const int WarmUpSeconds = 1;

    public string Name => "dbench";

    public string Description => $"dbench: {Clients} clients, {seconds} s.";

    public string? WhyNot() => ChildProgram.Find("dbench") is null ? "the program is missing (package dbench)" : null;

    /// <summary>Its own warming up is a fifth of its time: too short for three seconds.</summary>
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
