using BfsCore;

namespace BfsBench;

/// <summary>
/// The micro-benchmarks of §8.3: latency with one client, throughput with several, by sizes of argument and result and by
/// number of replicas, and without each of the optimizations. NO-REP and the variants of BFS take turns in one run, because
/// the machine's speed drifts.
/// </summary>
internal static class MicroBenchmark
{
    public static void Run(BenchmarkSettings settings, Results results)
    {
        IReadOnlyList<MicroGroup> groups = MicroPlan.Groups(settings.Quick);
        int runs = settings.Runs ?? 3;
        var times = new MicroTimes(TimeSpan.FromSeconds(settings.Quick ? 1.5 : 5), TimeSpan.FromSeconds(settings.Quick ? 0.1 : 0.25), TimeSpan.FromSeconds(settings.Quick ? 0.25 : 0.75));
        Output.WithProgress("micro-benchmarks", groups.Sum(g => runs * g.Operations.Count * (g.Variants.Count + 1)), onDone =>
        {
            foreach (MicroGroup group in groups)
            {
                Measure(group, runs, times, results, () => onDone(group.Title));
            }
        });
    }

    private static void Measure(MicroGroup group, int runs, MicroTimes times, Results results, Action onDone)
    {
        var clusters = new List<BenchCluster>();
        var loads = new List<Load>();
        try
        {
            clusters.Add(new BenchCluster(ClusterMode.NoRep, group.Clients));
            clusters.AddRange(group.Variants.Select(v => new BenchCluster(v.Mode, group.Clients, v.Replicas, change: v.Change)));
            loads.AddRange(clusters.Select(c => new Load(c, group.Clients)));
            // Just-in-time compilers first, which take seconds; run 0 is not counted.
            foreach (Load load in loads)
            {
                load.Run(group.Operations[0].Operation.Bytes, group.Operations[0].Operation.ReadOnly, times.Compile, times.Measured);
            }
            for (int run = 0; run <= runs; run++)
            {
                foreach ((NullOperation operation, string? latencyName) in group.Operations)
                {
                    for (int i = 0; i < clusters.Count; i++)
                    {
                        LoadResult result = loads[i].Run(operation.Bytes, operation.ReadOnly, times.WarmUp, times.Measured);
                        if (run > 0)
                        {
                            Record(group, i, operation, latencyName, result, results);
                            onDone();
                        }
                    }
                }
            }
        }
        finally
        {
            loads.ForEach(l => l.Dispose());
            clusters.ForEach(c => c.Dispose());
        }
    }

    private static void Record(MicroGroup group, int cluster, NullOperation operation, string? latencyName, LoadResult result, Results results)
    {
        string system = cluster == 0 ? SystemNames.NoRep : group.Variants[cluster - 1].System;
        string[] suffixes = cluster == 0 ? [.. group.Variants.Select(v => v.Suffix).Distinct()] : [group.Variants[cluster - 1].Suffix];
        foreach (string suffix in suffixes)
        {
            if (group.Clients == 1)
            {
                results.Add((latencyName ?? $"latency-{operation.Name}") + suffix, system, "us", result.MedianLatencyMicros);
            }
            // One client's throughput says nothing more; only the plots of throughput begin with it.
            if (latencyName is not null || (group.Clients == 1 && suffix.Length > 0))
            {
                continue;
            }
            string end = $"{operation.Name}-{group.Clients}{suffix}";
            results.Add($"throughput-{end}", system, "operations/s", result.OperationsPerSecond);
            results.Add($"cpu-busiest-server-{end}", system, "us/operation", result.BusiestServerCpuMicros);
            if (suffix.Length > 0)
            {
                continue;
            }
            results.Add($"cpu-all-servers-{end}", system, "us/operation", result.ServerCpuMicrosPerOperation.Sum());
            results.Add($"cpu-clients-{end}", system, "us/operation", result.ClientCpuMicrosPerOperation);
        }
    }

    private readonly record struct MicroTimes(TimeSpan Compile, TimeSpan WarmUp, TimeSpan Measured);
}
