namespace BfsBench;

/// <summary>Where the project's other programs are.</summary>
internal static class Project
{
    /// <summary>The project's directory: the one above this program that has the solution.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The bfs command as it was built together with this program.</summary>
    public static string BfsProgram => Path.Combine(Root, "BfsClient", "bin",
        AppContext.BaseDirectory.Contains("/Debug/", StringComparison.Ordinal) ? "Debug" : "Release", "net10.0", "bfs.dll");

    private static string FindRoot()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "BfsFs.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }
        return directory ?? throw new BenchException("the benchmarks run from the project's directory: ./bfs bench");
    }
}
