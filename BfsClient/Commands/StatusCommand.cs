using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using Spectre.Console;

namespace BfsClient.Commands;

/// <summary>bfs status: asks every replica how it is.</summary>
internal static class StatusCommand
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(1000);
    private static readonly TimeSpan SampleInterval = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan WatchInterval = TimeSpan.FromSeconds(1);

    public static Command Create()
    {
        Option<string> cluster = Cli.ClusterOption();
        Option<bool> json = new("--json") { Description = "One JSON object, for programs" };
        Option<bool> watch = new("--watch") { Description = "Again every second, until Ctrl-C" };
        Option<int> wait = new("--wait") { Description = "First wait until all replicas answer and have caught up with what others have now; with 1 if that takes longer", HelpName = "SECONDS" };
        var command = new Command("status", "Show what each replica is doing, and which cannot be reached. Ends with 0 when enough replicas answer for the drive to work, else with 1.")
        {
            cluster, json, watch, wait,
        }.WithExamples("""
            bfs status
            bfs status --watch
            bfs status --wait 60
            bfs status --json | jq '.replicas[] | select(.reachable | not) | .id'
            """);
        command.SetAction(parsed =>
        {
            ClusterDirectory directory = Cli.Directory(parsed, cluster);
            ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
            if (parsed.GetValue(wait) is var seconds and > 0 && !CaughtUp(config, TimeSpan.FromSeconds(seconds)))
            {
                Show(directory, config, parsed.GetValue(json));
                throw new CommandException($"not all replicas have caught up in {seconds} s");
            }
            return parsed.GetValue(watch) ? Watch(directory, config, parsed.GetValue(json))
                : Show(directory, config, parsed.GetValue(json));
        });
        return command;
    }

    private static int Show(ClusterDirectory directory, ClusterConfig config, bool json)
    {
        ClusterStatus status = Sample(directory, config, null, SampleInterval);
        if (json)
        {
            Console.Out.WriteLine(StatusJson.Write(status));
        }
        else
        {
            IAnsiConsole console = Progress.Console;
            console.Write(Table(status));
            console.MarkupLine(Summary(status));
            foreach (string line in Alarms(status).Concat(ViewChanges(status)))
            {
                console.MarkupLine(line);
            }
            foreach (RunningRelay relay in RunningRelay.All(directory, config))
            {
                Cli.Say($"mounted here: {relay.MountPoint} (client {relay.Client.Value}, process {relay.Pid})");
            }
        }
        return status.HasQuorum ? 0 : 1;
    }

    /// <summary>
    /// Waits until every replica takes part and has what one correct replica at least had committed at the beginning. Under
    /// load the replicas are never seen equal, as they are not asked at the same moment.
    /// </summary>
    private static bool CaughtUp(ClusterConfig config, TimeSpan patience)
    {
        var watch = Stopwatch.StartNew();
        long? target = null;
        while (true)
        {
            MonitorAnswer?[] answers = MonitorClient.AskAllAsync(config, Patience).GetAwaiter().GetResult();
            var status = new ClusterStatus(config, answers, answers);
            target ??= status.HasQuorum ? status.CommittedByCorrect : null;
            if (target is { } committed && Array.TrueForAll(answers, a => a is { } known && ClusterStatus.TakesPart(known)
                && known.LastCommitted >= committed))
            {
                return true;
            }
            if (watch.Elapsed > patience)
            {
                return false;
            }
            Thread.Sleep(PollInterval);
        }
    }

    private static int Watch(ClusterDirectory directory, ClusterConfig config, bool json)
    {
        ClusterStatus status = Sample(directory, config, null, SampleInterval);
        if (json || Console.IsOutputRedirected)
        {
            for (; ; status = Sample(directory, config, status, WatchInterval))
            {
                Console.Out.WriteLine(StatusJson.Write(status));
            }
        }
        AnsiConsole.Live(Table(status)).Start(context =>
        {
            for (; ; status = Sample(directory, config, status, WatchInterval))
            {
                context.UpdateTarget(Table(status).Title(Markup.Escape(directory.Path)).Caption(string.Join('\n', Alarms(status).Concat(ViewChanges(status)).Prepend(Summary(status)))));
            }
        });
        return 0;
    }

    /// <summary>Two questions with some time between them, for the rates; the first may be an earlier sample's second.</summary>
    private static ClusterStatus Sample(ClusterDirectory directory, ClusterConfig config, ClusterStatus? earlier, TimeSpan interval)
    {
        IReadOnlyList<MonitorAnswer?> first = earlier?.Answers ?? MonitorClient.AskAllAsync(config, Patience).GetAwaiter().GetResult();
        Thread.Sleep(interval);
        return new ClusterStatus(config, first, MonitorClient.AskAllAsync(config, Patience).GetAwaiter().GetResult())
        {
            Monitors = LocalMonitors.AskAll(directory, config, Patience),
        };
    }

    private static Table Table(ClusterStatus status)
    {
        Table table = new Table().Border(TableBorder.Rounded)
            .AddColumns("replica", "address", "pid", "is", "view", "executed", "stable", "req/s");
        foreach (ReplicaInfo replica in status.Config.Replicas)
        {
            string id = Text(replica.Id.Value);
            string address = Markup.Escape($"{replica.Host}:{replica.Port}");
            if (status.Answers[replica.Id.Value] is not { } answer)
            {
                table.AddRow(id, address, "", $"[red]{Markup.Escape(status.Unreachable(replica.Id))}[/]", "", "", "", "");
                continue;
            }
            table.AddRow(id, address, Text(answer.Pid), Markup.Escape(status.Activity(answer)), Text(answer.View),
                Text(answer.LastExecuted), $"{answer.StableCheckpoint} {answer.StableDigest.ToString()[..8]}",
                status.RequestsPerSecond(replica.Id).ToString("F0", CultureInfo.InvariantCulture));
        }
        return table;
    }

    private static string Summary(ClusterStatus status)
    {
        ClusterConfig config = status.Config;
        string counts = $"{status.Reachable} of {config.N} replicas can be reached";
        if (!status.HasQuorum)
        {
            return $"[red]{counts}, but {config.Quorum} are needed: the drive waits for them[/]";
        }
        if (status.ViewChanging)
        {
            return $"[yellow]{counts}: they are changing to view {status.View}; the drive goes on when they have[/]";
        }
        if (!status.PrimaryAnswers)
        {
            return $"[yellow]{counts}, but not the primary, replica {status.Primary.Value}: the others replace it by themselves "
                + $"as soon as a call waits for it; to start it again, on its machine: bfs replica start {status.Primary.Value}[/]";
        }
        if (status.Reachable == config.N)
        {
            if (status.Answers.FirstOrDefault(a => a is { } known && OtherReplicas.IsRecovering(known)) is { } recovering)
            {
                return $"[yellow]{counts}: the drive works; replica {recovering.Id} is recovering[/]";
            }
            int busy = status.Answers.Count(a => a is { } known && !ClusterStatus.TakesPart(known));
            return busy == 0 ? $"{counts}: all is well"
                : $"[yellow]{counts}: the drive works; {busy} of them {(busy == 1 ? "does" : "do")} not take part yet[/]";
        }
        return $"[yellow]{counts}: the drive works; {config.N - status.Reachable} of at most {config.F} failures are used up[/]";
    }

    private static IEnumerable<string> Alarms(ClusterStatus status) => status.Alarms.Select(id =>
        $"[red]ALARM: the recovery of replica {id} takes longer than {status.Config.RecoveryAlarmSeconds} s; somebody may be keeping it from ending[/]");

    /// <summary>One line for each replica that has seen a view change.</summary>
    private static IEnumerable<string> ViewChanges(ClusterStatus status)
    {
        foreach (MonitorAnswer? answer in status.Answers)
        {
            if (answer is { } known && ClusterStatus.LastViewChange(known) is { } sentence)
            {
                yield return Markup.Escape($"replica {known.Id} {sentence}");
            }
        }
    }

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
