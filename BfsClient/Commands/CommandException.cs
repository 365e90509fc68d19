namespace BfsClient.Commands;

/// <summary>A command cannot do what it was asked; the message is for people and says what to do.</summary>
public sealed class CommandException : Exception
{
    public CommandException() { }
    public CommandException(string message) : base(message) { }
    public CommandException(string message, Exception inner) : base(message, inner) { }

    /// <summary>1: it failed; 2: it was asked wrongly.</summary>
    public int ExitCode { get; init; } = 1;
}
