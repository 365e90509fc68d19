using BfsCore;
using BfsCore.State;
using BfsReplica.Snfsd;
using BfsSim.Checkers;
using BfsSim.Nodes;

namespace BfsSim.Services;

/// <summary>
/// snfsd. Its histories are judged by running the order that the replicas executed once more, on one unreplicated
/// instance; that a single instance is right is what its own tests compare with a model.
/// </summary>
public sealed class FileSuite : ServiceSuite
{
    private readonly WitnessLog _log = new();
    private readonly Dictionary<int, WitnessedService> _services = [];

    /// <summary>Small, so that the drive gets full at times.</summary>
    public override long StateBytes => 2 << 20;

    public override IService CreateService(int replica, ClusterConfig config) =>
        _services[replica] = new WitnessedService(new FileService(config), _log, replica);

    public override void OnCommitted(int replica) => _services[replica].Commit();

    public override IWorkload CreateWorkload(SimOptions options, SimRandom random, bool faulty = false) =>
        new FileWorkload(options, random, faulty ? 0x6000_0000u : 0x4000_0000u);

    public override void CheckHistory(Simulation simulation)
    {
        using var pages = new PagedState(StateBytes);
        var service = new FileService(simulation.Config);
        service.Open(pages.Window(0, StateBytes));
        new WitnessChecker(simulation.History.Entries, _log.Order).Check(service);
        simulation.RequireServiceState(pages);
    }
}
