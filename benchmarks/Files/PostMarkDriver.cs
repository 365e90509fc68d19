using System.Diagnostics;

namespace BfsBench;

/// <summary>
/// PostMark's operations once more, made here, one at a time: how long each kind takes. Half of all transactions create or
/// delete a file, and each also reads one or appends to one.
/// </summary>
internal sealed class PostMarkDriver(PostMarkSize size) : IFileWorkload
{
    /// <summary>As the thesis mounts (§8.6.1).</summary>
    private const int BlockBytes = 4096;

    private static readonly string[] Kinds = ["create", "delete", "read", "append"];

    private readonly byte[] _buffer = new byte[PostMarkSize.MostBytes];

    public string Name => "postmark-operations";

    public string Description => $"postmark-operations: {size.Files} files, {size.Transactions} transactions; the time of each operation with "
        + "open and close, median and 99th percentile.";

    public string? WhyNot() => null;

    public void WarmUp(string directory) => Work(directory, size.Fraction(0.3));

    public void Run(string directory, string system, Results results)
    {
        List<double>[] micros = Work(directory, size);
        for (int kind = 0; kind < Kinds.Length; kind++)
        {
            results.Add($"postmark-{Kinds[kind]}", system, "us", Statistics.Median(micros[kind]));
            results.Add($"postmark-{Kinds[kind]}-p99", system, "us", Statistics.Quantile(micros[kind], 0.99));
        }
    }

    /// <summary>Microseconds by kind; only those of transactions.</summary>
    private List<double>[] Work(string root, PostMarkSize work)
    {
        // The same sequence on every system.
        var random = new Random(42);
        var files = new List<string>();
        int made = 0;
        for (int i = 0; i < work.Directories; i++)
        {
            Posix.MakeDirectory(Path.Combine(root, $"s{i}"));
        }
        string NewName() => Path.Combine(root, $"s{random.Next(work.Directories)}", $"{made++}");
        for (int i = 0; i < work.Files; i++)
        {
            files.Add(NewName());
            Create(files[^1], random.Next(PostMarkSize.LeastBytes, PostMarkSize.MostBytes + 1));
        }
        List<double>[] micros = [[], [], [], []];
        for (int i = 0; i < work.Transactions; i++)
        {
            string some = files[random.Next(files.Count)];
            if (random.Next(2) == 0)
            {
                micros[2].Add(Time(() => ReadAll(some)));
            }
            else
            {
                int bytes = random.Next(1, BlockBytes);
                micros[3].Add(Time(() => Append(some, bytes)));
            }
            if (random.Next(2) == 0 || files.Count < 2)
            {
                files.Add(NewName());
                int bytes = random.Next(PostMarkSize.LeastBytes, PostMarkSize.MostBytes + 1);
                micros[0].Add(Time(() => Create(files[^1], bytes)));
            }
            else
            {
                int victim = random.Next(files.Count);
                micros[1].Add(Time(() => Posix.Unlink(files[victim])));
                files.RemoveAt(victim);
            }
        }
        return micros;
    }

    private static double Time(Action operation)
    {
        long start = Stopwatch.GetTimestamp();
        operation();
        return Stopwatch.GetElapsedTime(start).TotalMicroseconds;
    }

    private void Create(string path, int bytes) => WriteBlocks(Posix.Open(path, Posix.WriteOnly | Posix.Create | Posix.Exclusive), bytes);

    private void Append(string path, int bytes) => WriteBlocks(Posix.Open(path, Posix.WriteOnly | Posix.Append), bytes);

    private void WriteBlocks(int file, int bytes)
    {
        for (int done = 0; done < bytes; done += BlockBytes)
        {
            Posix.Write(file, _buffer.AsSpan(0, Math.Min(BlockBytes, bytes - done)));
        }
        Posix.Close(file);
    }

    private void ReadAll(string path)
    {
        int file = Posix.Open(path, Posix.ReadOnly);
        while (Posix.Read(file, _buffer.AsSpan(0, BlockBytes)) > 0)
        {
        }
        Posix.Close(file);
    }
}
