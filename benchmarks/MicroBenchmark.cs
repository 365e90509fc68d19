using BfsCore;
using Spectre.Console;

namespace BfsBench;

/// <summary>
/// The micro-benchmarks of §8.3: latency with one client, throughput with several, for operations 0/0, 4/0 and 0/4 (KB of
/// argument and result), read-write and read-only; BFS (BFT, n = 4) and NO-REP take turns in one run, because the machine's
/// speed drifts.
/// </summary>
internal static class MicroBenchmark
{
    private const int BasePort = 17_400;

    private static readonly (string System, ClusterMode Mode)[] Systems = [("NO-REP", ClusterMode.NoRep), ("BFS", ClusterMode.Bft)];

    private static readonly (string Name, int ArgumentKb, int ResultKb)[] Operations = [("0/0", 0, 0), ("4/0", 4, 0), ("0/4", 0, 4)];

    public static Results Run(bool quick)
    {
        int runs = quick ? 3 : 5;
        TimeSpan warmUp = TimeSpan.FromSeconds(quick ? 0.4 : 1);
        TimeSpan measured = TimeSpan.FromSeconds(quick ? 0.6 : 2);
        int[] clientCounts = quick ? [1, 20, 50] : [1, 10, 20, 50];
        var results = new Results();
        AnsiConsole.Progress().HideCompleted(false).Start(progress =>
        {
            ProgressTask task = progress.AddTask("micro-benchmarks", maxValue: clientCounts.Length * runs * 2 * Operations.Length * 2);
            int port = BasePort;
            foreach (int clients in clientCounts)
            {
                BenchCluster[] clusters = [.. Systems.Select((s, i) => new BenchCluster(s.Mode, clients, port + (10 * i)))];
                port += 20;
                try
                {
                    // Just-in-time compilers first.
                    Measure(clusters, clients, Math.Max(1, quick ? 1 : 2), warmUp, measured, results: null, () => { });
                    Measure(clusters, clients, runs, warmUp, measured, results, () => task.Increment(1));
                }
                finally
                {
                    Array.ForEach(clusters, c => c.Dispose());
                }
            }
        });
        return results;
    }

    private static void Measure(BenchCluster[] clusters, int clients, int runs, TimeSpan warmUp, TimeSpan measured,
        Results? results, Action onDone)
    {
        Load[] loads = [.. clusters.Select(c => new Load(c, clients))];
        try
        {
            for (int run = 0; run < runs; run++)
            {
                foreach ((string name, int argumentKb, int resultKb) in Operations)
                {
                    foreach (bool readOnly in new[] { false, true })
                    {
                        byte[] operation = NullService.Operation(argumentKb * 1024, resultKb * 1024, readOnly);
                        for (int i = 0; i < Systems.Length; i++)
                        {
                            LoadResult result = loads[i].Run(operation, readOnly, warmUp, measured);
                            Record(results, $"{name}-{(readOnly ? "ro" : "rw")}", Systems[i].System, clients, result);
                            onDone();
                        }
                    }
                }
            }
        }
        finally
        {
            Array.ForEach(loads, l => l.Dispose());
        }
    }

    private static void Record(Results? results, string operation, string system, int clients, LoadResult result)
    {
        if (results is null)
        {
            return;
        }
        if (clients == 1)
        {
            results.Add($"latency-{operation}", system, "us", result.MedianLatencyMicros);
        }
        results.Add($"throughput-{operation}-{clients}", system, "operations/s", result.OperationsPerSecond);
        results.Add($"cpu-busiest-server-{operation}-{clients}", system, "us/operation", result.BusiestServerCpuMicros);
        results.Add($"cpu-all-servers-{operation}-{clients}", system, "us/operation", result.ServerCpuMicrosPerOperation.Sum());
        results.Add($"cpu-clients-{operation}-{clients}", system, "us/operation", result.ClientCpuMicrosPerOperation);
    }
}
