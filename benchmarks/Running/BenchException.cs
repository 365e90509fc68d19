namespace BfsBench;

/// <summary>A benchmark cannot do what it was asked; the message is for people and says what to do.</summary>
public sealed class BenchException : Exception
{
    public BenchException() { }
    public BenchException(string message) : base(message) { }
    public BenchException(string message, Exception inner) : base(message, inner) { }

    /// <summary>1: it failed; 2: it was asked wrongly.</summary>
    public int ExitCode { get; init; } = 1;
}
