namespace BfsSim.Nodes;

/// <summary>What clients do: operations drawn from a seed, perhaps from what came back earlier.</summary>
public interface IWorkload
{
    /// <summary>How many more operations all clients together invoke.</summary>
    int Remaining { get; set; }

    /// <returns>The operation, and whether the client asks for the read-only optimisation.</returns>
    (byte[] Operation, bool ReadOnly) Next();

    void Completed(byte[] operation, ReadOnlySpan<byte> result);
}
