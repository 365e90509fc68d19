namespace BfsReplica;

/// <summary>The replica cannot start or stop as it should; the message is for people.</summary>
public sealed class ReplicaStartException : Exception
{
    public ReplicaStartException() { }
    public ReplicaStartException(string message) : base(message) { }
    public ReplicaStartException(string message, Exception inner) : base(message, inner) { }
}
