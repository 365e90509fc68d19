using System.CommandLine;
using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>bfs replica start and stop.</summary>
internal static class ReplicaCommands
{
    public static Command Create() => new("replica", "Start or stop one replica")
    {
        Verb("start", "Start one replica of this machine in the background, and wait until it answers. It goes on from what it has saved and fetches what it missed, also after it was killed. Ends with 1 if it runs already.", Start),
        Verb("stop", "Stop one replica of this machine; it saves its state. The others go on, and replace it if it is the primary. Ends with 1 if it does not run.", Stop),
    };

    private static Command Verb(string name, string description, Func<ReplicaProcesses, ReplicaId, int> action)
    {
        Option<string> cluster = Cli.ClusterOption();
        Argument<string> id = new("ID") { Description = "The replica's number: 0 to n-1" };
        var command = new Command(name, description)
        {
            id, cluster,
        }.WithExamples($"""
            bfs replica {name} 2
            """);
        command.SetAction(parsed =>
        {
            ClusterDirectory directory = Cli.Directory(parsed, cluster);
            ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
            ReplicaId replica = Cli.Replica(config, parsed.GetValue(id)!);
            return LocalHosts.IsLocal(config.Replicas[replica.Value].Host)
                ? action(new ReplicaProcesses(directory, config), replica)
                : throw new CommandException($"replica {replica.Value} is on {config.Replicas[replica.Value].Host}: run this command there");
        });
        return command;
    }

    private static int Start(ReplicaProcesses processes, ReplicaId id)
    {
        if (processes.PidOf(id) is { } pid)
        {
            throw new CommandException($"replica {id.Value} runs already (process {pid})");
        }
        if (processes.Start([id], keepGoing: false, Cli.Say).Count > 0)
        {
            Cli.Say($"started replica {id.Value} (process {processes.PidOf(id)})");
        }
        return 0;
    }

    private static int Stop(ReplicaProcesses processes, ReplicaId id)
    {
        if (processes.PidOf(id) is null)
        {
            bool monitored = processes.MonitorOf(id) is not null;
            processes.Stop([id], _ => { });
            throw new CommandException($"replica {id.Value} does not run" + (monitored ? "; its recovery monitor is stopped" : ""));
        }
        if (processes.Stop([id], Cli.Say).Count > 0)
        {
            Cli.Say($"stopped replica {id.Value}; its state is saved");
        }
        return 0;
    }
}
