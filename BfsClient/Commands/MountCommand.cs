using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using BfsClient.Fuse;
using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>bfs mount.</summary>
internal static class MountCommand
{
    private const int LogLines = 5;

    private static readonly TimeSpan UsablePatience = TimeSpan.FromSeconds(30);

    public static Command Create()
    {
        Argument<string> mountPoint = new("MOUNTPOINT") { Description = "An existing directory" };
        Option<string> cluster = Cli.ClusterOption();
        Option<string[]> options = new("-o", "--options") { Description = "Mount options, as for mount(8); docs/mount.md lists them", HelpName = "opts" };
        Option<int?> client = new("--client") { Description = "Act as this client of the cluster (default: the first that is free on this machine)", HelpName = "ID" };
        Option<bool> foreground = new("--foreground", "-f") { Description = "Stay until the drive is unmounted; Ctrl-C unmounts" };
        var command = new Command("mount", "Mount the cluster's drive, and return when it is usable.")
        {
            mountPoint, cluster, options, client, foreground,
        }.WithExamples("""
            bfs mount ~/bfs
            bfs mount /mnt/bfs --cluster /srv/bfs -o allow_other
            bfs mount ~/bfs -o soft,timeo=100 --foreground
            """);
        command.SetAction(parsed =>
        {
            string text = string.Join(',', parsed.GetValue(options) ?? []);
            if (!MountOptions.TryParse(text, out MountOptions mount, out string error))
            {
                throw new CommandException(error) { ExitCode = 2 };
            }
            ClusterDirectory directory = Cli.Directory(parsed, cluster);
            ClientId? id = parsed.GetValue(client) is { } number ? new ClientId(number) : null;
            var plan = new RelayPlan(directory, id, MountPoints.Resolve(parsed.GetValue(mountPoint)!), mount);
            return parsed.GetValue(foreground) ? Foreground(plan) : Background(plan, text);
        });
        return command;
    }

    private static int Foreground(RelayPlan plan)
    {
        RelayProcess.Run(plan, client =>
        {
            Cli.Say($"mounted {plan.MountPoint} as client {client.Value} of {plan.Directory.Path}; Ctrl-C unmounts");
            Console.Out.Flush();
        }, Console.Error.WriteLine);
        Cli.Say($"unmounted {plan.MountPoint}");
        return 0;
    }

    private static int Background(RelayPlan plan, string options)
    {
        ClusterConfig config = ClusterFile.Read(plan.Directory.ClusterFile);
        Directory.CreateDirectory(plan.Directory.Clients);
        string logPath = Path.Combine(plan.Directory.Clients, "relay.log");
        var log = new LogTail(logPath);
        using Process relay = Programs.StartDetached(CommandLine(plan, options), logPath, pipeOutput: true);
        string? line = Progress.While($"mounting {plan.MountPoint}", relay.StandardOutput.ReadLine);
        if (line is null || !line.StartsWith(RelayCommand.Ready, StringComparison.Ordinal))
        {
            relay.WaitForExit();
            throw new CommandException(line?.StartsWith(RelayCommand.Failed, StringComparison.Ordinal) == true
                ? Explain(line[RelayCommand.Failed.Length..], plan, config)
                : $"the relay died:\n{log.LastLines(LogLines)}")
            {
                ExitCode = relay.ExitCode == 2 ? 2 : 1,
            };
        }
        if (!MountPoints.WaitUntilUsable(plan.MountPoint, UsablePatience))
        {
            throw new CommandException($"{plan.MountPoint} is mounted and does not answer; see \"bfs status\" and {logPath}");
        }
        Cli.Say($"mounted {plan.MountPoint}: client {line[RelayCommand.Ready.Length..]} of {plan.Directory.Path}, "
            + $"process {relay.Id}; unmount with: bfs unmount {plan.MountPoint}");
        return 0;
    }

    private static List<string> CommandLine(RelayPlan plan, string options)
    {
        List<string> command = [.. Programs.Self, RelayCommand.Name, "--cluster", plan.Directory.Path,
            "--mount-point", plan.MountPoint, "--options", options];
        if (plan.Client is { } client)
        {
            command.AddRange(["--client", client.Value.ToString(CultureInfo.InvariantCulture)]);
        }
        return command;
    }

    /// <summary>Replicas that do not answer are the usual reason, and then the fix is another command.</summary>
    private static string Explain(string error, RelayPlan plan, ClusterConfig config)
    {
        var processes = new ReplicaProcesses(plan.Directory, config);
        int running = processes.Local.Count(id => processes.PidOf(id) is not null);
        return processes.Local.Count == config.N && running < config.Quorum
            ? $"{error}; only {running} of {config.N} replicas run: bfs cluster start --cluster {plan.Directory.Path}"
            : error;
    }
}
