using System.Globalization;
using BfsCore;

namespace BfsBench;

/// <summary>
/// The performance model of chapter 7: its parameters measured here, its predictions beside measurements of the same run, and what
/// it says of more replicas and other networks (§8.3.4, §8.3.5), where each node has a machine of its own.
/// </summary>
internal static class ModelBenchmark
{
    public const string Measured = "measured";
    public const string Predicted = "predicted";

    /// <summary>Clients of the throughput prediction, and the batch that so many make with four batches under way.</summary>
    private const int Clients = 20;
    private const int Batch = 5;
    private const int ClientMachines = 100;

    private const int EchoRounds = 3;

    private static readonly NullOperation[] s_operations =
        [new(0, 0, false), new(0, 0, true), new(4096, 0, false), new(4096, 0, true), new(0, 4096, false), new(0, 4096, true)];

    public static void Run(BenchmarkSettings settings, Results results)
    {
        int[] faults = settings.Quick ? [1] : [1, 2];
        Surroundings here = null!;
        Output.WithProgress("performance model", 1 + (faults.Length * 2), onDone =>
        {
            here = Parameters(settings, results);
            onDone("parameters");
            foreach (int f in faults)
            {
                Latencies(here, f, settings, results);
                onDone($"latency, {(3 * f) + 1} replicas");
                Throughputs(here, f, settings, results);
                onDone($"throughput, {(3 * f) + 1} replicas");
            }
        });
        MoreReplicas(here, results);
        OtherNetworks(here, results);
    }

    private static Surroundings Parameters(BenchmarkSettings settings, Results results)
    {
        using BenchCluster noRep = new(ClusterMode.NoRep, 1, echo: true), bfs = new(ClusterMode.Bft, 1, echo: true);
        double roundTrip = Echo(noRep, bfs, settings, results);
        Surroundings here = ComponentCosts.Measure(roundTrip, bfs.Config.InlineThresholdBytes);
        results.Add("model-digest-fixed", SystemNames.Bfs, "us", here.DigestFixed);
        results.Add("model-digest-per-kilobyte", SystemNames.Bfs, "us", here.DigestPerByte * 1024);
        results.Add("model-mac", SystemNames.Bfs, "us", here.Mac);
        results.Add("model-host-fixed", SystemNames.Bfs, "us", here.HostFixed);
        results.Add("model-host-per-kilobyte", SystemNames.Bfs, "us", here.HostPerByte * 1024);
        results.Add("model-hop", SystemNames.Bfs, "us", here.HopFixed);
        (double fresh, double again) = NewMemory.Measure();
        results.Add("model-memory-new", SystemNames.Bfs, "ms/MiB", fresh);
        results.Add("model-memory-again", SystemNames.Bfs, "ms/MiB", again);
        return here;
    }

    /// <summary>The datagrams of a read-only operation without the operation: what takes longer is our code.</summary>
    /// <returns>The round trip to one server, microseconds.</returns>
    private static double Echo(BenchCluster noRep, BenchCluster bfs, BenchmarkSettings settings, Results results)
    {
        using EchoClient one = new(noRep), quorum = new(bfs);
        TimeSpan time = TimeSpan.FromSeconds(settings.Quick ? 0.25 : 2);
        var roundTrips = new List<double>();
        // The first round is for just-in-time compilers.
        for (int round = 0; round <= EchoRounds; round++)
        {
            (double single, double three) = (one.MedianMicros(time), quorum.MedianMicros(time));
            if (round > 0)
            {
                roundTrips.Add(single);
                results.Add("model-echo", SystemNames.NoRep, "us", single);
                results.Add("model-echo", SystemNames.Bfs, "us", three);
            }
        }
        return Statistics.Median(roundTrips);
    }

    private static void Latencies(Surroundings here, int f, BenchmarkSettings settings, Results results)
    {
        using var noRep = new BenchCluster(ClusterMode.NoRep, 1);
        using var bfs = new BenchCluster(ClusterMode.Bft, 1, (3 * f) + 1);
        using Load noRepLoad = new(noRep, 1), bfsLoad = new(bfs, 1);
        var model = new PerformanceModel(here, f);
        foreach (NullOperation operation in s_operations)
        {
            (int a, int r) = (operation.ArgumentBytes, operation.ResultBytes);
            Compare($"latency-{operation.Name}-n{(3 * f) + 1}", SystemNames.Bfs, "us", Latency(bfsLoad, operation, settings),
                operation.ReadOnly ? model.ReadOnlyLatency(a, r) : model.ReadWriteLatency(a, r), results);
            Compare($"latency-{operation.Name}-n{(3 * f) + 1}", SystemNames.NoRep, "us", Latency(noRepLoad, operation, settings),
                PerformanceModel.NoRepLatency(here, a, r), results);
        }
    }

    private static void Throughputs(Surroundings here, int f, BenchmarkSettings settings, Results results)
    {
        using var bfs = new BenchCluster(ClusterMode.Bft, Clients, (3 * f) + 1);
        using var load = new Load(bfs, Clients);
        var model = new PerformanceModel(here, f);
        foreach (NullOperation operation in s_operations.Where(o => !o.ReadOnly))
        {
            double measured = Run(load, operation, settings).OperationsPerSecond;
            Compare($"throughput-{operation.Name}-{Clients}-n{(3 * f) + 1}", SystemNames.Bfs, "operations/s", measured,
                model.Throughput(operation.ArgumentBytes, operation.ResultBytes, Batch, 1), results);
        }
    }

    private static void Compare(string what, string system, string unit, double measured, double predicted, Results results)
    {
        if (!double.IsFinite(measured) || measured <= 0)
        {
            throw new BenchException($"no operation of {what} completed in time: the machine is too busy to measure anything");
        }
        results.Add($"model-{Measured}-{what}", system, unit, measured);
        results.Add($"model-{Predicted}-{what}", system, unit, predicted);
        results.Add($"model-error-{what}", system, "%", 100 * (predicted - measured) / measured);
    }

    private static double Latency(Load load, NullOperation operation, BenchmarkSettings settings) => Run(load, operation, settings).MedianLatencyMicros;

    private static LoadResult Run(Load load, NullOperation operation, BenchmarkSettings settings) => load.Run(operation.Bytes, operation.ReadOnly,
        TimeSpan.FromSeconds(settings.Quick ? 0.5 : 2), TimeSpan.FromSeconds(settings.Quick ? 0.5 : 3));

    /// <summary>The slowdown by more replicas against four (Figures 8-23, 8-24).</summary>
    private static void MoreReplicas(Surroundings here, Results results)
    {
        Surroundings lan = here.OverFastLan();
        var four = new PerformanceModel(lan, 1);
        for (int f = 1; f <= 10; f++)
        {
            var model = new PerformanceModel(lan, f);
            foreach (NullOperation operation in s_operations)
            {
                (int a, int r) = (operation.ArgumentBytes, operation.ResultBytes);
                results.Add($"model-slowdown-{operation.Name}-f{f}", SystemNames.Bfs, "times", operation.ReadOnly
                    ? model.ReadOnlyLatency(a, r) / four.ReadOnlyLatency(a, r) : model.ReadWriteLatency(a, r) / four.ReadWriteLatency(a, r));
                if (!operation.ReadOnly)
                {
                    results.Add($"model-throughput-{operation.Name}-f{f}", SystemNames.Bfs, "operations/s", model.Throughput(a, r, Batch, ClientMachines));
                }
            }
        }
    }

    /// <summary>The slowdown against NO-REP elsewhere (Figures 8-25, 8-26).</summary>
    private static void OtherNetworks(Surroundings here, Results results)
    {
        foreach ((string name, Surroundings at) in new[] { ("wan", here.OverWan()), ("fast-lan", here.OverFastLan()) })
        {
            var model = new PerformanceModel(at, 1);
            foreach (NullOperation operation in s_operations)
            {
                (int a, int r) = (operation.ArgumentBytes, operation.ResultBytes);
                results.Add(string.Create(CultureInfo.InvariantCulture, $"model-{name}-{operation.Name}"), SystemNames.Bfs, "times NO-REP",
                    (operation.ReadOnly ? model.ReadOnlyLatency(a, r) : model.ReadWriteLatency(a, r)) / PerformanceModel.NoRepLatency(at, a, r));
            }
        }
    }
}
