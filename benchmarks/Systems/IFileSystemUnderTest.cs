namespace BfsBench;

/// <summary>
/// A file system that benchmarks work on. It runs only during its own turns, so that none disturbs another. Disposing of it
/// stops it, and nothing of it is left; then it can be started again.
/// </summary>
internal interface IFileSystemUnderTest : IDisposable
{
    /// <summary>As in figures; <see cref="SystemNames"/>.</summary>
    string Name { get; }

    /// <summary>Why it cannot run on this machine, and what to do about it; null when it can.</summary>
    string? WhyNot();

    /// <summary>Starts it, empty.</summary>
    /// <returns>The directory to work in.</returns>
    string Start();

    /// <summary>Before it stops after work: figures of the system itself.</summary>
    void Report(Results results);
}
