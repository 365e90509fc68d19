namespace BfsCore.Hosting.Recovery;

/// <summary>
/// When the watchdogs of a cluster go off (§4.3.3): each once in T_w, one replica after the other. The times follow from the
/// wall clock alone, so that recovery monitors agree on them without a word. Replicas have their turn from the last to the
/// first: views go upwards, so a primary that hands over does not hand over to the one that is to recover next.
/// </summary>
public static class WatchdogSchedule
{
    /// <summary>The first time of a replica after a moment; null when there is no watchdog.</summary>
    /// <param name="after">UTC.</param>
    public static DateTime? Next(ClusterConfig config, ReplicaId id, DateTime after)
    {
        if (config.WatchdogSeconds == 0 || !config.CanRecover)
        {
            return null;
        }
        long period = config.WatchdogSeconds * TimeSpan.TicksPerSecond;
        long offset = period / config.N * (config.N - 1 - id.Value);
        long passed = (after - DateTime.UnixEpoch).Ticks - offset;
        long rounds = passed < 0 ? 0 : (passed / period) + 1;
        return DateTime.UnixEpoch.AddTicks(offset + (rounds * period));
    }

    /// <summary>
    /// A replica that recovered, or was started, less than this before its time waits for the next: the others take a second
    /// recovery so soon for an attack (§4.3.2: half of the watchdog's period).
    /// </summary>
    public static TimeSpan LeastAge(ClusterConfig config) => TimeSpan.FromTicks(config.WatchdogSeconds * TimeSpan.TicksPerSecond / 2);
}
