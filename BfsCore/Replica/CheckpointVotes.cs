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

    /// <summary>
    /// The highest checkpoint above a number whose digest at least <paramref name="count"/> replicas name alike (equal
    /// values are counted, not messages: pitfall 30).
    /// </summary>
    public bool TryFindAhead(SeqNum above, int count, out SeqNum seq, out Digest digest)
    {
        (seq, digest) = (above, default);
        for (int i = 0; i < _highest.Length; i++)
        {
            int support = 0;
            for (int j = 0; j < _highest.Length; j++)
            {
                support += _highest[j] == _highest[i] && _highestDigest[j] == _highestDigest[i] ? 1 : 0;
            }
            if (support >= count && _highest[i] > seq)
            {
                (seq, digest) = (_highest[i], _highestDigest[i]);
            }
        }
        return seq > above;
    }

    /// <summary>Whether a replica's last announcement is this checkpoint.</summary>
    public bool Announced(ReplicaId replica, SeqNum seq, in Digest digest) =>
        _highest[replica.Value] == seq && _highestDigest[replica.Value] == digest;

    private Row RowOf(SeqNum seq) => _rows[seq.Value / _period % _rows.Length];
}
