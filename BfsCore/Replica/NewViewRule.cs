namespace BfsCore.Replication;

/// <summary>How a new view follows from the set S of view-changes that it rests on: always a pure function of S.</summary>
public interface INewViewRule
{
    /// <summary>The checkpoint to start from.</summary>
    bool TryChooseCheckpoint(IReadOnlyList<ViewChangeFacts> s, out SeqNum seq, out Digest digest);

    /// <summary>What the primary selects for a number, when it has the batch; false while it cannot.</summary>
    bool TryChoose(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, Func<SeqNum, Digest, bool> hasBatch, out Digest digest);

    /// <summary>The batch that it would select, though it may be missing here.</summary>
    bool TryFindWanted(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, out Digest digest);

    /// <summary>Whether S supports a decision.</summary>
    bool Supports(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, in Digest digest);
}

/// <summary>View-changes under MACs, which say what their senders claim: Figure 3-3.</summary>
public sealed class ClaimsRule(int f) : INewViewRule
{
    public bool TryChooseCheckpoint(IReadOnlyList<ViewChangeFacts> s, out SeqNum seq, out Digest digest) =>
        NewViewDecision.TryChooseCheckpoint(s, f, out seq, out digest);

    public bool TryChoose(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, Func<SeqNum, Digest, bool> hasBatch, out Digest digest) =>
        NewViewDecision.TryChoose(s, f, seq, hasBatch, out digest);

    public bool TryFindWanted(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, out Digest digest) =>
        NewViewDecision.TryFindWanted(s, f, seq, out digest);

    public bool Supports(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, in Digest digest) => NewViewDecision.Supports(s, f, seq, digest);
}

/// <summary>
/// View-changes of BFT-PK, whose checkpoints and prepared batches are proven (§2.3.5): the latest checkpoint; for each number above
/// it the batch that prepared in the highest view, or null.
/// </summary>
public sealed class CertificatesRule : INewViewRule
{
    public bool TryChooseCheckpoint(IReadOnlyList<ViewChangeFacts> s, out SeqNum seq, out Digest digest)
    {
        (seq, digest) = (default, default);
        foreach (ViewChangeFacts m in s)
        {
            if (m.StableCheckpoint > seq)
            {
                (seq, digest) = (m.StableCheckpoint, m.Checkpoints[0].Digest);
            }
        }
        return true;
    }

    public bool TryChoose(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, Func<SeqNum, Digest, bool> hasBatch, out Digest digest)
    {
        digest = Latest(s, seq);
        return digest.IsZero || hasBatch(seq, digest);
    }

    public bool TryFindWanted(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, out Digest digest)
    {
        digest = Latest(s, seq);
        return !digest.IsZero;
    }

    public bool Supports(IReadOnlyList<ViewChangeFacts> s, SeqNum seq, in Digest digest) => Latest(s, seq) == digest;

    /// <summary>Two certificates of one number and view name one batch, so that the order of S does not matter.</summary>
    private static Digest Latest(IReadOnlyList<ViewChangeFacts> s, SeqNum seq)
    {
        Digest digest = default;
        long view = -1;
        foreach (ViewChangeFacts m in s)
        {
            if (m.TryGetPrepared(seq, out Messages.ViewChangeEntry p) && p.View.Value > view)
            {
                (view, digest) = (p.View.Value, p.Digest);
            }
        }
        return digest;
    }
}
