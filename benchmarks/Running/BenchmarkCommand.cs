using System.CommandLine;
using System.Globalization;

namespace BfsBench;

/// <summary>Makes a command of a benchmark: its options, its run, and what becomes of the figures.</summary>
internal static class BenchmarkCommand
{
    private const double MostScale = 10;

    public static Command Create(Benchmark benchmark)
    {
        bool hasQuick = !benchmark.Asks.HasFlag(BenchmarkOptions.NoQuick);
        string Default<T>(Func<BenchmarkSize, T> of) => string.Create(CultureInfo.InvariantCulture,
            $"default: {of(BenchmarkSize.Usual)}{(hasQuick ? $", with --quick {of(BenchmarkSize.Quick)}" : "")}");
        Option<FileInfo?> json = new("--json") { Description = "Also write the figures to this file, as a JSON array", HelpName = "FILE" };
        Option<FileInfo?> report = new("--report") { Description = "Also write plots and figures to this file, as one HTML page (default: beside the JSON file, with the ending .html)", HelpName = "FILE" };
        Option<bool> quick = new("--quick") { Description = "Fewer, shorter and smaller runs" };
        Option<bool> thesis = new("--thesis") { Description = $"Andrew and PostMark as large as in the thesis: --copies {BenchmarkCatalog.Copies(BenchmarkSize.Thesis)} and, once, {BenchmarkCatalog.LargeAndrewCopies}; --scale {BenchmarkCatalog.Scale(BenchmarkSize.Thesis)}" };
        Option<int?> runs = new("--runs") { Description = "How often everything is measured; the figures are medians", HelpName = "N" };
        Option<string?> systems = new("--systems") { Description = "Only these: " + string.Join(", ", SystemCatalog.All(quick: false).Select(s => s.Name)), HelpName = "A,B,.." };
        Option<int?> copies = new("--copies") { Description = $"How many copies of the source tree ({Default(BenchmarkCatalog.Copies)})", HelpName = "N" };
        Option<double?> scale = new("--scale") { Description = $"PostMark's size: 1 for 10 000 files and 100 000 transactions ({Default(BenchmarkCatalog.Scale)})", HelpName = "X" };
        var command = new Command(benchmark.Name, benchmark.Description + ".") { json, report, runs };
        AddIf(hasQuick, quick);
        AddIf(benchmark.Asks.HasFlag(BenchmarkOptions.Thesis), thesis);
        AddIf(benchmark.Asks.HasFlag(BenchmarkOptions.Systems), systems);
        AddIf(benchmark.Asks.HasFlag(BenchmarkOptions.Copies), copies);
        AddIf(benchmark.Asks.HasFlag(BenchmarkOptions.Scale), scale);
        command.SetAction(parsed =>
        {
            var settings = new BenchmarkSettings
            {
                Size = SizeOf(IsGiven(quick), IsGiven(thesis)),
                Runs = AtLeastOne("--runs", parsed.GetValue(runs)),
                Systems = command.Options.Contains(systems) ? KnownSystems(parsed.GetValue(systems)) : null,
                Copies = command.Options.Contains(copies) ? AtLeastOne("--copies", parsed.GetValue(copies)) : null,
                Scale = command.Options.Contains(scale) ? PossibleScale(parsed.GetValue(scale)) : null,
            };
            return BenchmarkRun.Run(benchmark, settings, parsed.GetValue(json)?.FullName, parsed.GetValue(report)?.FullName);

            bool IsGiven(Option<bool> option) => command.Options.Contains(option) && parsed.GetValue(option);
        });
        return command;

        void AddIf(bool wanted, Option option)
        {
            if (wanted)
            {
                command.Options.Add(option);
            }
        }
    }

    private static BenchmarkSize SizeOf(bool quick, bool thesis) => (quick, thesis) switch
    {
        (true, true) => throw new BenchException("--quick and --thesis say different sizes; give one of them") { ExitCode = 2 },
        (true, _) => BenchmarkSize.Quick,
        (_, true) => BenchmarkSize.Thesis,
        _ => BenchmarkSize.Usual,
    };

    private static int? AtLeastOne(string option, int? value) => value is null or (>= 1 and <= 10_000) ? value
        : throw new BenchException($"{option} must be from 1 to 10000, not {value}") { ExitCode = 2 };

    private static double? PossibleScale(double? value) => value is null or (> 0 and <= MostScale) ? value
        : throw new BenchException(string.Create(CultureInfo.InvariantCulture, $"--scale must be above 0 and at most {MostScale}, not {value}")) { ExitCode = 2 };

    private static string[]? KnownSystems(string? text)
    {
        string[]? names = text?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string[] known = [.. SystemCatalog.All(quick: false).Select(s => s.Name)];
        string? unknown = names?.FirstOrDefault(n => !known.Contains(n, StringComparer.OrdinalIgnoreCase));
        return unknown is not null || names is [] ? throw new BenchException($"--systems: there is no '{unknown}'; there are {string.Join(", ", known)}") { ExitCode = 2 }
            : names;
    }
}
