using System.Runtime.InteropServices;
using BfsCore.Hosting;
using BfsCore.Hosting.KeyHolding;
using BfsCore.Hosting.Net;
using BfsCore.Hosting.Recovery;
using BfsReplica;
using BfsReplica.KeyHolding;
using BfsReplica.Monitoring;
using BfsReplica.Snfsd;
using Microsoft.Extensions.Logging;

ReplicaOptions? options = ReplicaOptions.Parse(args, out string error);
if (options is null)
{
    (error.Length > 0 ? Console.Error : Console.Out).WriteLine(
        error.Length > 0 ? $"BfsReplica: {error}\n\n{ReplicaOptions.Usage}" : ReplicaOptions.Usage);
    return error.Length > 0 ? 2 : 0;
}
var logger = new LineLogger(Console.Error);
try
{
    var directory = new ClusterDirectory(options.Cluster);
    switch (options.Role)
    {
        case Role.KeyHolder:
            KeyHolderProgram.Run(directory, options.Id, logger);
            return 0;
        case Role.Monitor:
            return MonitorProgram.Run(directory, options.Id, options.Manifest, logger);
        default:
            RunReplica(directory, options, logger);
            return 0;
    }
}
catch (KeyHolderException e)
{
    logger.LogError("{Message}", e.Message);
    return ReplicaOptions.KeyHolderGone;
}
catch (Exception e) when (e is ClusterFileException or ReplicaStartException or TransportException or IOException
    or UnauthorizedAccessException)
{
    logger.LogError("{Message}", e.Message);
    return 1;
}
catch (Exception e)
{
    // A bug: everything that helps to find it.
    logger.LogCritical("replica {Id} fails: {Exception}", options.Id.Value, e);
    return 70;
}

static void RunReplica(ClusterDirectory directory, ReplicaOptions options, ILogger logger)
{
    ControlChannel? channel = options.Monitored ? new ControlChannel() : null;
    channel?.Send(new ControlLine { Kind = ControlLine.Booted });
    using var host = new ReplicaHost(directory, options.Id, config => new FileService(config), logger, channel, options.Recover);
    void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        host.Stop();
    }
    using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    host.Run();
}
