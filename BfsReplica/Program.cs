using System.Runtime.InteropServices;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;
using BfsReplica;
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
    using var host = new ReplicaHost(new ClusterDirectory(options.Cluster), options.Id, config => new FileService(config), logger);
    void Stop(PosixSignalContext context)
    {
        context.Cancel = true;
        host.Stop();
    }
    using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    host.Run();
    return 0;
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
