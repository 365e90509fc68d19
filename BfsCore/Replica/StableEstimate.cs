namespace BfsCore.Replication;

/// <summary>
/// The estimation of §4.3.2: from what the others say of their checkpoints and of what prepared there, a number that no
/// stable checkpoint this replica may once have had is above. A recovering replica adds its own values, as in the thesis; one that may have lost its log does not: its own are
/// what may be lost; so a liar can keep it silent, but not make it speak too early.
/// </summary>
public sealed class StableEstimate(int n, int f, ReplicaId self)
{
    private readonly SeqNum[] _checkpoint = new SeqNum[n];
    private readonly SeqNum[] _prepared = new SeqNum[n];
    private ulong _answered;
    private ulong _silent;
    private ulong _blank;

    /// <summary>Records an answer: the smallest checkpoint and the highest prepared number of each replica count.</summary>
    public void Add(ReplicaId replica, SeqNum checkpoint, SeqNum prepared, View view, bool silent)
    {
        int j = replica.Value;
        ulong bit = 1UL << j;
        bool first = (_answered & bit) == 0;
        _checkpoint[j] = first || checkpoint < _checkpoint[j] ? checkpoint : _checkpoint[j];
        _prepared[j] = first || prepared > _prepared[j] ? prepared : _prepared[j];
        _answered |= bit;
        _silent = silent ? _silent | bit : _silent & ~bit;
        _blank = checkpoint.Value == 0 && prepared.Value == 0 && view.Value == 0 ? _blank | bit : _blank & ~bit;
    }

    /// <summary>
    /// Whether nobody needs this replica's silence: 2f others are silent too, so that more than f would have forgotten their votes
    /// (a power failure of all, or the first start of a cluster), and no quorum is left to contradict; or nobody has done
    /// anything yet.
    /// </summary>
    public bool IsPointless =>
        System.Numerics.BitOperations.PopCount(_silent) >= 2 * f || System.Numerics.BitOperations.PopCount(_blank & ~(1UL << self.Value)) == n - 1;

    /// <summary>
    /// c_M: a checkpoint that one replica names, that 2f others do not exceed, and that f others have prepared up to.
    /// </summary>
    public bool TryFind(out SeqNum checkpoint)
    {
        checkpoint = default;
        bool found = false;
        for (int j = 0; j < n; j++)
        {
            if (Has(j) && Count(k => k != j && _checkpoint[k] <= _checkpoint[j]) >= 2 * f
                && Count(k => k != j && _prepared[k] >= _checkpoint[j]) >= f && (!found || _checkpoint[j] < checkpoint))
            {
                (checkpoint, found) = (_checkpoint[j], true);
            }
        }
        return found;
    }

    private bool Has(int replica) => (_answered & (1UL << replica)) != 0;

    private int Count(Func<int, bool> holds)
    {
        int count = 0;
        for (int k = 0; k < n; k++)
        {
            count += Has(k) && holds(k) ? 1 : 0;
        }
        return count;
    }
}
