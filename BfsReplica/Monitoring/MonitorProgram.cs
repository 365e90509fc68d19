using System.Net.Sockets;
using System.Runtime.InteropServices;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using Microsoft.Extensions.Logging;

namespace BfsReplica.Monitoring;

/// <summary>The recovery monitor's process.</summary>
internal static class MonitorProgram
{
    private const int Backlog = 16;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Runs until it is told to stop.</summary>
    /// <param name="manifestDigest">Of the list of installed files, as whoever started this process knows it.</param>
    public static int Run(ClusterDirectory directory, ReplicaId id, string? manifestDigest, ILogger logger)
    {
        ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
        if (id.Value >= config.N)
        {
            throw new ReplicaStartException($"{directory.ClusterFile}: there is no replica {id.Value}; they are 0 to {config.N - 1}");
        }
        Directory.CreateDirectory(directory.Replica(id));
        File.SetUnixFileMode(directory.Replica(id), OwnerOnly);
        using ProcessLock taken = ProcessLock.TryTake(directory.MonitorLock(id)) ?? throw new ReplicaStartException(
            $"a recovery monitor of replica {id.Value} runs already as process {ProcessLock.HolderOf(directory.MonitorLock(id))}");
        var program = new InstalledProgram(directory, id);
        ProgramManifest manifest = ProgramManifest.TryRead(program.ManifestFile)
            ?? throw new ReplicaStartException($"{program.ManifestFile}: missing or damaged; bfs replica start {id.Value} installs the program anew");
        if (manifestDigest is not null && manifestDigest != manifest.Digest)
        {
            throw new ReplicaStartException($"{program.ManifestFile}: not the list of files that was installed");
        }
        using var monitor = new RecoveryMonitor(directory, config, id, manifest, logger);
        using Socket listener = UnixSockets.Listen(directory.MonitorSocket(id), Backlog);
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            _ = Task.Run(() => StopAsync(monitor, logger));
        }
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        _ = Task.Run(() => WatchAsync(monitor, logger));
        using var server = new MonitorServer(monitor, listener, logger);
        server.RunAsync().GetAwaiter().GetResult();
        File.Delete(directory.MonitorSocket(id));
        return 0;
    }

    private static async Task StopAsync(RecoveryMonitor monitor, ILogger logger)
    {
        try
        {
            await monitor.StopAsync().ConfigureAwait(false);
        }
        catch (MonitorException e)
        {
            logger.LogError("monitor: {Message}", e.Message);
        }
    }

    private static async Task WatchAsync(RecoveryMonitor monitor, ILogger logger)
    {
        try
        {
            await monitor.WatchAsync().ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The monitor ends.
        }
        catch (Exception e)
        {
            logger.LogCritical("monitor: the watchdog fails: {Exception}", e);
        }
    }
}
