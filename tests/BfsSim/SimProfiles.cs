using BfsSim.Byzantine;

namespace BfsSim;

/// <summary>Narrower choices than <see cref="SimOptions.Draw"/> makes: more of one kind of trouble in a shorter run.</summary>
public static class SimProfiles
{
    public const string LiarName = "liar", ConspiratorName = "conspirator", RestartsName = "restarts", FilesName = "files",
        IntruderName = "intruder", LeaverName = "leaver", ForgerName = "forger", ReaderName = "reader", DoubterName = "doubter", DividerName = "divider", DeserterName = "deserter", SignedName = "pk";

    public static IReadOnlyDictionary<string, Func<SimOptions, SimOptions>> All { get; } = new Dictionary<string, Func<SimOptions, SimOptions>>
    {
        [LiarName] = Liar,
        [ConspiratorName] = options => Liar(options) with { Liars = nameof(Conspirator) },
        [LeaverName] = options => Liar(options) with { Liars = nameof(PartialLeaver) },
        [ForgerName] = options => Liar(options) with { Liars = nameof(ViewChangeForger) },
        [ReaderName] = Reader,
        [DoubterName] = Doubter,
        [DividerName] = Divided,
        [DeserterName] = options => Liar(options) with { Liars = nameof(Deserter) },
        [RestartsName] = Restarts,
        [FilesName] = options => Liar(options) with { Files = true },
        [IntruderName] = Intruded,
        [SignedName] = Signed,
    };

    /// <summary>Small and fast, always with a liar, and views that change all the time.</summary>
    private static SimOptions Liar(SimOptions options) => Short(options) with
    {
        FaultyReplicas = 1,
        FaultyClients = 0,
        Restarts = 0,
    };

    /// <summary>Much is read while it is written, and a liar answers with what was so before.</summary>
    private static SimOptions Reader(SimOptions options) => Liar(options) with
    {
        Liars = nameof(StaleReader),
        ReadOnlyOptimization = true,
        ReadsPerMille = 600,
        Keys = Math.Min(options.Keys, 2),
        LongestThinkMicros = Math.Min(options.LongestThinkMicros, 2_000),
    };

    /// <summary>A client whose requests only the primary can authenticate, and a liar that votes for all that is proposed.</summary>
    private static SimOptions Doubter(SimOptions options) => Liar(options) with
    {
        Liars = nameof(DoubleVoter),
        FaultyClients = 1,
        LyingClients = nameof(NeverSigner),
        ViewRotationCheckpoints = 0,
        ViewChangeTimeoutMillis = 1000,
    };

    /// <summary>Replicas fall behind again and again, and a liar tells those who are ahead apart from those who are not.</summary>
    private static SimOptions Divided(SimOptions options) => Liar(options) with
    {
        Liars = nameof(Divider),
        Outages = 12,
        CheckpointPeriod = 2,
        LogSize = 6,
        WindowSize = 1,
        InlineThresholdBytes = 2000,
        LargeValuesPerMille = 0,
        LossPerMille = 0,
        DelaySpreadMicros = Math.Min(options.DelaySpreadMicros, 200),
        Operations = 4 * Math.Min(options.Operations, 120),
    };

    /// <summary>Processes end and start again all the time, often all at once.</summary>
    private static SimOptions Restarts(SimOptions options) => Short(options) with
    {
        FaultyClients = 0,
        Restarts = Math.Max(options.Restarts, 3) * 2,
        MassRestartsPerMille = 300,
    };

    /// <summary>One replica after the other falls and recovers.</summary>
    internal static SimOptions Intruded(SimOptions options) => options with
    {
        FaultyReplicas = 0,
        Restarts = 0,
        Recoveries = 0,
        Outages = 0,
        Partitions = 0,
        OneWayCuts = 0,
        LossPerMille = Math.Min(options.LossPerMille, 50),
        KeyRefreshMillis = 500,
        Intrusions = 2 + (int)(options.HealMicros % 5),
        Operations = 2 * options.Operations,
        HealMicros = 20_000_000,
    };

    /// <summary>
    /// BFT-PK with everything that the common mix has but recoveries; one seed in three is as short as <see cref="Liar"/>, where
    /// views change all the time.
    /// </summary>
    private static SimOptions Signed(SimOptions options) => (options.Operations % 3 == 0 ? Liar(options) : options) with
    {
        Signed = true,
        KeyRefreshMillis = 0,
        Recoveries = 0,
        Intrusions = 0,
    };

    private static SimOptions Short(SimOptions options) => options with
    {
        Files = false,
        Replicas = 4,
        FaultyReplicas = Math.Min(options.FaultyReplicas, 1),
        Clients = Math.Min(options.Clients, 2),
        SlotsPerClient = Math.Min(options.SlotsPerClient, 2),
        CheckpointPeriod = Math.Min(options.CheckpointPeriod, 4),
        LogSize = Math.Min(options.CheckpointPeriod, 4) * 2,
        WindowSize = Math.Min(options.WindowSize, Math.Min(options.CheckpointPeriod, 4)),
        MaxBatchRequests = Math.Min(options.MaxBatchRequests, 4),
        Operations = Math.Min(options.Operations, 120),
        LossPerMille = Math.Min(options.LossPerMille, 50),
        CorruptionPerMille = 0,
        KeyRefreshMillis = 0,
        Recoveries = 0,
        Intrusions = 0,
        StragglersPerMille = 0,
        ShortestDelayMicros = Math.Min(options.ShortestDelayMicros, 200),
        DelaySpreadMicros = Math.Min(options.DelaySpreadMicros, 5_000),
        LongestThinkMicros = Math.Min(options.LongestThinkMicros, 20_000),
        ViewRotationCheckpoints = 1,
        ViewChangeTimeoutMillis = 100,
        HealMicros = Math.Min(options.HealMicros, 4_000_000),
    };
}
