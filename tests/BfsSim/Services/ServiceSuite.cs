using BfsCore;
using BfsSim.Checkers;
using BfsSim.Nodes;

namespace BfsSim.Services;

/// <summary>A service to simulate: its instances, what clients do with it, and how their histories are judged.</summary>
public abstract class ServiceSuite
{
    public abstract long StateBytes { get; }

    /// <summary>The service of a replica, when it starts and whenever it starts again.</summary>
    public abstract IService CreateService(int replica, ClusterConfig config);

    /// <summary>A correct replica knows that what it executed last has committed.</summary>
    public virtual void OnCommitted(int replica)
    {
    }

    /// <param name="faulty">Of clients whose histories are not known.</param>
    public abstract IWorkload CreateWorkload(SimOptions options, SimRandom random, bool faulty = false);

    /// <summary>Throws <see cref="SimulationException"/> when the history cannot be that of one correct server.</summary>
    public abstract void CheckHistory(Simulation simulation);
}

/// <summary>The key-value map, judged by a search for a linearization.</summary>
/// <param name="service">A wrong service in its place, to test the checkers; null for the right one.</param>
public sealed class KeyValueSuite(Func<int, IService>? service = null) : ServiceSuite
{
    public override long StateBytes => 1 << 20;

    public override IService CreateService(int replica, ClusterConfig config) => service?.Invoke(replica) ?? new KeyValueService();

    public override IWorkload CreateWorkload(SimOptions options, SimRandom random, bool faulty = false) =>
        new KeyValueWorkload(options, random, faulty ? "bad" : "key");

    public override void CheckHistory(Simulation simulation)
    {
        string? violation = new LinearizabilityChecker(new KeyValueModel()).FirstViolation(simulation.History.Entries);
        SimulationException.Require(violation is null, $"the history of \"{violation}\" is not linearizable");
    }
}
