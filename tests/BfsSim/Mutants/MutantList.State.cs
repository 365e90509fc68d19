namespace BfsSim.Mutants;

/// <summary>State transfer, and what a replica knows after its process has ended.</summary>
public static partial class MutantList
{
    private const string TransferFile = "BfsCore/State/StateTransfer.cs";
    private const string LogFile = "BfsCore/Replica/Replica.Log.cs";

    private static readonly Mutant[] _state =
    [
        new("transfer-quorum", "a checkpoint is fetched when f+1 others name it alike (one)", "§5.3.2, pitfall 30", "BfsCore/Replica/Replica.StateTransfer.cs",
            "_checkpoints.TryFindAhead(beyond, _config.WeakQuorum, out SeqNum seq, out Digest digest)", "_checkpoints.TryFindAhead(beyond, 1, out SeqNum seq, out Digest digest)"),
        new("meta-data", "META-DATA is checked against the digest above it", "§5.3.2, pitfall 28", TransferFile,
            "if (PartitionTree.NodeDigest(item.Level, item.Index, message.Children) != item.Digest)", "if (message.Children.IsEmpty)") { Stops = true },
        new("data", "pages are checked against their digests", "§5.3.2, pitfall 28", TransferFile,
            "if (digests[position] != item.PageDigests![child])", "if (digests.IsEmpty)"),
        new("diverged", "a replica whose state differs from a quorum's fetches it anew", "§5.3.3", CheckpointFile,
            "            Diverged = true;\n", "            Diverged = Diverged || seq.Value < 0;\n")
        {
            Survives = "nothing in the simulator changes the memory of a running replica",
        },
    ];

    private static readonly Mutant[] _restarts =
    [
        new("log-pre-prepared", "what pre-prepared is written down before the prepare is sent", "pitfall 33", LogFile,
            "        ReadOnlySpan<byte> prePrepare = entry.PrePrepareMessage;\n        int size",
            "        ReadOnlySpan<byte> prePrepare = entry.PrePrepareMessage;\n        if (prePrepare.Length >= 0)\n        {\n            return;\n        }\n        int size"),
        new("log-prepared", "what prepared is written down before the commit is sent", "pitfall 33", NormalFile,
            "            LogPrepared(entry);\n", ""),
        new("log-left", "the VIEW-CHANGE is written down before it is sent", "pitfall 33", ViewChangeFile,
            "        LogLeft();\n", ""),
        new("log-entered", "the view that was entered is written down", "pitfall 33", EnterViewFile,
            "        LogEntered();\n", ""),
        new("log-committed", "what committed is written down before its checkpoint is announced", "pitfall 33", ExecutionFile,
            "        LogMark(VoteRecordKind.Committed, entry.Seq, entry.Digest);\n", "")
        {
            Survives = "what committed had prepared, which is in the log, and is learned again",
        },
        new("restart-p-q", "P and Q survive a restart", "pitfall 18", "BfsCore/Replica/Replica.Restoring.cs",
            "        _sets.Replace(ViewChangeFacts.From(own));\n", ""),
        new("floor", "nothing is voted for up to the last stable checkpoint that the log speaks of", "pitfall 33", "BfsCore/Replica/Replica.Restoring.cs",
            "private SeqNum LowWaterMark => Last(_stable, _floor);", "private SeqNum LowWaterMark => Last(_stable, default);"),
        new("image-needed", "a fetched state is saved before the log begins above it", "pitfalls 33, 35", "BfsCore/Replica/Replica.StateTransfer.cs",
            "        ImageNeeded = true;\n", "")
        {
            Survives = "takes an end between a fetch and the next image, where the fetched state is needed; not met within the seeds",
        },
    ];
}
