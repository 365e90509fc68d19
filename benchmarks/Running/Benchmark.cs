namespace BfsBench;

/// <summary>A benchmark as the command line names it.</summary>
/// <param name="Asks">Which options it takes besides those that all have.</param>
/// <param name="Parts">What it consists of: each adds its figures, and one that fails does not keep the others from running.</param>
internal sealed record Benchmark(string Name, string Description, BenchmarkOptions Asks, IReadOnlyList<Action<BenchmarkSettings, Results>> Parts);

/// <summary>Options that some benchmarks take.</summary>
[Flags]
internal enum BenchmarkOptions
{
    None = 0,
    Systems = 1,
    Copies = 2,
    Scale = 4,

    /// <summary>It is quick or not by itself.</summary>
    NoQuick = 8,

    /// <summary>Its file systems' workloads have the thesis' sizes too.</summary>
    Thesis = 16,
}
