using System.Diagnostics;

namespace BfsSim.Mutants;

/// <summary>A copy of the sources in a temporary directory, in which one mutant at a time is built and run.</summary>
internal sealed class MutantWorkspace : IDisposable
{
    private static readonly string[] _copied = ["BfsCore", "BfsReplica", "tests/BfsSim"];

    private readonly string _root;
    private readonly string _sources;

    public MutantWorkspace(string sources)
    {
        _sources = sources;
        _root = Directory.CreateTempSubdirectory("bfs-mutants-").FullName;
        foreach (string file in Directory.EnumerateFiles(sources).Where(f => Path.GetExtension(f) is ".props" or ".txt" or ".config" || Path.GetFileName(f) == ".editorconfig"))
        {
            File.Copy(file, Path.Combine(_root, Path.GetFileName(file)));
        }
        foreach (string directory in _copied)
        {
            Copy(new DirectoryInfo(Path.Combine(sources, directory)), Path.Combine(_root, directory));
        }
    }

    /// <summary>The directory above the running program that holds the solution.</summary>
    public static string FindSources()
    {
        DirectoryInfo? directory = new(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "BfsFs.sln")))
        {
            directory = directory.Parent;
        }
        return directory?.FullName ?? throw new InvalidOperationException("the sources are not above the program");
    }

    /// <summary>Builds the simulator without the protection; null builds it as it is.</summary>
    public void Build(Mutant? mutant)
    {
        if (mutant is not null)
        {
            string source = File.ReadAllText(Path.Combine(_sources, mutant.File));
            File.WriteAllText(Path.Combine(_root, mutant.File), mutant.Apply(source));
        }
        (int code, string output) = Run("build", "tests/BfsSim", "-c", "Release", "-v", "q", "--nologo",
            "-p:RunAnalyzers=false", "-p:EnforceCodeStyleInBuild=false", "-p:TreatWarningsAsErrors=false", "-clp:ErrorsOnly");
        if (code != 0)
        {
            throw new InvalidOperationException($"{mutant?.Name} does not build:\n{output}");
        }
    }

    /// <summary>Puts the protection back.</summary>
    public void Restore(Mutant mutant)
    {
        string copy = Path.Combine(_root, mutant.File);
        File.Copy(Path.Combine(_sources, mutant.File), copy, overwrite: true);
        // A copy keeps the time of its original, which is older than what was built.
        File.SetLastWriteTimeUtc(copy, DateTime.UtcNow);
    }

    /// <summary>Runs the simulator that was built last.</summary>
    public (int Code, string Output) Simulate(params string[] arguments) =>
        Run(["tests/BfsSim/bin/Release/net10.0/BfsSim.dll", .. arguments]);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private (int Code, string Output) Run(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", arguments)
        {
            WorkingDirectory = _root,
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static void Copy(DirectoryInfo from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (FileInfo file in from.EnumerateFiles())
        {
            file.CopyTo(Path.Combine(to, file.Name));
        }
        foreach (DirectoryInfo directory in from.EnumerateDirectories().Where(d => d.Name is not ("bin" or "obj")))
        {
            Copy(directory, Path.Combine(to, directory.Name));
        }
    }
}
