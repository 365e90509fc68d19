namespace BfsSim;

/// <summary>Runs seeds in order until one of them fails.</summary>
internal static class SeedHunt
{
    /// <summary>What begins the line that tells of the failure; its seed follows.</summary>
    public const string Found = "first failure: seed ";

    /// <param name="profile">A name in <see cref="SimProfiles"/>; null for the common mix.</param>
    /// <param name="safetyOnly">What does not complete is no failure.</param>
    /// <returns>The exit code: 0 when nothing was violated.</returns>
    public static int Run(long first, int count, int jobs, string? profile, bool safetyOnly, TextWriter output)
    {
        long next = first - 1, failed = long.MaxValue;
        string failure = "";
        var lockObject = new Lock();
        Parallel.For(0, jobs, new ParallelOptions { MaxDegreeOfParallelism = jobs }, _ =>
        {
            // Seeds are taken in order, so all below the one that failed are done or under way when the others stop.
            while (true)
            {
                long seed = Interlocked.Increment(ref next);
                if (seed >= first + count || seed > Interlocked.Read(ref failed))
                {
                    return;
                }
                if (FailureOf(seed, profile, safetyOnly) is { } message)
                {
                    lock (lockObject)
                    {
                        (failed, failure) = seed < failed ? (seed, message) : (failed, failure);
                    }
                }
            }
        });
        output.WriteLine(failed == long.MaxValue ? $"no failure in {count} seeds" : $"{Found}{failed}: {failure}");
        return failed == long.MaxValue ? 0 : 1;
    }

    /// <summary>The first line of what a seed violates, or null.</summary>
    public static string? FailureOf(long seed, string? profile, bool safetyOnly)
    {
        try
        {
            using var simulation = new Simulation(seed, adjust: profile is null ? null : SimProfiles.All[profile]);
            simulation.Run();
            return null;
        }
        catch (NoProgressException) when (safetyOnly)
        {
            return null;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // The stack tells where, for those that are no violation but a fault of a program.
            string where = e is SimulationException ? "" : $" ({e.GetType().Name} in {e.TargetSite?.DeclaringType?.Name}.{e.TargetSite?.Name})";
            return e.Message.Split('\n')[0] + where;
        }
    }
}
