using System.Diagnostics;
using System.Globalization;
using BfsCore;
using BfsCore.FileProtocol;

namespace BfsBench;

/// <summary>
/// Whether an operation costs more as there is more: bytes of state, names in a directory, files, clients. The first three
/// are measured at the file service in this process, with its checkpoints; files once more, and clients, at the busiest of four replicas:
/// whole operations. As long as as much is in use as before, the cost should stay; when all of it is in use, the processor's caches show too.
/// </summary>
internal static class GrowthBenchmark
{
    private const int FileBytes = FileTree.FullFileBytes;
    private const int BlockBytes = 4096;
    private const int ActiveClients = 10;
    private const int Replicas = 4;

    /// <summary>Names or blocks that are used again and again, drawn from all.</summary>
    private const int PlacesInUse = 100;

    public static void Run(BenchmarkSettings settings, Results results)
    {
        bool quick = settings.Quick;
        int runs = settings.Runs ?? (quick ? 5 : 9);
        int[] megabytes = Fitting("growth-state", quick ? [10, 100, 1000] : [10, 100, 1000, 10_000], FreeMemoryMegabytes(), "memory", results);
        int[] megabytesOfEach = Fitting("growth-operation-state", quick ? [10, 1000] : [10, 100, 1000, 10_000],
            FreeDiskMegabytes() / Replicas, $"space for each replica in {Path.GetTempPath()}", results);
        int[] counts = quick ? [100, 1000, 10_000, 100_000] : [100, 1000, 10_000, 100_000, 1_000_000];
        int[] countsOfCluster = quick ? [counts[0], counts[^1]] : counts;
        int[] clients = quick ? [10, 100] : [10, 50, 200, 1000];
        var operations = new Operations(quick ? 20_000 : 50_000, counts[^1], runs, results);
        Output.WithProgress("growth", megabytes.Length + megabytesOfEach.Length + (2 * counts.Length) + countsOfCluster.Length + clients.Length, onDone =>
        {
            Array.ForEach(megabytes, size => Step(() => operations.OnState(size), onDone, "state"));
            Array.ForEach(counts, count => Step(() => operations.InDirectory(count), onDone, "directory"));
            Array.ForEach(counts, count => Step(() => operations.AmongFiles(count), onDone, "files"));
            Array.ForEach(countsOfCluster, count => Step(() => AmongFiles(count, quick, runs, results), onDone, "files of a cluster"));
            Array.ForEach(megabytesOfEach, size => Step(() => OnState(size, quick, runs, results), onDone, "state of a cluster"));
            Array.ForEach(clients, count => Step(() => AmongClients(count, quick, runs, results), onDone, "clients"));
        });
        foreach (string what in new[] { "state", "state-all-in-use", "directory", "directory-all-in-use", "files", "files-all-in-use", "operation-files", "operation-state", "clients" })
        {
            AddRatio(what, results);
        }
    }

    private static void Step(Action measure, Action<string> onDone, string what)
    {
        measure();
        onDone(what);
    }

    /// <summary>The sizes for which there is room.</summary>
    private static int[] Fitting(string name, int[] megabytes, long free, string ofWhat, Results results)
    {
        bool Fits(int size) => size * 1.3 <= free;
        foreach (int size in megabytes.Where(m => !Fits(m)))
        {
            string note = $"{name}-{size} was left out: there are {free} MB of free {ofWhat}";
            Output.Warn(note);
            results.Note(note);
        }
        return [.. megabytes.Where(Fits)];
    }

    private static long FreeMemoryMegabytes()
    {
        string line = File.ReadLines("/proc/meminfo").First(l => l.StartsWith("MemAvailable", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }

    private static long FreeDiskMegabytes() => new DriveInfo(Path.GetTempPath()).AvailableFreeSpace >> 20;

    private static void AddRatio(string what, Results results)
    {
        Figure[] figures = [.. results.Figures().Where(f => f.Benchmark.StartsWith($"growth-{what}-", StringComparison.Ordinal)
            && char.IsDigit(f.Benchmark[$"growth-{what}-".Length]))];
        if (figures.Length > 1)
        {
            results.Add($"growth-ratio-{what}", SystemNames.Bfs, "times", figures[^1].Value / figures[0].Value);
        }
    }

    /// <summary>A few clients work; how many there are besides is what changes.</summary>
    private static void AmongClients(int clients, bool quick, int runs, Results results)
    {
        using var cluster = new BenchCluster(ClusterMode.Bft, clients);
        using var load = new Load(cluster, ActiveClients);
        var measured = TimeSpan.FromSeconds(quick ? 0.5 : 2);
        load.Run(new NullOperation(0, 0, false).Bytes, false, measured, measured);
        for (int run = 0; run < runs; run++)
        {
            LoadResult result = load.Run(new NullOperation(0, 0, false).Bytes, false, measured / 5, measured);
            results.Add($"growth-clients-{clients}", SystemNames.Bfs, "us/operation", result.BusiestServerCpuMicros);
        }
    }

    /// <summary>A few clients look files up and touch them, of a few that are used again and again, on four replicas.</summary>
    private static void AmongFiles(int files, bool quick, int runs, Results results) =>
        WithContent($"growth-operation-files-{files}", new Growth(files), OperationsOn(files, new Random(1)), quick, runs, results);

    /// <summary>A few clients read and write blocks of 4 KB, of a few that are used again and again, on four replicas.</summary>
    private static void OnState(int megabytes, bool quick, int runs, Results results) =>
        WithContent($"growth-operation-state-{megabytes}", new Growth(0, megabytes), OperationsOnData(megabytes, new Random(1)), quick, runs, results);

    private static void WithContent(string name, Growth content, (byte[] Operation, bool ReadOnly)[] operations, bool quick, int runs, Results results)
    {
        using var cluster = new BenchCluster(ClusterMode.Bft, ActiveClients, content: content);
        using var load = new Load(cluster, ActiveClients);
        var random = new Random(1);
        var measured = TimeSpan.FromSeconds(quick ? 0.5 : 2);
        (byte[], bool) Next() => operations[random.Next(operations.Length)];
        load.Run(Next, TimeSpan.FromSeconds(quick ? 3 : 8), measured);
        for (int run = 0; run < runs; run++)
        {
            LoadResult result = load.Run(Next, measured / 5, measured);
            results.Add(name, SystemNames.Bfs, "us/operation", result.BusiestServerCpuMicros);
        }
    }

    private static (byte[] Operation, bool ReadOnly)[] OperationsOnData(int megabytes, Random random)
    {
        using var volume = new LocalVolume(FileTree.DataDriveBytes(megabytes));
        // Only their handles are wanted, which do not depend on what is in them.
        FileHandle[] files = FileTree.MakeData(volume, megabytes, full: false);
        byte[] block = new byte[BlockBytes];
        var operations = new List<(byte[], bool)>();
        for (int i = 0; i < PlacesInUse; i++)
        {
            FileHandle file = files[random.Next(files.Length)];
            long offset = random.Next(FileBytes / BlockBytes) * (long)BlockBytes;
            random.NextBytes(block);
            operations.Add((volume.ReadOperation(file, offset, BlockBytes), true));
            operations.Add((volume.WriteOperation(file, offset, block), false));
        }
        return [.. operations];
    }

    private static (byte[] Operation, bool ReadOnly)[] OperationsOn(int files, Random random)
    {
        using var volume = new LocalVolume(FileTree.DriveBytes(files));
        FileHandle[] directories = FileTree.Make(volume, files);
        var operations = new List<(byte[], bool)>();
        for (int i = 0; i < PlacesInUse; i++)
        {
            int file = random.Next(files);
            FileHandle directory = directories[file % directories.Length];
            operations.Add((volume.LookupOperation(directory, FileTree.NameOf(file)), true));
            FileHandle handle = volume.Lookup(directory, FileTree.NameOf(file));
            volume.Touch(handle);
            operations.Add((volume.TouchOperation(handle), false));
        }
        return [.. operations];
    }

    /// <summary>Operations at places drawn at random, some of each kind; the mean of all, run by run.</summary>
    /// <param name="most">How many files there are at most: drives with fewer have the same size.</param>
    private sealed class Operations(int count, int most, int runs, Results results)
    {
        private readonly long _driveBytes = FileTree.DriveBytes(most);

        private readonly byte[] _block = new byte[BlockBytes];
        private readonly Random _random = new(1);

        public void OnState(int megabytes)
        {
            using var volume = new LocalVolume(FileTree.DataDriveBytes(megabytes));
            FileHandle[] files = FileTree.MakeData(volume, megabytes);
            Measure("state", megabytes, files.Length * (FileBytes / BlockBytes), block =>
            {
                FileHandle file = files[block / (FileBytes / BlockBytes)];
                long offset = block % (FileBytes / BlockBytes) * (long)BlockBytes;
                if (_random.Next(2) == 0)
                {
                    _random.NextBytes(_block.AsSpan(0, 8));
                    volume.Write(file, offset, _block);
                }
                else
                {
                    volume.Read(file, offset, BlockBytes);
                }
            });
        }

        public void InDirectory(int names)
        {
            using var volume = new LocalVolume(_driveBytes);
            FileHandle directory = volume.NewDirectory(FileHandle.Root, "data");
            for (int i = 0; i < names; i++)
            {
                volume.NewFile(directory, $"file{i}");
            }
            MeasureNames("directory", volume, names, _ => directory);
        }

        public void AmongFiles(int files)
        {
            using var volume = new LocalVolume(_driveBytes);
            FileHandle[] directories = FileTree.Make(volume, files);
            MeasureNames("files", volume, files, i => directories[i % directories.Length]);
        }

        /// <summary>Look a name up and ask for attributes; sometimes make a file and remove it.</summary>
        private void MeasureNames(string what, LocalVolume volume, int names, Func<int, FileHandle> directoryOf) => Measure(what, names, names, one =>
        {
            FileHandle directory = directoryOf(one);
            if (_random.Next(4) == 0)
            {
                string other = $"new{_random.Next()}";
                volume.NewFile(directory, other);
                volume.Unlink(directory, other);
            }
            else
            {
                volume.GetAttr(volume.Lookup(directory, $"file{one}"));
            }
        });

        /// <summary>Once with a few of all places in use, which are as many whatever the size, once with all of them.</summary>
        private void Measure(string what, long size, int places, Action<int> operation)
        {
            int[] few = [.. Enumerable.Range(0, PlacesInUse).Select(_ => _random.Next(places))];
            Time($"growth-{what}-{size}", () => operation(few[_random.Next(few.Length)]));
            Time($"growth-{what}-all-in-use-{size}", () => operation(_random.Next(places)));
        }

        private void Time(string name, Action operation)
        {
            for (int run = -1; run < runs; run++)
            {
                long start = Stopwatch.GetTimestamp();
                for (int i = 0; i < count; i++)
                {
                    operation();
                }
                // The first warms up.
                if (run >= 0)
                {
                    results.Add(name, SystemNames.Bfs, "us/operation", Stopwatch.GetElapsedTime(start).TotalMicroseconds / count);
                }
            }
        }
    }
}
