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
    private static readonly TimeSpan MonitorPatience = TimeSpan.FromSeconds(2);

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
            RequireQuorum(plan);
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
        Directory.CreateDirectory(plan.Directory.Clients);
        string logPath = Path.Combine(plan.Directory.Clients, "relay.log");
        var log = new LogTail(logPath);
        using Process relay = Programs.StartDetached(CommandLine(plan, options), logPath, pipeOutput: true);
        string? line = Progress.While($"mounting {plan.MountPoint}", relay.StandardOutput.ReadLine);
        if (line is null || !line.StartsWith(RelayCommand.Ready, StringComparison.Ordinal))
        {
            relay.WaitForExit();
            throw new CommandException(line?.StartsWith(RelayCommand.Failed, StringComparison.Ordinal) == true
                ? line[RelayCommand.Failed.Length..]
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

    /// <summary>
    /// Replicas that do not run are the usual reason why a drive cannot be mounted: found here at once, with what to do,
    /// instead of after the relay's patience.
    /// </summary>
    private static void RequireQuorum(RelayPlan plan)
    {
        ClusterConfig config = ClusterFile.Read(plan.Directory.ClusterFile);
        int answering = MonitorClient.AskAllAsync(config, MonitorPatience).GetAwaiter().GetResult().Count(a => a is not null);
        if (answering < config.Quorum)
        {
            throw new CommandException($"only {answering} of {config.N} replicas answer, and {config.Quorum} are needed; "
                + $"start them: bfs cluster start --cluster {plan.Directory.Path}");
        }
    }
}
