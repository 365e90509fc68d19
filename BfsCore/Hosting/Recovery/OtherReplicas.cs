using BfsCore.Replication;

namespace BfsCore.Hosting.Recovery;

/// <summary>
/// Whether a replica may recover now: of n = 3f+1 there is none to spare while one does, so all others must take part
/// (pitfall 40).
/// </summary>
public static class OtherReplicas
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Asks the others.</summary>
    /// <returns>Why not now; null when nothing stands against it.</returns>
    public static async Task<string?> FirstObstacleAsync(ClusterConfig config, ReplicaId self) =>
        FirstObstacle(await MonitorClient.AskAllAsync(config, Patience).ConfigureAwait(false), self);

    /// <param name="answers">One for each replica; null for one that does not answer.</param>
    public static string? FirstObstacle(IReadOnlyList<MonitorAnswer?> answers, ReplicaId self)
    {
        for (int i = 0; i < answers.Count; i++)
        {
            string? obstacle = i == self.Value ? null : Obstacle(answers[i], i);
            if (obstacle is not null)
            {
                return obstacle;
            }
        }
        return null;
    }

    /// <summary>Started to recover, and not recovered.</summary>
    public static bool IsRecovering(in MonitorAnswer answer) =>
        answer.Recovery.Phase is not (RecoveryPhase.None or RecoveryPhase.Recovered);

    private static string? Obstacle(in MonitorAnswer? answer, int id) => answer switch
    {
        null => $"replica {id} cannot be reached",
        { } known when IsRecovering(known) => $"replica {id} is recovering",
        { Activity: ReplicaActivity.Fetching } => $"replica {id} is fetching state",
        { Activity: ReplicaActivity.Diverged } => $"replica {id} repairs its state",
        _ => null,
    };
}
