using System.Diagnostics;

namespace BfsBench;

/// <summary>
/// What the system takes to give a process memory: pages that nobody had lately, and the same once more at once. A virtual
/// machine may have to get the first from its host, which can cost more than all that is then done with them, and a file that
/// is written to a drive needs many: in the cache of the client and of every replica.
/// </summary>
internal static class NewMemory
{
    private const int Bytes = 1 << 30;
    private const int PageBytes = 4096;

    /// <summary>Milliseconds for one MiB.</summary>
    public static (double New, double Again) Measure() => (TouchMillis(), TouchMillis());

    private static unsafe double TouchMillis()
    {
        byte* memory = Posix.MapMemory(Bytes);
        try
        {
            long start = Stopwatch.GetTimestamp();
            for (long at = 0; at < Bytes; at += PageBytes)
            {
                memory[at] = 1;
            }
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds / (Bytes >> 20);
        }
        finally
        {
            Posix.UnmapMemory(memory, Bytes);
        }
    }
}
