using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using BfsCore.Replication;
using static System.FormattableString;

namespace BfsClient.Commands;

/// <summary>What the replicas of a cluster said at two moments. Each speaks for itself only, and may lie.</summary>
internal sealed class ClusterStatus(ClusterConfig config, IReadOnlyList<MonitorAnswer?> earlier, IReadOnlyList<MonitorAnswer?> answers)
{
    public ClusterConfig Config => config;

    /// <summary>Per replica its answer; null when it did not answer.</summary>
    public IReadOnlyList<MonitorAnswer?> Answers => answers;

    /// <summary>What the recovery monitors of this machine say, by replica.</summary>
    public IReadOnlyDictionary<int, MonitorLine> Monitors { get; init; } = new Dictionary<int, MonitorLine>();

    /// <summary>Replicas whose recovery takes longer than it should, as they themselves or their monitors say, or more others than may lie.</summary>
    public IEnumerable<int> Alarms => Enumerable.Range(0, config.N).Where(i => answers[i] is { RecoveryAlarm: true }
        || (Monitors.TryGetValue(i, out MonitorLine? monitor) && monitor.Alarm)
        || answers.Count(a => a is { } known && (known.SlowRecoveries >> i & 1) != 0) > config.F);

    /// <summary>What a replica that does not answer is doing.</summary>
    public string Unreachable(ReplicaId id) =>
        Monitors.TryGetValue(id.Value, out MonitorLine? monitor) && monitor.RecoveringSince is not null ? "recovering: restarts" : "unreachable";

    public int Reachable => answers.Count(a => a is not null);

    public bool HasQuorum => Reachable >= config.Quorum;

    /// <summary>Whether the primary answers. If not, the others replace it as soon as a call waits for it (§2.3.5).</summary>
    public bool PrimaryAnswers => answers[Primary.Value] is not null;

    /// <summary>More replicas than may be faulty have left their view and not entered the next.</summary>
    public bool ViewChanging => answers.Count(a => a is { ViewChanging: true }) > config.F;

    public ReplicaId Primary => new View(View).Primary(config.N);

    /// <summary>A view that f+1 replicas have reached: at least one correct one among them.</summary>
    public long View => ByCorrect(a => a.View);

    /// <summary>A batch that at least one correct replica knows to have committed.</summary>
    public long CommittedByCorrect => ByCorrect(a => a.LastCommitted);

    /// <summary>Neither between two views nor fetching or repairing its state.</summary>
    public static bool TakesPart(MonitorAnswer answer) => answer is { ViewChanging: false, Activity: ReplicaActivity.Active };

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
        string missing = Names(answer.MissingPeers), cut = Names(answer.CutFrom | answer.CutTo);
        long quorumStable = ByCorrect(a => a.StableCheckpoint);
        return answer.Activity switch
        {
            _ when OtherReplicas.IsRecovering(answer) => $"recovering: {Phase(answer.Recovery.Phase)}",
            ReplicaActivity.Fetching => $"fetching checkpoint {answer.TransferTarget}: {Transfer(answer)}",
            ReplicaActivity.Diverged => "diverged: repairs its state",
            _ when answer.ViewChanging => $"in a view change to view {answer.View}",
            _ when answer.LastExecuted < quorumStable => "behind",
            _ when cut.Length > 0 => $"cut off from {cut} by a test",
            _ when missing.Length > 0 => $"active, does not hear {missing}",
            _ => IsPrimary(new ReplicaId(answer.Id)) ? "active, primary" : "active",
        };
    }

    private static string Phase(RecoveryPhase phase) => phase switch
    {
        RecoveryPhase.Estimation => "estimation",
        RecoveryPhase.Request => "request",
        _ => "check and fetch",
    };

    private string Names(ulong replicas) => string.Join(", ", Enumerable.Range(0, config.N).Where(i => (replicas >> i & 1) != 0));

    /// <summary>How much of the state that a replica fetches is there, percent; null while it does not know how much differs.</summary>
    public static int? TransferPercent(MonitorAnswer answer) =>
        answer.TransferUnknown == 0 && answer.TransferPages + answer.TransferMissing > 0
            ? (int)(answer.TransferPages * 100 / (answer.TransferPages + answer.TransferMissing))
            : null;

    private static string Transfer(MonitorAnswer answer)
    {
        string counts = $"{answer.TransferPages} pages here, {answer.TransferMissing} known to be missing";
        return TransferPercent(answer) is { } percent ? $"{counts} ({percent} %)" : counts;
    }

    /// <summary>A replica's last view change in a sentence; null when it has seen none since its start.</summary>
    public static string? LastViewChange(MonitorAnswer answer)
    {
        if (answer.ViewChanges == 0)
        {
            return null;
        }
        string took = Invariant($"{answer.ViewChangeTookMicros / 1000.0:F1} ms");
        string entered = answer.ViewChanging ? $"has not entered it for {took}" : $"entered it after {took}";
        string count = answer.ViewChanges == 1 ? "the only view change" : $"{answer.ViewChanges} view changes";
        return Invariant($"left view {answer.ViewChangeFrom} for {answer.ViewChangeTo} {answer.ViewChangeAgoMicros / 1e6:F1} s ago")
            + $" because {Reason(answer.ViewChangeReason)}, {entered}; {count} since its start";
    }

    /// <summary>Why a replica left a view, as the end of a sentence.</summary>
    public static string Reason(ViewChangeReason reason) => reason switch
    {
        ViewChangeReason.None => "of nothing it knows",
        ViewChangeReason.SlowPrimary => "the primary was slower than primaries had been",
        ViewChangeReason.Regular => "views change regularly",
        ViewChangeReason.PrimaryLeft => "its primary handed over",
        ViewChangeReason.Recovery => "it recovered, and the others were in another view",
        ViewChangeReason.AnotherLeft => "another replica had left alone, and would have stayed out of agreement",
        ViewChangeReason.Timeout => "a request had waited too long",
        ViewChangeReason.OthersLeft => "more than f others had left",
        ViewChangeReason.BadNewView => "the new primary's decision was wrong or did not come in time",
        _ => $"of {reason}",
    };

    /// <summary>The highest value that f+1 replicas claim or exceed; of fewer answers the lowest.</summary>
    private long ByCorrect(Func<MonitorAnswer, long> value)
    {
        long[] claims = [.. answers.OfType<MonitorAnswer>().Select(value).OrderDescending()];
        return claims.Length > config.F ? claims[config.F] : claims.LastOrDefault();
    }
}
