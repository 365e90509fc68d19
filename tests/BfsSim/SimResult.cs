using BfsCore;

namespace BfsSim;

/// <summary>What a run that violated nothing was like.</summary>
public sealed record SimResult
{
    public const string OperationsName = "client operations";

    public required long Seed { get; init; }
    public required ulong TraceHash { get; init; }

    /// <summary>Operations that completed.</summary>
    public required long Operations { get; init; }
    public required long Messages { get; init; }
    public required long Lost { get; init; }
    public required long VirtualMicros { get; init; }
    public required long HealedMicros { get; init; }
    public required SeqNum StableCheckpoint { get; init; }
    public required long TentativeExecutions { get; init; }
    public required long ReadOnlyExecutions { get; init; }
    public required long ClientRetransmissions { get; init; }

    /// <summary>States that replicas fetched from others.</summary>
    public required long StateTransfers { get; init; }

    /// <summary>What happened, by name: faults, strategies, lies.</summary>
    public required Tally Tally { get; init; }

    public override string ToString() =>
        $"seed {Seed}: {Operations} operations, {Messages} messages ({Lost} lost), {VirtualMicros / 1000} ms of virtual time, "
        + $"stable {StableCheckpoint}, {TentativeExecutions} tentative and {ReadOnlyExecutions} read-only executions, "
        + $"{ClientRetransmissions} client retransmissions, {StateTransfers} state transfers, trace {TraceHash:x16}";
}
