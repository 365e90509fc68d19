using System.Diagnostics;

namespace BfsBench;

/// <summary>
/// One large file, written and read from beginning to end. Writing ends with fsync; before reading, the kernel forgets the
/// file's pages, so that the file system is asked, and what has been read is let go as reading goes on, as by dd with
/// iflag=nocache: otherwise a part of the time is that of the system's giving memory for the pages (<see cref="NewMemory"/>),
/// the larger the longer after it was let go.
/// </summary>
internal sealed class SequentialFiles(long bytes) : IFileWorkload
{
    private const int BlockBytes = 1 << 20;
    private const int KeptBytes = 8 << 20;

    /// <summary>Part of the file that is written and read before, under another name: files that servers keep have their blocks then.</summary>
    private const int WarmUpPart = 4;

    private readonly byte[] _buffer = NewBuffer();

    public string Name => "sequential";

    public string Description => $"sequential: one file of {bytes >> 20} MiB, in calls of 1 MiB.";

    public string? WhyNot() => null;

    public void WarmUp(string directory)
    {
        Write(Path.Combine(directory, "before"), bytes / WarmUpPart);
        Read(Path.Combine(directory, "before"), bytes / WarmUpPart);
    }

    public void Run(string directory, string system, Results results)
    {
        string path = Path.Combine(directory, "file");
        results.Add("sequential-write", system, "MB/s", bytes / 1e6 / Write(path, bytes));
        results.Add("sequential-read", system, "MB/s", bytes / 1e6 / Read(path, bytes));
    }

    /// <summary>Seconds.</summary>
    private double Write(string path, long length)
    {
        long start = Stopwatch.GetTimestamp();
        int file = Posix.Open(path, Posix.WriteOnly | Posix.Create | Posix.Truncate);
        for (long done = 0; done < length; done += BlockBytes)
        {
            Posix.Write(file, _buffer);
        }
        Posix.Sync(file);
        Posix.Close(file);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private double Read(string path, long length)
    {
        int file = Posix.Open(path, Posix.ReadOnly);
        Posix.DropPages(file, 0, 0);
        long start = Stopwatch.GetTimestamp();
        long done = 0;
        long kept = 0;
        for (int count; (count = Posix.Read(file, _buffer)) > 0;)
        {
            done += count;
            if (done - kept >= KeptBytes)
            {
                Posix.DropPages(file, kept, done - kept);
                kept = done;
            }
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Posix.Close(file);
        return done == length ? seconds : throw new BenchException($"{path} has {done} bytes, not {length}");
    }

    private static byte[] NewBuffer()
    {
        byte[] buffer = new byte[BlockBytes];
        new Random(1).NextBytes(buffer);
        return buffer;
    }
}
