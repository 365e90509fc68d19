using System.Diagnostics;
using System.Globalization;
using BfsCore;
using BfsCore.State;
using Spectre.Console;

namespace BfsBench;

/// <summary>
/// View changes (§8.5): the time from the sending of a replica's VIEW-CHANGE to its readiness in the new view, with all
/// batches and the state it starts from; idle and under load, when all replicas are told to leave at about the same time.
/// Then the primary is ended without warning: how long clients wait, at the default timeouts.
/// </summary>
internal static class ViewChangeBenchmark
{
    private const int Clients = 20;

    /// <summary>As in the thesis.</summary>
    private const long StateBytes = 256L << 20;

    /// <summary>View changes of each load that are not counted: code that never ran is compiled first.</summary>
    private const int WarmUp = 40;

    /// <summary>Questions to the replicas, five in a second, after which those that are apart are brought together.</summary>
    private const int RoundsPerNudge = 25;

    /// <param name="WritePercent">The rest are read-only reads of a page.</param>
    private sealed record Case(string Name, int Clients, int WritePercent, int ArgumentBytes);

    private static readonly Case[] Cases =
    [
        new("idle", 0, 0, 0),
        new("10-writes", 1, 10, 4096),
        new("50-writes", 1, 50, 4096),
        new("0/0-rw-20", 20, 100, 0),
        new("4/0-rw-20", 20, 100, 4096),
    ];

    public static void Run(BenchmarkSettings settings, Results results)
    {
        bool quick = settings.Quick;
        int changes = quick ? 32 : 256;
        int kills = settings.Runs ?? (quick ? 1 : 10);
        var table = new Table().RoundedBorder().AddColumn("view changes");
        foreach (string column in new[] { "samples", "median ms", "mean ms", "p90 ms", "max ms", "median entered", "VIEW-CHANGE bytes", "NEW-VIEW bytes" })
        {
            table.AddColumn(new TableColumn(column).RightAligned());
        }
        Output.WithProgress("view changes", Cases.Length + (2 * kills), onDone =>
        {
            MeasureAll(changes, results, table, () => onDone(""));
            KillAll(kills, results, () => onDone("the primary killed"));
        });
        Output.Console.Write(table);
    }

    private static void MeasureAll(int changes, Results results, Table table, Action onDone)
    {
        using var cluster = new BenchCluster(ClusterMode.Bft, Clients, stateBytes: StateBytes, probe: true);
        using var control = new ViewChangeControl(cluster.Config);
        foreach (Case load in Cases)
        {
            using var clients = new Load(cluster, load.Clients);
            Report(load.Name, Measure(control, clients, load, changes, StateBytes / PagedState.PageBytes), results, table);
            onDone();
        }
    }

    private static void KillAll(int kills, Results results, Action onDone)
    {
        using var cluster = new BenchCluster(ClusterMode.Bft, Clients, stateBytes: StateBytes, probe: true);
        using var control = new ViewChangeControl(cluster.Config);
        foreach (bool idle in new[] { true, false })
        {
            using var clients = new Load(cluster, idle ? 1 : Clients);
            WaitForAll(control, clients, all => all.All(r => r is { State.Ready: true }));
            for (int i = 0; i < kills; i++)
            {
                results.Add($"stall-primary-killed-{(idle ? "idle" : "loaded")}", "BFS", "ms", KillPrimary(cluster, control, clients, idle));
                onDone();
            }
        }
    }

    private static List<TimedViewChange> Measure(ViewChangeControl control, Load clients, Case load, int changes, long pages)
    {
        var random = new Random(1);
        WaitForAll(control, clients, all => all.All(r => r is { State.Ready: true }));
        clients.Begin(() => Operation(load, random, pages));
        clients.RunFor(TimeSpan.FromSeconds(1));
        var timed = new List<TimedViewChange>();
        for (int i = 0; i < WarmUp + changes; i++)
        {
            control.LeaveAll();
            clients.RunFor(TimeSpan.FromMilliseconds(40 + random.Next(40)));
            if (i == WarmUp - 1)
            {
                _ = control.Ask();
            }
        }
        clients.Finish();
        foreach ((ProbeState State, List<TimedViewChange> Timed)? replica in control.Ask())
        {
            timed.AddRange(replica?.Timed ?? []);
        }
        return timed;
    }

    private static (byte[] Operation, bool ReadOnly) Operation(Case load, Random random, long pages)
    {
        if (random.Next(100) >= load.WritePercent)
        {
            return (PageService.Read(random.NextInt64(pages)), true);
        }
        if (load.ArgumentBytes == 0)
        {
            return ([], false);
        }
        // The page's content travels, as in the thesis, though the service would make its own.
        byte[] operation = new byte[PageService.Write(0, 1, 0).Length + load.ArgumentBytes];
        PageService.Write(random.NextInt64(pages), 1, random.NextInt64()).CopyTo(operation, 0);
        return (operation, false);
    }

    private static void Report(string name, List<TimedViewChange> timed, Results results, Table table)
    {
        double[] millis = [.. timed.Select(t => t.Micros / 1000).Order()];
        double[] entered = [.. timed.Select(t => t.EnteredMicros / 1000).Order()];
        if (millis.Length == 0)
        {
            throw new InvalidOperationException($"no view changed: {name}");
        }
        foreach (double value in millis)
        {
            results.Add($"view-change-{name}", "BFS", "ms", value);
        }
        double p90 = millis[millis.Length * 9 / 10];
        double viewChange = Mean(timed.Select(t => t.ViewChangeBytes));
        double newView = Mean(timed.Select(t => t.NewViewBytes));
        results.Add($"view-change-p90-{name}", "BFS", "ms", p90);
        results.Add($"view-change-mean-{name}", "BFS", "ms", millis.Average());
        results.Add($"view-change-size-{name}", "BFS", "bytes", viewChange);
        results.Add($"new-view-size-{name}", "BFS", "bytes", newView);
        table.AddRow(name, $"{millis.Length}", Text(millis[millis.Length / 2]), Text(millis.Average()), Text(p90), Text(millis[^1]),
            Text(entered[entered.Length / 2]), Text(viewChange), Text(newView));
    }

    private static double Mean(IEnumerable<int> sizes) => sizes.Where(s => s > 0).DefaultIfEmpty().Average();

    private static string Text(double value) => value.ToString(value >= 100 ? "#,0" : "0.00", CultureInfo.InvariantCulture);

    /// <summary>Ends the primary's process; the longest that a client waited, milliseconds. Then starts it again with nothing.</summary>
    private static double KillPrimary(BenchCluster cluster, ViewChangeControl control, Load clients, bool idle)
    {
        if (!idle)
        {
            clients.Begin(() => ([], false));
        }
        clients.RunFor(TimeSpan.FromSeconds(1));
        (ProbeState State, List<TimedViewChange> Timed)?[] before = control.Ask();
        int primary = (int)(before.Max(r => r?.State.View ?? 0) % before.Length);
        cluster.Kill(primary);
        _ = clients.TakeLongestMicros();
        if (idle)
        {
            clients.Begin(() => ([], false));
        }
        // The operations of that moment must be among those that have completed.
        clients.RunFor(TimeSpan.FromSeconds(1));
        clients.Finish();
        double stall = clients.TakeLongestMicros() / 1000;
        cluster.Start(primary);
        clients.Begin(() => ([], false));
        WaitForAll(control, clients, HaveCaughtUp);
        clients.Finish();
        return stall;
    }

    private static bool HaveCaughtUp((ProbeState State, List<TimedViewChange> Timed)?[] all)
    {
        long highest = all.Max(r => r?.State.StableCheckpoint ?? 0);
        return all.All(r => r is { State.Ready: true } one && one.State.LastExecuted >= highest && one.State.StableCheckpoint > 0);
    }

    private static void WaitForAll(ViewChangeControl control, Load clients, Func<(ProbeState State, List<TimedViewChange> Timed)?[], bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        for (int round = 1; ; round++)
        {
            clients.RunFor(TimeSpan.FromMilliseconds(200));
            (ProbeState State, List<TimedViewChange> Timed)?[] all = control.Ask();
            if (condition(all))
            {
                return;
            }
            if (round % RoundsPerNudge == 0)
            {
                // One that left alone waits in its view until the others come.
                control.LeaveAll();
            }
            if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromSeconds(60))
            {
                throw new InvalidOperationException("not all replicas take part after a minute: " + string.Join("; ", all.Select(r => r?.State)));
            }
        }
    }
}
