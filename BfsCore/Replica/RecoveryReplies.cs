namespace BfsCore.Replication;

/// <summary>Replies to a recovery request: where each replica executed it, and in which view it was then (§4.3.2).</summary>
public sealed class RecoveryReplies(int n)
{
    private readonly SeqNum[] _seq = new SeqNum[n];
    private readonly View[] _view = new View[n];
    private ulong _received;

    public void Clear() => _received = 0;

    /// <summary>A later reply of the same replica replaces its first: it may have rolled a tentative execution back.</summary>
    public void Add(ReplicaId replica, SeqNum seq, View view)
    {
        _received |= 1UL << replica.Value;
        (_seq[replica.Value], _view[replica.Value]) = (seq, view);
    }

    /// <summary>The number that so many replicas name alike.</summary>
    public bool TryFind(int count, out SeqNum seq)
    {
        for (int i = 0; i < n; i++)
        {
            seq = _seq[i];
            if (Has(i) && Count(seq, default) >= count)
            {
                return true;
            }
        }
        seq = default;
        return false;
    }

    /// <summary>How many of those who named the number, one left out, had reached the view.</summary>
    public int CountFrom(View view, ReplicaId except, SeqNum seq) => Count(seq, view) - (Counts(except.Value, seq, view) ? 1 : 0);

    /// <summary>The median of the views of those who named the number; of an even count the lower one.</summary>
    public View Median(SeqNum seq)
    {
        View[] views = [.. Enumerable.Range(0, n).Where(i => Counts(i, seq, default)).Select(i => _view[i]).Order()];
        return views[(views.Length - 1) / 2];
    }

    private bool Has(int replica) => (_received & (1UL << replica)) != 0;

    private bool Counts(int replica, SeqNum seq, View from) => Has(replica) && _seq[replica] == seq && _view[replica] >= from;

    private int Count(SeqNum seq, View from)
    {
        int count = 0;
        for (int i = 0; i < n; i++)
        {
            count += Counts(i, seq, from) ? 1 : 0;
        }
        return count;
    }
}
