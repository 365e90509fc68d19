namespace BfsSim.Mutants;

/// <summary>Quorums and what a vote counts for.</summary>
public static partial class MutantList
{
    private const string NormalFile = "BfsCore/Replica/Replica.Normal.cs";
    private const string CheckpointFile = "BfsCore/Replica/Replica.Checkpoint.cs";
    private const string LogEntryFile = "BfsCore/Replica/LogEntry.cs";

    private static readonly Mutant[] _agreement =
    [
        new("prepared-quorum", "a prepared certificate has 2f prepares of others (2f-1 suffice)", "§2.3.3", NormalFile,
            "private int PreparesNeeded(LogEntry entry) => (2 * _config.F) + ", "private int PreparesNeeded(LogEntry entry) => (2 * _config.F) - 1 + "),
        new("anew-quorum", "a second proposal for a number takes one prepare more", "§3.2.2", NormalFile,
            "(entry.Anew ? 1 : 0);", "(entry.Anew ? 0 : 0);")
        {
            Profile = SimProfiles.DoubterName,
            Seeds = 3000,
        },
        new("committed-quorum", "a committed certificate has 2f+1 commits (f+1 suffice)", "§2.3.3", NormalFile,
            "entry.Commits.Count(entry.Digest) >= _config.Quorum)", "entry.Commits.Count(entry.Digest) >= _config.WeakQuorum)"),
        new("primary-votes-twice", "the pre-prepare is the primary's vote; its prepares do not count", "§2.3.3", NormalFile,
            "if (vote.Replica == _view.Primary(_n) || !entry.Prepares.Add", "if (!entry.Prepares.Add"),
        new("first-vote-stands", "the first vote of a replica for a number stands", "§5.5", LogEntryFile,
            "        if (Has(replica))\n", "        if (Has(replica) && _digests[replica.Value] == digest)\n")
        {
            Survives = "votes count only for the one batch that was accepted; a liar may tell each replica something else anyway",
        },
        new("counts-messages", "equal votes are counted, not messages", "§2.3.3, pitfall 30", LogEntryFile,
            "count += _digests[BitOperations.TrailingZeroCount(rest)] == digest ? 1 : 0;", "count += digest == digest ? 1 : 0;"),
        new("one-pre-prepare", "one pre-prepare per view and number", "§2.3.3", NormalFile,
            "        if (entry.PrePrepared || (other && !anew))\n        {",
            "        if (other && entry.PrePrepared)\n        {\n            entry.DropPrePrepare(_pool);\n            entry.PrePrepared = other = false;\n            _incompleteBatches++;\n        }\n        if (entry.PrePrepared)\n        {"),
        new("water-marks", "votes and pre-prepares outside the water marks are refused", "§2.3.4", NormalFile,
            "if (seq > LowWaterMark && seq <= HighWaterMark)\n        {\n            return true;", "if (seq.Value > 0)\n        {\n            return true;"),
        new("view-of-votes", "votes of other views are refused", "§2.3.3", NormalFile,
            "if (vote.View != _view || !_viewActive)", "if (!_viewActive)"),
        new("stable-quorum", "a checkpoint is stable with 2f+1 votes (one suffices)", "§3.2.3", CheckpointFile,
            "if (_checkpoints.Count(seq, own) >= _config.Quorum)", "if (_checkpoints.Count(seq, own) >= 1)") { Stops = true },
        new("stable-weak", "a checkpoint is stable with 2f+1 votes (f+1 suffice)", "§3.2.3", CheckpointFile,
            "if (_checkpoints.Count(seq, own) >= _config.Quorum)", "if (_checkpoints.Count(seq, own) >= _config.WeakQuorum)") { Stops = true },
        new("committed-claims", "what committed is believed to f+1 others (to one)", "pitfall 13", "BfsCore/Replica/Replica.CatchUp.cs",
            "_claims.TryFind(seq, _config.WeakQuorum, out digest)", "_claims.TryFind(seq, 1, out digest)"),
    ];
}
