namespace BfsCore.Replication;

/// <summary>
/// CHECKPOINT messages above the stable one: the numbers inside the log, and for each replica the highest number it
/// announced beyond, which tells a replica that it has been left behind (§5.3.2).
/// </summary>
public sealed class CheckpointVotes
{
    private sealed class Row(int n)
    {
        public SeqNum Seq;
        public VoteSet Votes { get; } = new(n);
    }

    private readonly Row[] _rows;
    private readonly int _period;
    private readonly int _logSize;
    private readonly SeqNum[] _highest;
    private readonly Digest[] _highestDigest;

    public CheckpointVotes(ClusterConfig config)
    {
        _period = config.CheckpointPeriod;
        _logSize = config.LogSize;
        _rows = new Row[(config.LogSize / config.CheckpointPeriod) + 1];
        for (int i = 0; i < _rows.Length; i++)
        {
            _rows[i] = new Row(config.N);
        }
        _highest = new SeqNum[config.N];
        _highestDigest = new Digest[config.N];
    }

    /// <summary>Records a vote above the stable checkpoint.</summary>
    public void Add(SeqNum seq, ReplicaId replica, in Digest digest, SeqNum stable)
    {
        if (seq > _highest[replica.Value])
        {
            _highest[replica.Value] = seq;
            _highestDigest[replica.Value] = digest;
        }
        if (seq > stable + _logSize)
        {
            return;
        }
        Row row = RowOf(seq);
        if (row.Seq != seq)
        {
            row.Seq = seq;
            row.Votes.Clear();
        }
        row.Votes.Add(replica, digest);
    }

    /// <summary>How many replicas announced this digest for this number.</summary>
    public int Count(SeqNum seq, in Digest digest) => RowOf(seq) is { } row && row.Seq == seq ? row.Votes.Count(digest) : 0;

    /// <summary>Whether a quorum announced one digest that is not ours.</summary>
    public bool AnotherHasQuorum(SeqNum seq, in Digest own, int quorum)
    {
        Row row = RowOf(seq);
        return row.Seq == seq && row.Votes.HasOther(own, quorum);
    }

    /// <summary>The highest number that at least <paramref name="count"/> replicas have announced or passed; null if none.</summary>
    public SeqNum? HighestAhead(int count)
    {
        SeqNum best = default;
        foreach (SeqNum candidate in _highest)
        {
            int support = 0;
            foreach (SeqNum other in _highest)
            {
                support += other >= candidate ? 1 : 0;
            }
            if (support >= count && candidate > best)
            {
                best = candidate;
            }
        }
        return best.Value > 0 ? best : null;
    }

    private Row RowOf(SeqNum seq) => _rows[seq.Value / _period % _rows.Length];
}
