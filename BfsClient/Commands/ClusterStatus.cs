using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>What the replicas of a cluster said at two moments. Each speaks for itself only, and may lie.</summary>
internal sealed class ClusterStatus(ClusterConfig config, IReadOnlyList<MonitorAnswer?> earlier, IReadOnlyList<MonitorAnswer?> answers)
{
    public ClusterConfig Config => config;

    /// <summary>Per replica its answer; null when it did not answer.</summary>
    public IReadOnlyList<MonitorAnswer?> Answers => answers;

    public int Reachable => answers.Count(a => a is not null);

    public bool HasQuorum => Reachable >= config.Quorum;

    /// <summary>Whether operations are executed now: without its primary a view orders nothing (§2.3.3).</summary>
    public bool DriveWorks => HasQuorum && answers[Primary.Value] is not null;

    public ReplicaId Primary => new View(View).Primary(config.N);

    /// <summary>A view that f+1 replicas have reached: at least one correct one among them.</summary>
    public long View
    {
        get
        {
            long[] views = [.. answers.OfType<MonitorAnswer>().Select(a => a.View).OrderDescending()];
            return views.Length > config.F ? views[config.F] : views.LastOrDefault();
        }
    }

    public bool IsPrimary(ReplicaId id) => Primary == id;

    /// <summary>Operations executed per second between the two moments; zero when the replica was restarted.</summary>
    public double RequestsPerSecond(ReplicaId id)
    {
        if (earlier[id.Value] is not { } first || answers[id.Value] is not { } second || second.UptimeMicros <= first.UptimeMicros)
        {
            return 0;
        }
        return (second.RequestsExecuted - first.RequestsExecuted) * 1e6 / (second.UptimeMicros - first.UptimeMicros);
    }

    /// <summary>What a replica does, in a few words.</summary>
    public string Activity(MonitorAnswer answer)
    {
        string missing = string.Join(", ", Enumerable.Range(0, config.N).Where(i => (answer.MissingPeers >> i & 1) != 0));
        long quorumStable = QuorumStable();
        return answer.Activity switch
        {
            ReplicaActivity.Fetching => $"fetching the state of checkpoint {answer.TransferTarget}",
            ReplicaActivity.Diverged => "diverged: repairs its state",
            _ when answer.LastExecuted < quorumStable => "behind",
            _ when missing.Length > 0 => $"active, does not hear {missing}",
            _ => IsPrimary(new ReplicaId(answer.Id)) ? "active, primary" : "active",
        };
    }

    /// <summary>The highest checkpoint that f+1 replicas call stable.</summary>
    private long QuorumStable()
    {
        long[] stable = [.. answers.OfType<MonitorAnswer>().Select(a => a.StableCheckpoint).OrderDescending()];
        return stable.Length > config.F ? stable[config.F] : 0;
    }
}
