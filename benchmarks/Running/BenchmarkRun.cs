using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace BfsBench;

/// <summary>One invocation: runs the parts of a benchmark, prints the figures and writes them to files.</summary>
internal static class BenchmarkRun
{
    /// <returns>The exit code: 1 if something failed, though the figures of everything else are there.</returns>
    public static int Run(Benchmark benchmark, BenchmarkSettings settings, string? json, string? report)
    {
        report ??= json is null ? null : Path.ChangeExtension(json, ".html");
        if (report is not null && report == json)
        {
            throw new BenchException("--json and --report must name different files") { ExitCode = 2 };
        }
        // After hours of measuring it would be too late to find out.
        RequireWritable("--json", json);
        RequireWritable("--report", report);
        var results = new Results();
        var watch = Stopwatch.StartNew();
        foreach (Action<BenchmarkSettings, Results> part in benchmark.Parts)
        {
            try
            {
                part(settings, results);
            }
            catch (Exception e) when (benchmark.Parts.Count > 1 && e is not BenchException { ExitCode: 2 })
            {
                results.Failed($"a part of the benchmark failed: {e.Message}");
            }
            Write(benchmark, settings, results, json, report);
        }
        ResultTable.Print(Output.Console, results.Figures());
        new GoalTable([results.ToRun(benchmark.Name)]).Print(Output.Console);
        foreach (string note in results.Notes)
        {
            Output.Say(note);
        }
        Output.Say(string.Create(CultureInfo.InvariantCulture, $"took {watch.Elapsed.TotalSeconds:0} s")
            + (report is null ? "" : $"; plots: {report}"));
        return results.AnyFailure ? 1 : 0;
    }

    private static void Write(Benchmark benchmark, BenchmarkSettings settings, Results results, string? json, string? report)
    {
        if (json is not null)
        {
            File.WriteAllText(json, results.ToJson());
        }
        if (report is not null)
        {
            File.WriteAllText(report, HtmlReport.Render([results.ToRun(benchmark.Name)], results.Notes, $"BFS benchmarks: {benchmark.Name}{(settings.Quick ? ", quick" : "")}", Machine()));
        }
    }

    private static void RequireWritable(string option, string? path)
    {
        if (path is null)
        {
            return;
        }
        try
        {
            bool existed = File.Exists(path);
            File.Open(path, FileMode.OpenOrCreate, FileAccess.Write).Dispose();
            if (!existed)
            {
                File.Delete(path);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BenchException($"{option}: cannot write {path}: {e.Message}", e) { ExitCode = 2 };
        }
    }

    private static string Machine()
    {
        string processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[^1] ?? RuntimeInformation.ProcessArchitecture.ToString();
        return string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, {Environment.ProcessorCount} cores ({processor}), ")
            + $"{RuntimeInformation.OSDescription}, {RuntimeInformation.FrameworkDescription}; everything runs on this one machine.";
    }
}
