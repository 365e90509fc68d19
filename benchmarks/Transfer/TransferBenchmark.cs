using System.Diagnostics;
using System.Globalization;
using BfsCore;
using BfsCore.State;

namespace BfsBench;

/// <summary>
/// State transfer (§8.4.2): one of four replicas is ended and starts again with nothing, while nobody, or clients of which
/// 10 or 50 % or all write pages at random, use the service. The rate is that of the pages fetched, from the first FETCH
/// until the replica takes part again.
/// </summary>
internal static class TransferBenchmark
{
    private const int Clients = 5;
    private const int Victim = 3;

    /// <summary>Twice the log, and some.</summary>
    private const int BatchesKept = 600;
    private const int FillPages = 256;

    private static readonly (string Name, int? WritePercent)[] Loads = [("idle", null), ("10-writes", 10), ("50-writes", 50), ("100-writes", 100)];

    public static void Run(BenchmarkSettings settings, Results results)
    {
        bool quick = settings.Quick;
        int runs = settings.Runs ?? (quick ? 2 : 5);
        long bytes = quick ? 256L << 20 : 1L << 30;
        Output.WithProgress("state transfer", Loads.Length * runs, onDone =>
        {
            using var cluster = new BenchCluster(ClusterMode.Bft, Clients, stateBytes: bytes);
            using var load = new Load(cluster, Clients);
            Fill(load, bytes / PagedState.PageBytes);
            for (int run = 0; run < runs; run++)
            {
                foreach ((string name, int? writes) in Loads)
                {
                    Measure(cluster, load, bytes / PagedState.PageBytes, name, writes, results);
                    onDone(name);
                }
            }
        });
    }

    private static void Fill(Load load, long pages)
    {
        long next = 0;
        bool filling = true;
        load.Begin(() => filling
            ? (PageService.Write(Math.Min(Interlocked.Add(ref next, FillPages) - FillPages, pages - FillPages), FillPages, 1), false)
            : (PageService.Write(pages - 1, 1, 1), false));
        while (next < pages)
        {
            load.RunFor(TimeSpan.FromMilliseconds(50));
        }
        // More batches than the others keep, or the replica would get those instead of the state; a batch has one request of each client at most.
        filling = false;
        load.TakeCompleted();
        for (long done = 0; done < BatchesKept * Clients;)
        {
            load.RunFor(TimeSpan.FromMilliseconds(50));
            done += load.TakeCompleted();
        }
        load.Finish();
    }

    private static void Measure(BenchCluster cluster, Load load, long pages, string name, int? writePercent, Results results)
    {
        var random = new Random(1);
        if (writePercent is { } percent)
        {
            load.Begin(() => random.Next(100) < percent
                ? (PageService.Write(random.NextInt64(pages), 1, random.NextInt64()), false)
                : (PageService.Read(random.NextInt64(pages)), true));
            load.RunFor(TimeSpan.FromSeconds(1));
            load.TakeCompleted();
            load.RunFor(TimeSpan.FromSeconds(1));
            results.Add($"operations-before-{name}", "BFS", "operations/s", load.TakeCompleted());
        }
        Process server = cluster.Replace(Victim);
        Task<string?> report = SecondLineOf(server);
        load.TakeCompleted();
        long start = Stopwatch.GetTimestamp();
        while (!report.IsCompleted)
        {
            load.RunFor(TimeSpan.FromMilliseconds(10));
            if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(120))
            {
                throw new InvalidOperationException("the replica did not catch up in two minutes");
            }
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        if (writePercent is not null)
        {
            results.Add($"operations-during-{name}", "BFS", "operations/s", load.TakeCompleted() / seconds);
            load.Finish();
        }
        string[] words = report.Result!.Split(' ');
        long fetched = long.Parse(words[2], CultureInfo.InvariantCulture);
        long micros = long.Parse(words[3], CultureInfo.InvariantCulture);
        results.Add($"transfer-{name}", "BFS", "MB/s", fetched * (double)PagedState.PageBytes / micros);
        results.Add($"start-to-caught-up-{name}", "BFS", "ms", seconds * 1000);
    }

    private static async Task<string?> SecondLineOf(Process server)
    {
        await server.StandardOutput.ReadLineAsync();
        return await server.StandardOutput.ReadLineAsync();
    }
}
