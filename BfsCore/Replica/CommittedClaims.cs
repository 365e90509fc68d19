namespace BfsCore.Replication;

/// <summary>
/// What others say has committed, for the numbers after the last that committed here. f+1 equal claims have one of a correct
/// replica among them, so the batch did commit.
/// </summary>
public sealed class CommittedClaims
{
    private sealed class Row(int n)
    {
        public SeqNum Seq;
        public VoteSet Votes { get; } = new(n);
    }

    private readonly Row[] _rows;

    /// <param name="window">How many numbers beyond the last committed one are remembered.</param>
    public CommittedClaims(int n, int window)
    {
        _rows = new Row[window];
        for (int i = 0; i < window; i++)
        {
            _rows[i] = new Row(n);
        }
    }

    /// <summary>Records a claim for a number in (committed, committed + window]; a replica's first one stands.</summary>
    public void Add(SeqNum seq, ReplicaId replica, in Digest digest, SeqNum committed)
    {
        if (seq <= committed || seq - committed > _rows.Length)
        {
            return;
        }
        Row row = _rows[seq.Value % _rows.Length];
        if (row.Seq != seq)
        {
            row.Seq = seq;
            row.Votes.Clear();
        }
        row.Votes.Add(replica, digest);
    }

    public void Clear()
    {
        foreach (Row row in _rows)
        {
            row.Votes.Clear();
        }
    }

    /// <summary>The digest that at least <paramref name="count"/> replicas name alike.</summary>
    public bool TryFind(SeqNum seq, int count, out Digest digest)
    {
        Row row = _rows[seq.Value % _rows.Length];
        digest = default;
        return row.Seq == seq && row.Votes.TryFind(count, out digest);
    }
}
