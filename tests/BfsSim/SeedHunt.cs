namespace BfsSim;

/// <summary>Runs seeds in order until one of them fails.</summary>
internal static class SeedHunt
{
    /// <summary>What begins the line that tells of the failure; its seed follows.</summary>
    public const string Found = "first failure: seed ";

    /// <returns>The exit code: 0 when nothing was violated.</returns>
    public static int Run(long first, int count, int jobs, TextWriter output)
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
                if (RunTotals.Try(seed).Failure is { } message)
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
}
