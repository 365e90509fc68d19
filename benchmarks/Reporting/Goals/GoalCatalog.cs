namespace BfsBench;

/// <summary>All that is asked, in the order of the thesis' chapter 8; docs/performance.md says what keeps the others from being reached.</summary>
internal static class GoalCatalog
{
    /// <summary>What an operation may cost, in times, when there is more of something.</summary>
    public const double MostGrowth = 1.2;

    /// <summary>What a modified page may cost in a checkpoint, and what it cost in the thesis (§8.4.1).</summary>
    public const double MostPageMicros = 8;
    public const double ThesisPageMicros = 101;

    // BFT-SMaRt 1.2 with MACs and four replicas, measured once on a machine like those that the goals are for.
    private const double SmartLatencyMicros = 1_240;
    private const double SmartThroughput20 = 2_421;
    private const double SmartThroughput50 = 2_674;
    private const double SmartThroughputArgument = 1_321;
    private const double SmartThroughputResult = 2_299;

    public static IReadOnlyList<Goal> All { get; } =
    [
        AtMost("latency 0/0 read-write over NO-REP", "4.07", 3.0, r => r.OverNoRep("latency-0/0-rw")),
        AtMost("latency 0/0 read-only over NO-REP", "1.93", 1.6, r => r.OverNoRep("latency-0/0-ro")),
        AtMost("latency 0/8 read-write over NO-REP", "1.47", 1.5, r => r.OverNoRep("latency-result-8192-rw")),
        AtMost("latency 8/0 read-write over NO-REP", "1.52", 1.5, r => r.OverNoRep("latency-argument-8192-rw")),
        AtMost("CPU per operation 0/0, busiest replica over NO-REP, 50 clients", "2.1", 1.7, r => r.OverNoRep("cpu-busiest-server-0/0-rw-50")),
        AtMost("CPU per operation 0/4, busiest replica over NO-REP, 50 clients", "0.45", 0.6, r => r.OverNoRep("cpu-busiest-server-0/4-rw-50")),
        AtMost("latency 0/0 read-write, us (a tenth of BFT-SMaRt's)", "", SmartLatencyMicros / 10, r => r.Value("latency-0/0-rw")),
        AtLeast("throughput 0/0, 20 clients, /s (5 times BFT-SMaRt's)", "", 5 * SmartThroughput20, r => r.Value("throughput-0/0-rw-20")),
        AtLeast("throughput 0/0, 50 clients, /s (5 times BFT-SMaRt's)", "", 5 * SmartThroughput50, r => r.Value("throughput-0/0-rw-50")),
        AtLeast("throughput 4/0, 20 clients, /s (5 times BFT-SMaRt's)", "", 5 * SmartThroughputArgument, r => r.Value("throughput-4/0-rw-20")),
        AtLeast("throughput 0/4, 20 clients, /s (5 times BFT-SMaRt's)", "", 5 * SmartThroughputResult, r => r.Value("throughput-0/4-rw-20")),
        AtMost("a modified page in a checkpoint, neighbours, us", $"{ThesisPageMicros}", MostPageMicros, r => r.Value("checkpoint-page-consecutive")),
        AtMost("a modified page in a checkpoint, at random, us", $"{ThesisPageMicros}", MostPageMicros, r => r.Value("checkpoint-page-random")),
        AtMost("growth of an operation by state", "", MostGrowth, r => r.Value("growth-ratio-operation-state")),
        AtMost("growth of an operation by files", "", MostGrowth, r => r.Value("growth-ratio-operation-files")),
        AtMost("growth at snfsd alone, by state", "", MostGrowth, r => r.Value("growth-ratio-state")),
        AtMost("growth at snfsd alone, by names in a directory", "", MostGrowth, r => r.Value("growth-ratio-directory")),
        AtMost("growth at snfsd alone, by files", "", MostGrowth, r => r.Value("growth-ratio-files")),
        AtMost("Andrew, total over NO-REP", "1.14-1.22", 1.05, r => r.OverNoRep("andrew-total")),
        AtMost("Andrew with 500 copies, total over NO-REP", "1.14-1.22", 1.05, r => r.OverNoRep("andrew500-total")),
        AtMost("Andrew, total over a pass-through", "", 1.5, r => r.Over(SystemNames.PassThrough, "andrew-total")),
        .. AndrewBenchmark.Phases.Select(phase => AtLeast($"Andrew {phase}, times faster than GlusterFS", "", phase == "2-copy" ? 5 : 1,
            r => r.TimesFasterThan(SystemNames.GlusterFs, $"andrew-{phase}"))),
        AtLeast("PostMark, transactions over NO-REP", "0.53", 0.75, r => r.OverNoRep("postmark-transactions")),
        AtLeast("PostMark, transactions over GlusterFS", "", 5, r => r.Over(SystemNames.GlusterFs, "postmark-transactions")),
        AtLeast("dbench, MB/s over GlusterFS", "", 5, r => r.Over(SystemNames.GlusterFs, "dbench")),
        AtLeast("reading a large file over NO-REP", "", 0.6, r => r.OverNoRep("sequential-read")),
        AtLeast("writing a large file over NO-REP", "", 0.4, r => r.OverNoRep("sequential-write")),
    ];

    private static Goal AtMost(string what, string thesis, double asked, Func<RunFigures, double?> measure) => new(what, thesis, asked, AtLeast: false, measure);

    private static Goal AtLeast(string what, string thesis, double asked, Func<RunFigures, double?> measure) => new(what, thesis, asked, AtLeast: true, measure);
}
