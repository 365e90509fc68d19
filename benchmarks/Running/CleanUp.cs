using System.Runtime.InteropServices;

namespace BfsBench;

/// <summary>
/// What a run has to take away again: processes, mounts, directories. It is done when the run gets there, when it fails,
/// and when it is told to end (Ctrl-C, SIGTERM, SIGHUP); in each case once, the last thing made first.
/// </summary>
internal static class CleanUp
{
    private static readonly Lock s_lock = new();
    private static readonly List<Entry> s_entries = [];
    private static volatile bool s_aborting;

    [ThreadStatic]
    private static bool t_ends;

    /// <summary>
    /// Makes something, and remembers how to take it away: that is done when the result is disposed of, or earlier if all
    /// ends earlier.
    /// </summary>
    public static IDisposable Make(Action make, Action takeAway)
    {
        while (true)
        {
            StayIfEnding();
            lock (s_lock)
            {
                if (MayMake)
                {
                    make();
                    var entry = new Entry(takeAway);
                    s_entries.Add(entry);
                    return entry;
                }
            }
        }
    }

    /// <summary>Does some work so that nothing is left of it, however it ends.</summary>
    public static int Around(Func<int> work)
    {
        PosixSignal[] signals = [PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP];
        PosixSignalRegistration[] registrations = [.. signals.Select(s => PosixSignalRegistration.Create(s, Abort))];
        try
        {
            return work();
        }
        finally
        {
            // What fails because the end has begun is not worth a message.
            StayIfEnding();
            DoAll();
            Array.ForEach(registrations, r => r.Dispose());
        }
    }

    /// <summary>Once the end has begun nothing new is to be made, except by those who take away.</summary>
    public static bool MayMake => !s_aborting || t_ends;

    /// <summary>Who may not make anything more stays here.</summary>
    public static void StayIfEnding()
    {
        if (!MayMake)
        {
            Thread.Sleep(Timeout.Infinite);
        }
    }

    private static void Abort(PosixSignalContext context)
    {
        context.Cancel = true;
        lock (s_lock)
        {
            if (s_aborting)
            {
                return;
            }
            t_ends = s_aborting = true;
        }
        Console.Error.WriteLine("\nbfs bench: stopping, and taking away what was made ...");
        ChildProgram.EndAll();
        DoAll();
        Environment.Exit(context.Signal == PosixSignal.SIGINT ? 130 : 143);
    }

    private static void DoAll()
    {
        while (true)
        {
            Entry last;
            lock (s_lock)
            {
                if (s_entries.Count == 0)
                {
                    return;
                }
                last = s_entries[^1];
            }
            last.Dispose();
        }
    }

    private sealed class Entry(Action action) : IDisposable
    {
        private readonly Lock _once = new();
        private bool _done;

        public void Dispose()
        {
            lock (_once)
            {
                lock (s_lock)
                {
                    s_entries.Remove(this);
                }
                if (_done)
                {
                    return;
                }
                _done = true;
                bool ends = t_ends;
                t_ends = true;
                try
                {
                    action();
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or BenchException or InvalidOperationException)
                {
                    // The rest must be taken away nevertheless.
                    Console.Error.WriteLine("bfs bench: " + e.Message);
                }
                finally
                {
                    t_ends = ends;
                }
            }
        }
    }
}
