using System.CommandLine;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using Spectre.Console;

namespace BfsClient.Commands;

/// <summary>bfs recover and bfs recoveries.</summary>
internal static class RecoveryCommands
{
    /// <summary>Monitors that are asked whether they are there answer at once.</summary>
    private static readonly TimeSpan StatusPatience = TimeSpan.FromSeconds(2);

    public static Command Recover()
    {
        Option<string> cluster = Cli.ClusterOption();
        Argument<string> id = new("ID") { Description = "The replica's number: 0 to n-1" };
        Option<bool> force = new("--force") { Description = "Even while another replica recovers or is missing: the drive may have to wait meanwhile" };
        var command = new Command("recover", "Recover one replica of this machine: it saves its state, is started again with verified program files and new keys, and its state is compared with the others' and repaired. The drive stays usable. Ends with 0 when the replica has recovered; Ctrl-C only stops watching.")
        {
            id, cluster, force,
        }.WithExamples("""
            bfs recover 2
            bfs recover 0 --force
            """);
        command.SetAction(parsed =>
        {
            ClusterDirectory directory = Cli.Directory(parsed, cluster);
            ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
            return Recover(directory, config, Local(config, parsed.GetValue(id)!), parsed.GetValue(force));
        });
        return command;
    }

    public static Command List()
    {
        Option<string> cluster = Cli.ClusterOption();
        Argument<string?> id = new("ID") { Description = "Only of this replica", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> json = new("--json") { Description = "One JSON object for each, in a line, for programs" };
        var command = new Command("recoveries", "Show the recoveries of this machine's replicas, and damage that was found and repaired otherwise; oldest first.")
        {
            id, cluster, json,
        }.WithExamples("""
            bfs recoveries
            bfs recoveries 2
            bfs recoveries --json | jq 'select(.pagesCorrupt > 0)'
            """);
        command.SetAction(parsed =>
        {
            ClusterDirectory directory = Cli.Directory(parsed, cluster);
            ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
            ReplicaId[] ids = parsed.GetValue(id) is { } text ? [Cli.Replica(config, text)] : [.. config.Replicas.Select(r => r.Id)];
            return List(directory, ids, parsed.GetValue(json));
        });
        return command;
    }

    private static ReplicaId Local(ClusterConfig config, string text)
    {
        ReplicaId replica = Cli.Replica(config, text);
        return LocalHosts.IsLocal(config.Replicas[replica.Value].Host) ? replica
            : throw new CommandException($"replica {replica.Value} is on {config.Replicas[replica.Value].Host}: run this command there");
    }

    private static int Recover(ClusterDirectory directory, ClusterConfig config, ReplicaId id, bool force)
    {
        RequireRunning(directory, config, id);
        var command = new MonitorCommand { Command = MonitorCommand.Recover, Force = force };
        MonitorLine? end = RecoveryProgress.Show(id, onLine =>
            MonitorConnection.SendAsync(directory.MonitorSocket(id), command, onLine).GetAwaiter().GetResult());
        if (end?.Record is { } record)
        {
            RecoveryReportText.Write(Progress.Console, record);
        }
        return end is { Done: true } ? 0 : throw new CommandException(end?.Error is { } error
            ? $"replica {id.Value} was not recovered: {error}"
            : $"the recovery monitor of replica {id.Value} has ended before the recovery did; see {directory.LogFile(id)}");
    }

    private static void RequireRunning(ClusterDirectory directory, ClusterConfig config, ReplicaId id)
    {
        var processes = new ReplicaProcesses(directory, config);
        int? pid = processes.PidOf(id);
        if (processes.MonitorOf(id) is null)
        {
            throw new CommandException(pid is null
                ? $"replica {id.Value} does not run; start it: bfs replica start {id.Value}"
                : $"replica {id.Value} (process {pid}) runs without its recovery monitor, which was killed; stop and start it: "
                    + $"bfs replica stop {id.Value}; bfs replica start {id.Value}");
        }
        // Between its two lives in a recovery it does not run; the monitor says then that it recovers.
        if (pid is null && LocalMonitors.Ask(directory, id, StatusPatience) is not { RecoveringSince: not null })
        {
            throw new CommandException($"replica {id.Value} does not run; start it: bfs replica start {id.Value}");
        }
    }

    private static int List(ClusterDirectory directory, ReplicaId[] ids, bool json)
    {
        var records = new List<RecoveryRecord>();
        foreach (ReplicaId id in ids)
        {
            records.AddRange(RecoveryJournal.Read(directory.Recoveries(id), out int unreadable));
            if (unreadable > 0)
            {
                Console.Error.WriteLine($"bfs: {directory.Recoveries(id)}: {unreadable} lines cannot be read and are left out");
            }
        }
        RecoveryRecord[] sorted = [.. records.OrderBy(r => r.Time)];
        if (json)
        {
            Array.ForEach(sorted, record => Console.Out.WriteLine(RecoveryJson.Write(record)));
        }
        else if (sorted.Length == 0)
        {
            Cli.Say("no recoveries yet");
        }
        else
        {
            Progress.Console.Write(RecoveryReportText.Table(sorted));
        }
        return 0;
    }
}
