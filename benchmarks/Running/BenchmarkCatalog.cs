namespace BfsBench;

/// <summary>All benchmarks, and the sizes of those that work on file systems.</summary>
internal static class BenchmarkCatalog
{
    public const int LargeAndrewCopies = 500;

    private const int DbenchSeconds = 30;
    private const int QuickDbenchSeconds = 20;

    /// <summary>The operations of our own driver against those of PostMark: enough to know their times.</summary>
    private const double DriverPart = 0.2;
    private const double QuickDriverPart = 0.5;

    public static IReadOnlyList<Benchmark> All { get; } =
    [
        new("micro", "Latency, throughput and CPU time of the null service, BFS against NO-REP (§8.3)", BenchmarkOptions.None, [MicroBenchmark.Run]),
        new("model", "The performance model of chapter 7: its parameters, predictions beside measurements, other networks", BenchmarkOptions.None, [ModelBenchmark.Run]),
        new("checkpoint", "What a modified page costs in a checkpoint: copy and digest (§8.4.1)", BenchmarkOptions.None, [CheckpointBenchmark.Run]),
        new("transfer", "State transfer to a replica that starts empty, idle and under writes (§8.4.2)", BenchmarkOptions.None, [TransferBenchmark.Run]),
        new("viewchange", "The time that view changes take, idle and under load, and stalls when the primary is killed (§8.5)", BenchmarkOptions.None, [ViewChangeBenchmark.Run]),
        new("growth", "What an operation costs as state, directories, files and clients become more", BenchmarkOptions.None, [GrowthBenchmark.Run]),
        new("andrew", "The modified Andrew benchmark (§8.6.1) on drives and other file systems", BenchmarkOptions.Systems | BenchmarkOptions.Copies | BenchmarkOptions.Thesis,
            [(settings, results) => OnFileSystems("andrew", Andrew(settings), settings, results)]),
        new("postmark", "PostMark (§8.6.1), and the time of each of its operations", BenchmarkOptions.Systems | BenchmarkOptions.Scale | BenchmarkOptions.Thesis,
            [(settings, results) => OnFileSystems("postmark", PostMark(settings), settings, results)]),
        new("files", "One large file written and read, and dbench", BenchmarkOptions.Systems,
            [(settings, results) => OnFileSystems("files", Files(settings), settings, results)]),
        new("quick", "All of these in small form, in less than a quarter of an hour",
            BenchmarkOptions.Systems | BenchmarkOptions.NoQuick, [.. Together(settings => settings with { Size = BenchmarkSize.Quick })]),
        new("all", "All of these, each file system once unless --runs says how often; takes about an hour, with --thesis many",
            BenchmarkOptions.Systems | BenchmarkOptions.Copies | BenchmarkOptions.Scale | BenchmarkOptions.NoQuick | BenchmarkOptions.Thesis,
            [.. Together(settings => settings, fileSystemRuns: 1)]),
    ];

    public static int Copies(BenchmarkSize size) => size switch { BenchmarkSize.Quick => 2, BenchmarkSize.Thesis => 100, _ => 10 };

    public static double Scale(BenchmarkSize size) => size switch { BenchmarkSize.Quick => 0.015, BenchmarkSize.Thesis => 1, _ => 0.1 };

    private static IEnumerable<Action<BenchmarkSettings, Results>> Together(Func<BenchmarkSettings, BenchmarkSettings> sized, int? fileSystemRuns = null) =>
        new Action<BenchmarkSettings, Results>[]
        {
            MicroBenchmark.Run, ModelBenchmark.Run, CheckpointBenchmark.Run, TransferBenchmark.Run, ViewChangeBenchmark.Run, GrowthBenchmark.Run,
            (settings, results) => OnFileSystems("file systems", [.. Andrew(settings), .. PostMark(settings), .. Files(settings)],
                settings with { Runs = settings.Runs ?? fileSystemRuns }, results),
        }.Select(part => (Action<BenchmarkSettings, Results>)((settings, results) => part(sized(settings), results)));

    private static void OnFileSystems(string title, IReadOnlyList<IFileWorkload> workloads, BenchmarkSettings settings, Results results) =>
        FileBenchmark.Run(title, workloads, settings.Runs ?? (settings.Quick ? 2 : 3), settings, results);

    /// <summary>Andrew100 and Andrew500 of §8.6.1, or one of another size.</summary>
    public static IReadOnlyList<IFileWorkload> Andrew(BenchmarkSettings settings)
    {
        var usual = new AndrewBenchmark("andrew", settings.Copies ?? Copies(settings.Size));
        return settings is { Size: BenchmarkSize.Thesis, Copies: null } ? [usual, new AndrewBenchmark("andrew500", LargeAndrewCopies) { Once = true }] : [usual];
    }

    private static IFileWorkload[] PostMark(BenchmarkSettings settings)
    {
        var size = new PostMarkSize(settings.Scale ?? Scale(settings.Size));
        return [new PostMarkProgram(size), new PostMarkDriver(size.Fraction(settings.Quick ? QuickDriverPart : DriverPart))];
    }

    private static IFileWorkload[] Files(BenchmarkSettings settings) =>
        [new SequentialFiles(settings.Quick ? 128L << 20 : 1L << 30), new DbenchProgram(settings.Quick ? QuickDbenchSeconds : DbenchSeconds, settings.Quick)];
}
