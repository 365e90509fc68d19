namespace BfsBench;

/// <summary>How much a benchmark does if nothing more is said.</summary>
internal enum BenchmarkSize
{
    /// <summary>What a run of an hour or less has room for, on every file system.</summary>
    Usual,

    Quick,

    /// <summary>Andrew and PostMark as large as in §8.6.1.</summary>
    Thesis,
}

/// <summary>What a benchmark is asked for on the command line.</summary>
internal sealed record BenchmarkSettings
{
    public BenchmarkSize Size { get; init; }

    /// <summary>Fewer, shorter and smaller runs.</summary>
    public bool Quick => Size == BenchmarkSize.Quick;

    /// <summary>How often everything is measured; null for what the benchmark finds right.</summary>
    public int? Runs { get; init; }

    /// <summary>The systems to measure; null for all.</summary>
    public IReadOnlyList<string>? Systems { get; init; }

    /// <summary>How many copies of the source tree; null for the benchmark's own number.</summary>
    public int? Copies { get; init; }

    /// <summary>PostMark's size, 1 for the thesis'; null for the benchmark's own.</summary>
    public double? Scale { get; init; }

    /// <summary>Whether a system is to be measured.</summary>
    public bool Selects(string system) => Systems is null || Systems.Contains(system, StringComparer.OrdinalIgnoreCase);
}
