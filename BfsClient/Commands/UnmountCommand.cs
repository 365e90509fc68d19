using System.CommandLine;
using System.Diagnostics;
using BfsClient.Fuse;
using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>bfs unmount.</summary>
internal static class UnmountCommand
{
    private const string SourcePrefix = "bfs:";
    private const int PollMillis = 20;
    private const int MaxUsersShown = 10;

    /// <summary>Longer than a relay waits for its last operations.</summary>
    private static readonly TimeSpan RelayPatience = TimeSpan.FromSeconds(60);

    public static Command Create()
    {
        Argument<string> mountPoint = new("MOUNTPOINT") { Description = "Where the drive is mounted" };
        Option<string?> cluster = new("--cluster") { Description = "The cluster's directory (default: what the mount table says)", HelpName = "DIR" };
        Option<bool> lazy = new("--lazy") { Description = "Even if it is in use: open files stay usable until they are closed" };
        Option<bool> stop = new("--stop-started") { Hidden = true };
        var command = new Command("unmount", "Unmount a drive, and return when everything that was written to it is at the replicas. If it is in use, says by which processes. A stale mount whose relay died is cleared.")
        {
            mountPoint, cluster, lazy, stop,
        }.WithExamples("""
            bfs unmount ~/bfs
            bfs unmount /mnt/bfs --lazy
            """);
        command.SetAction(parsed => Unmount(MountPoints.Resolve(parsed.GetValue(mountPoint)!), parsed.GetValue(cluster),
            parsed.GetValue(lazy), parsed.GetValue(stop)));
        return command;
    }

    private static int Unmount(string mountPoint, string? cluster, bool lazy, bool stopStarted)
    {
        MountEntry? entry = MountTable.Find(mountPoint);
        if (entry is null || !FuseMount.IsMounted(mountPoint))
        {
            throw new CommandException(entry is null ? $"nothing is mounted on {mountPoint}"
                : $"{mountPoint} has a file system of type {entry.FileSystemType}, not a BFS drive");
        }
        ClusterDirectory? directory = cluster is not null ? new ClusterDirectory(cluster)
            : entry.Source.StartsWith(SourcePrefix, StringComparison.Ordinal) ? new ClusterDirectory(entry.Source[SourcePrefix.Length..])
            : null;
        ClusterConfig? config = directory is not null && File.Exists(directory.ClusterFile) ? ClusterFile.Read(directory.ClusterFile) : null;
        RunningRelay? relay = config is null ? null
            : RunningRelay.All(directory!, config).FirstOrDefault(r => r.MountPoint == mountPoint);
        Detach(mountPoint, lazy, stale: config is not null && relay is null);
        if (relay is not null)
        {
            WaitForEnd(directory!, relay, lazy);
        }
        Cli.Say(config is not null && relay is null ? $"cleared the stale mount on {mountPoint}: its relay had died" : $"unmounted {mountPoint}");
        if (stopStarted && config is not null)
        {
            ClusterCommands.StopIfStartedForMount(directory!, config);
        }
        return 0;
    }

    private static void Detach(string mountPoint, bool lazy, bool stale)
    {
        if (FuseMount.Unmount(mountPoint, lazy || stale, out string error))
        {
            return;
        }
        IReadOnlyList<string> users = MountPoints.UsersOf(mountPoint);
        throw new CommandException(users.Count == 0 ? error : $"{mountPoint} is in use by "
            + string.Join(", ", users.Take(MaxUsersShown)) + (users.Count > MaxUsersShown ? ", ..." : "")
            + ": end them or leave the drive, or unmount with --lazy");
    }

    private static void WaitForEnd(ClusterDirectory directory, RunningRelay relay, bool lazy)
    {
        var watch = Stopwatch.StartNew();
        while (ProcessLock.HolderOf(directory.ClientLock(relay.Client)) == relay.Pid)
        {
            if (lazy)
            {
                // It ends with the last open file.
                return;
            }
            if (watch.Elapsed > RelayPatience)
            {
                throw new CommandException($"{relay.MountPoint} is unmounted, but its relay (process {relay.Pid}) still waits for "
                    + "replicas to confirm what was written; see \"bfs status\"");
            }
            Thread.Sleep(PollMillis);
        }
        if (RunningRelay.EndOf(directory, relay.Client) is { Length: > 0 } error)
        {
            throw new CommandException($"{relay.MountPoint} is unmounted, but {error}");
        }
    }
}
