using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>What a VIEW-CHANGE message says, kept: h, C, P and Q of §3.2.4, the sets in ascending order of number.</summary>
public sealed record ViewChangeFacts(ReplicaId Replica, SeqNum StableCheckpoint, IReadOnlyList<ViewChangeEntry> Checkpoints,
    IReadOnlyList<ViewChangeEntry> Prepared, IReadOnlyList<ViewChangeEntry> PrePrepared)
{
    public static ViewChangeFacts From(in ViewChange message)
    {
        var c = new ViewChangeEntry[message.CheckpointCount];
        var p = new ViewChangeEntry[message.PreparedCount];
        var q = new ViewChangeEntry[message.PrePreparedCount];
        for (int i = 0; i < c.Length; i++)
        {
            c[i] = message.Checkpoint(i);
        }
        for (int i = 0; i < p.Length; i++)
        {
            p[i] = message.Prepared(i);
        }
        for (int i = 0; i < q.Length; i++)
        {
            q[i] = message.PrePrepared(i);
        }
        return new ViewChangeFacts(message.Replica, message.StableCheckpoint, c, p, q);
    }

    /// <summary>The P entry for a number, if there is one.</summary>
    public bool TryGetPrepared(SeqNum seq, out ViewChangeEntry entry)
    {
        int at = FirstFrom(Prepared, seq);
        bool found = at < Prepared.Count && Prepared[at].Seq == seq;
        entry = found ? Prepared[at] : default;
        return found;
    }

    /// <summary>Whether Q names that batch, in that view or a later one.</summary>
    public bool SaysPrePrepared(in ViewChangeEntry batch)
    {
        for (int i = FirstFrom(PrePrepared, batch.Seq); i < PrePrepared.Count && PrePrepared[i].Seq == batch.Seq; i++)
        {
            if (PrePrepared[i].Digest == batch.Digest && PrePrepared[i].View >= batch.View)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Where the entries of a number begin, or would: the decision asks for each number of the log, several times.</summary>
    private static int FirstFrom(IReadOnlyList<ViewChangeEntry> entries, SeqNum seq)
    {
        (int low, int high) = (0, entries.Count);
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = entries[middle].Seq < seq ? (middle + 1, high) : (low, middle);
        }
        return low;
    }
}

/// <summary>
/// The decision procedure of Figure 3-3, as a pure function of the set S of view-changes. The primary computes the
/// decision; backups check that it is one that S supports.
/// </summary>
public static class NewViewDecision
{
    /// <summary>
    /// The checkpoint to start from: the highest that f+1 messages name, with 2f+1 messages (counted over all of S,
    /// pitfall 17) whose own h is not above it.
    /// </summary>
    public static bool TryChooseCheckpoint(IReadOnlyList<ViewChangeFacts> s, int f, out SeqNum seq, out Digest digest)
    {
        (seq, digest) = (new SeqNum(-1), default);
        foreach (ViewChangeFacts m in s)
        {
            foreach (ViewChangeEntry c in m.Checkpoints)
            {
                if (c.Seq > seq && Count(s, o => o.StableCheckpoint <= c.Seq) >= (2 * f) + 1
                    && Count(s, o => Names(o.Checkpoints, c)) >= f + 1)
                {
                    (seq, digest) = (c.Seq, c.Digest);
                }
            }
        }
        return seq.Value >= 0;
    }

    private static bool Names(IReadOnlyList<ViewChangeEntry> checkpoints, ViewChangeEntry wanted)
    {
        foreach (ViewChangeEntry c in checkpoints)
        {
            if (c.Seq == wanted.Seq && c.Digest == wanted.Digest)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>
    /// The highest number that some message's P names: above it everything is null and need not be said (pitfall 16). At most
    /// L above the checkpoint, as in the figure: a liar's own h may be anywhere, and nothing committed higher (f+1 correct
    /// replicas would have their h above the checkpoint, and it could not have been chosen).
    /// </summary>
    public static SeqNum HighestUseful(IReadOnlyList<ViewChangeFacts> s, SeqNum checkpoint, int logSize)
    {
        SeqNum highest = checkpoint;
        foreach (ViewChangeFacts m in s)
        {
            foreach (ViewChangeEntry p in m.Prepared)
            {
                highest = p.Seq > highest && p.Seq - checkpoint <= logSize ? p.Seq : highest;
            }
        }
        return highest;
    }

    /// <summary>
    /// What the primary selects for a number: a batch by condition A (the caller tells whether it has it, A3), else null by
    /// condition B; false while neither holds.
    /// </summary>
    public static bool TryChoose(IReadOnlyList<ViewChangeFacts> s, int f, SeqNum seq, Func<SeqNum, Digest, bool> hasBatch,
        out Digest digest)
    {
        foreach (ViewChangeFacts m in s)
        {
            if (m.TryGetPrepared(seq, out ViewChangeEntry p) && HoldsA(s, f, p) && hasBatch(seq, p.Digest))
            {
                digest = p.Digest;
                return true;
            }
        }
        digest = default;
        return HoldsB(s, f, seq);
    }

    /// <summary>The batch that conditions A1 and A2 allow for a number though it may be missing here.</summary>
    public static bool TryFindWanted(IReadOnlyList<ViewChangeFacts> s, int f, SeqNum seq, out Digest digest)
    {
        return TryChoose(s, f, seq, static (_, _) => true, out digest) && !digest.IsZero;
    }

    /// <summary>Whether S supports a decision: a batch by A1 and A2, or null by B.</summary>
    public static bool Supports(IReadOnlyList<ViewChangeFacts> s, int f, SeqNum seq, in Digest digest)
    {
        if (digest.IsZero)
        {
            return HoldsB(s, f, seq) || HoldsAWith(s, f, seq, digest);
        }
        return HoldsAWith(s, f, seq, digest);
    }

    private static bool HoldsAWith(IReadOnlyList<ViewChangeFacts> s, int f, SeqNum seq, Digest digest)
    {
        foreach (ViewChangeFacts m in s)
        {
            if (m.TryGetPrepared(seq, out ViewChangeEntry p) && p.Digest == digest && HoldsA(s, f, p))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>
    /// A1: 2f+1 messages do not contradict the choice: h below the number and nothing prepared there, or in an earlier view,
    /// or the same in the same view. A2: f+1 messages say that they pre-prepared it in that view or a later one.
    /// </summary>
    private static bool HoldsA(IReadOnlyList<ViewChangeFacts> s, int f, ViewChangeEntry p) =>
        Count(s, m => m.StableCheckpoint < p.Seq && (!m.TryGetPrepared(p.Seq, out ViewChangeEntry other)
            || other.View < p.View || (other.View == p.View && other.Digest == p.Digest))) >= (2 * f) + 1
        && Count(s, m => m.SaysPrePrepared(p)) >= f + 1;

    /// <summary>B: 2f+1 messages whose h is below the number have nothing prepared there.</summary>
    private static bool HoldsB(IReadOnlyList<ViewChangeFacts> s, int f, SeqNum seq) =>
        Count(s, m => m.StableCheckpoint < seq && !m.TryGetPrepared(seq, out _)) >= (2 * f) + 1;

    private static int Count(IReadOnlyList<ViewChangeFacts> s, Func<ViewChangeFacts, bool> holds)
    {
        int count = 0;
        foreach (ViewChangeFacts m in s)
        {
            count += holds(m) ? 1 : 0;
        }
        return count;
    }
}
