namespace BfsBench;

/// <summary>All benchmarks, and the sizes of those that work on file systems.</summary>
internal static class BenchmarkCatalog
{
    public const int AndrewCopies = 100;
    private const int LargeAndrewCopies = 500;
    public const int QuickCopies = 2;
    public const double QuickScale = 0.015;

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
        new("andrew", "The modified Andrew benchmark (§8.6.1) on drives and other file systems", BenchmarkOptions.Systems | BenchmarkOptions.Copies,
            [(settings, results) => OnFileSystems("andrew", [Andrew(settings)], settings, results)]),
        new("postmark", "PostMark (§8.6.1), and the time of each of its operations", BenchmarkOptions.Systems | BenchmarkOptions.Scale,
            [(settings, results) => OnFileSystems("postmark", PostMark(settings), settings, results)]),
        new("files", "One large file written and read, and dbench", BenchmarkOptions.Systems,
            [(settings, results) => OnFileSystems("files", Files(settings), settings, results)]),
        new("quick", "All of these in small form, in less than a quarter of an hour",
            BenchmarkOptions.Systems | BenchmarkOptions.NoQuick, [.. Together(settings => settings with { Quick = true })]),
        new("all", "All of these as in the thesis, and Andrew with 500 copies unless --copies says how many; takes many hours",
            BenchmarkOptions.Systems | BenchmarkOptions.Copies | BenchmarkOptions.Scale | BenchmarkOptions.NoQuick, [.. Together(settings => settings), LargeAndrew]),
    ];

    private static IEnumerable<Action<BenchmarkSettings, Results>> Together(Func<BenchmarkSettings, BenchmarkSettings> sized) =>
        new Action<BenchmarkSettings, Results>[]
        {
            MicroBenchmark.Run, ModelBenchmark.Run, CheckpointBenchmark.Run, TransferBenchmark.Run, ViewChangeBenchmark.Run, GrowthBenchmark.Run,
            (settings, results) => OnFileSystems("file systems", [Andrew(settings), .. PostMark(settings), .. Files(settings)], settings, results),
        }.Select(part => (Action<BenchmarkSettings, Results>)((settings, results) => part(sized(settings), results)));

    private static void LargeAndrew(BenchmarkSettings settings, Results results)
    {
        if (settings.Copies is null)
        {
            FileBenchmark.Run("andrew500", [new AndrewBenchmark("andrew500", LargeAndrewCopies)], settings.Runs ?? 1, settings, results);
        }
    }

    private static void OnFileSystems(string title, IReadOnlyList<IFileWorkload> workloads, BenchmarkSettings settings, Results results) =>
        FileBenchmark.Run(title, workloads, settings.Runs ?? (settings.Quick ? 2 : 3), settings, results);

    private static AndrewBenchmark Andrew(BenchmarkSettings settings) => new("andrew", settings.Copies ?? (settings.Quick ? QuickCopies : AndrewCopies));

    private static IFileWorkload[] PostMark(BenchmarkSettings settings)
    {
        var size = new PostMarkSize(settings.Scale ?? (settings.Quick ? QuickScale : 1));
        return [new PostMarkProgram(size), new PostMarkDriver(size.Fraction(settings.Quick ? QuickDriverPart : DriverPart))];
    }

    private static IFileWorkload[] Files(BenchmarkSettings settings) =>
        [new SequentialFiles(settings.Quick ? 128L << 20 : 1L << 30), new DbenchProgram(settings.Quick ? QuickDbenchSeconds : DbenchSeconds, settings.Quick)];
}
