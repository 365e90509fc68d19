using System.Numerics;

namespace BfsCore.Client;

/// <summary>
/// Whom a client asks: who sends a result in full (§5.1.1), and who gets a read-only request first. Replicas that lately did not
/// answer in time, or wrongly, are passed over as long as others are enough: a dead or lying one would otherwise delay every
/// operation that counts on it. Each failure doubles the number of operations for which a replica is passed over; a result that comes
/// in time forgives them.
/// </summary>
/// <remarks>
/// Read-only requests go to a preferred quorum, 2f+1 replicas whose equal answers are a certificate (Abd-El-Malek et al., SOSP 2005;
/// Cowling et al., OSDI 2006): the others need not execute them. Now and then all are asked, and those who answer first are
/// preferred from then on.
/// </remarks>
internal sealed class ReplicaChoice(int n, int quorum)
{
    private const int FirstPenalty = 32;
    private const int MaxDoublings = 12;

    /// <summary>After so many read-only operations all replicas are asked: who was slow may have become fast.</summary>
    private const int ReadsPerQuorum = 64;

    private readonly long[] _avoidUntil = new long[n];
    private readonly int[] _failures = new int[n];
    private long _operations;
    private int _next;
    private ulong _preferred;
    private int _readsLeft;

    /// <summary>All replicas, one bit for each.</summary>
    public ulong All { get; } = ulong.MaxValue >> (64 - n);

    /// <summary>Who is asked to execute the next read-only request, one bit for each replica: a quorum, or all.</summary>
    public ulong NextReaders()
    {
        if (_readsLeft == 0)
        {
            return All;
        }
        _readsLeft--;
        return _preferred;
    }

    /// <summary>Who sends the result of the next operation: those who are asked in turn.</summary>
    /// <param name="asked">One bit for each replica that the request goes to first; at least one.</param>
    public ushort NextReplier(ulong asked)
    {
        _operations++;
        ulong usable = asked & ~Avoided();
        for (ulong among = usable != 0 ? usable : asked; ; _next = After(_next))
        {
            if ((among >> _next & 1) != 0)
            {
                int chosen = _next;
                _next = After(_next);
                return (ushort)chosen;
            }
        }
    }

    /// <summary>All were asked, and these came first with a certificate.</summary>
    public void AnsweredFirst(ulong replicas)
    {
        ulong usable = All & ~Avoided();
        ulong chosen = replicas & usable;
        for (ulong others = usable & ~chosen; others != 0 && BitOperations.PopCount(chosen) < quorum; others &= others - 1)
        {
            chosen |= others & (0 - others);
        }
        _preferred = chosen;
        _readsLeft = BitOperations.PopCount(chosen) >= quorum && quorum < n ? ReadsPerQuorum : 0;
    }

    /// <summary>Those preferred do not agree, or not in time: all are asked next.</summary>
    public void NotEnough() => _readsLeft = 0;

    public void Succeeded(int replica) => _failures[replica] = 0;

    /// <param name="replicas">One bit for each.</param>
    public void Failed(ulong replicas)
    {
        for (ulong rest = replicas; rest != 0; rest &= rest - 1)
        {
            int replica = BitOperations.TrailingZeroCount(rest);
            _avoidUntil[replica] = _operations + ((long)FirstPenalty << _failures[replica]);
            _failures[replica] = Math.Min(_failures[replica] + 1, MaxDoublings);
        }
    }

    private ulong Avoided()
    {
        ulong avoided = 0;
        for (int i = 0; i < n; i++)
        {
            avoided |= _avoidUntil[i] > _operations ? 1UL << i : 0;
        }
        return avoided;
    }

    private int After(int replica) => replica + 1 == n ? 0 : replica + 1;
}
