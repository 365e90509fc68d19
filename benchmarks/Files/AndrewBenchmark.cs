using System.Diagnostics;

namespace BfsBench;

/// <summary>
/// The modified Andrew benchmark (§8.6.1): phase 1 makes n copies of a source tree's directories, phase 2 copies its files
/// into each, phase 3 asks for the attributes of every file, phase 4 reads every byte, phase 5 compiles and links each copy.
/// </summary>
/// <param name="name">How its figures begin.</param>
internal sealed class AndrewBenchmark(string name, int copies) : IFileWorkload
{
    /// <summary>Of each turn; the last of the figures is their sum.</summary>
    public static readonly string[] Phases = ["1-mkdir", "2-copy", "3-stat", "4-read", "5-compile"];

    private const int BufferBytes = 64 * 1024;

    private readonly byte[] _buffer = new byte[BufferBytes];
    private string? _expected;

    public string Name => name;

    /// <summary>However many runs there are, it takes part in the first only.</summary>
    public bool Once { get; init; }

    public string Description => $"{name}: {copies} copies of a tree of {SourceTree.Files.Count} source files, "
        + $"{SourceTree.Files.Sum(f => f.Content.Length) / 1024} KB each before they are compiled.";

    public string? WhyNot() => ChildProgram.Find("gcc") is null ? "gcc is missing (package gcc)" : null;

    public bool TakesPart(string system, int run) => run == 0 || !Once;

    public void WarmUp(string directory) => Work(directory, 1);

    public void Run(string directory, string system, Results results)
    {
        double[] seconds = Work(directory, copies);
        for (int phase = 0; phase < Phases.Length; phase++)
        {
            results.Add($"{name}-{Phases[phase]}", system, "s", seconds[phase]);
        }
        results.Add($"{name}-total", system, "s", seconds.Sum());
    }

    private double[] Work(string directory, int count)
    {
        using var scratch = new Scratch("tree", inMemory: true);
        SourceTree.WriteTo(scratch.Path);
        string[] trees = [.. Enumerable.Range(0, count).Select(i => Path.Combine(directory, $"copy{i}"))];
        double[] seconds =
        [
            Time(trees, MakeDirectories),
            Time(trees, tree => CopyFiles(scratch.Path, tree)),
            Time(trees, StatAll),
            Time(trees, ReadAll),
            Time(trees, Compile),
        ];
        Array.ForEach(trees, Check);
        return seconds;
    }

    private static double Time(string[] trees, Action<string> phase)
    {
        long start = Stopwatch.GetTimestamp();
        Array.ForEach(trees, phase);
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static void MakeDirectories(string tree)
    {
        Posix.MakeDirectory(tree);
        foreach (string directory in SourceTree.Directories)
        {
            Posix.MakeDirectory(Path.Combine(tree, directory));
        }
    }

    private void CopyFiles(string source, string tree)
    {
        foreach ((string path, _) in SourceTree.Files)
        {
            int from = Posix.Open(Path.Combine(source, path), Posix.ReadOnly);
            int to = Posix.Open(Path.Combine(tree, path), Posix.WriteOnly | Posix.Create | Posix.Exclusive);
            for (int count; (count = Posix.Read(from, _buffer)) > 0;)
            {
                Posix.Write(to, _buffer.AsSpan(0, count));
            }
            Posix.Close(to);
            Posix.Close(from);
        }
    }

    // Names come from the directories, as they do for programs that walk a tree.
    private static void StatAll(string tree)
    {
        foreach (string path in Directory.EnumerateFileSystemEntries(tree, "*", SearchOption.AllDirectories))
        {
            Posix.Stat(path);
        }
    }

    private void ReadAll(string tree)
    {
        foreach (string path in Directory.EnumerateFiles(tree, "*", SearchOption.AllDirectories))
        {
            int file = Posix.Open(path, Posix.ReadOnly);
            while (Posix.Read(file, _buffer) > 0)
            {
            }
            Posix.Close(file);
        }
    }

    private static void Compile(string tree) =>
        ChildProgram.Run(new ProcessStartInfo("sh", [SourceTree.BuildScript]) { WorkingDirectory = tree });

    /// <summary>What was compiled does what it does everywhere.</summary>
    private void Check(string tree)
    {
        string printed = ChildProgram.Run(Path.Combine(tree, SourceTree.Program)).Trim();
        _expected ??= printed;
        if (printed != _expected)
        {
            throw new BenchException($"the program compiled in {tree} prints {printed}, and the one compiled first printed {_expected}");
        }
    }
}
