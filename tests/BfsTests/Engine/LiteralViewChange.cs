using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>
/// Figures 3-2 and 3-3 of the thesis, clause by clause and as slow as they read: what the code of the engine is compared
/// with. Letters and conditions are the figures'.
/// </summary>
internal static class LiteralViewChange
{
    /// <summary>The part of Figure 3-3 that selects a checkpoint: every pair it may select (one, unless f+1 replicas lie).</summary>
    public static HashSet<(long N, Digest D)> Checkpoints(IReadOnlyList<ViewChangeFacts> s, int f)
    {
        var d = new HashSet<(long N, Digest D)>();
        foreach (ViewChangeEntry c in s.SelectMany(m => m.Checkpoints))
        {
            bool logIsStillThere = s.Count(m => m.StableCheckpoint.Value <= c.Seq.Value) >= (2 * f) + 1;
            bool isCorrect = s.Count(m => m.Checkpoints.Any(e => e.Seq == c.Seq && e.Digest == c.Digest)) >= f + 1;
            if (logIsStillThere && isCorrect)
            {
                d.Add((c.Seq.Value, c.Digest));
            }
        }
        return [.. d.Where(candidate => d.All(other => other.N <= candidate.N))];
    }

    /// <summary>The digests that conditions A1 and A2 allow for number n.</summary>
    public static HashSet<Digest> AllowedByA(IReadOnlyList<ViewChangeFacts> s, int f, long n)
    {
        var allowed = new HashSet<Digest>();
        foreach (ViewChangeFacts m in s)
        {
            foreach (ViewChangeEntry p in m.Prepared.Where(e => e.Seq.Value == n))
            {
                if (A1(s, f, n, p.Digest, p.View.Value) && A2(s, f, n, p.Digest, p.View.Value))
                {
                    allowed.Add(p.Digest);
                }
            }
        }
        return allowed;
    }

    private static bool A1(IReadOnlyList<ViewChangeFacts> s, int f, long n, Digest d, long v)
    {
        return s.Count(m => m.StableCheckpoint.Value < n && (HasNoEntry(m, n)
            || m.Prepared.Any(e => e.Seq.Value == n && (e.View.Value < v || (e.View.Value == v && e.Digest == d))))) >= (2 * f) + 1;
    }

    private static bool A2(IReadOnlyList<ViewChangeFacts> s, int f, long n, Digest d, long v)
    {
        return s.Count(m => m.PrePrepared.Any(e => e.Seq.Value == n && e.View.Value >= v && e.Digest == d)) >= f + 1;
    }

    /// <summary>Condition B: the null request is allowed for number n.</summary>
    public static bool B(IReadOnlyList<ViewChangeFacts> s, int f, long n) =>
        s.Count(m => m.StableCheckpoint.Value < n && HasNoEntry(m, n)) >= (2 * f) + 1;

    private static bool HasNoEntry(ViewChangeFacts m, long n) => !m.Prepared.Any(e => e.Seq.Value == n);

    /// <summary>What a primary that holds these batches may select for number n; nothing while it has to wait.</summary>
    public static HashSet<Digest> Selectable(IReadOnlyList<ViewChangeFacts> s, int f, long n, Func<Digest, bool> hasRequest)
    {
        HashSet<Digest> byA = [.. AllowedByA(s, f, n).Where(hasRequest)];
        return byA.Count > 0 ? byA : B(s, f, n) ? [default] : [];
    }

    /// <summary>Figure 3-2 for one number: its entries in P and Q from what the sets and the log say of it.</summary>
    /// <param name="log">Digest and view when it pre-prepared in the view that is left, and whether it prepared there too.</param>
    public static ((Digest D, long V)? P, List<(Digest D, long V)> Q) Sets(int f, (Digest D, long V)? pSet,
        List<(Digest D, long V)> qSet, (Digest D, long V, bool Prepared)? log)
    {
        (Digest D, long V)? p = log is { Prepared: true } prepared ? (prepared.D, prepared.V) : pSet;
        List<(Digest D, long V)> q = [.. qSet];
        if (log is { } entry)
        {
            if (q.Any(e => e.D == entry.D))
            {
                q.RemoveAll(e => e.D == entry.D);
            }
            else if (q.Count > f + 1)
            {
                q.Remove(q.MinBy(e => e.V));
            }
            q.Add((entry.D, entry.V));
        }
        return (p, q);
    }
}
