namespace BfsCore.Hosting;

/// <summary>A cluster file or key file cannot be used; the message names the file, what is wrong and what to do.</summary>
public sealed class ClusterFileException : Exception
{
    public ClusterFileException() { }
    public ClusterFileException(string message) : base(message) { }
    public ClusterFileException(string message, Exception inner) : base(message, inner) { }
}
