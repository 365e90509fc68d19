using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// CHECKPOINT messages above the stable one: the numbers inside the log, and for each replica the last few that it
/// announced wherever they are, which tell a replica that it has been left behind (§5.3.2).
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
    private readonly int _n;

    // Per replica as many announcements as there are checkpoints in a log, each at the place its number gives; a higher
    // number takes the place of a lower one. The last one alone is not enough: of four replicas that hold one checkpoint
    // two may have gone on to the next, and then neither has f+1 as a last one.
    private readonly (SeqNum Seq, Digest Digest)[] _announced;

    // In BFT-PK the signatures of these announcements; zeros where there is none.
    private readonly byte[] _signatures;

    public CheckpointVotes(ClusterConfig config)
    {
        _period = config.CheckpointPeriod;
        _logSize = config.LogSize;
        _rows = new Row[(config.LogSize / config.CheckpointPeriod) + 1];
        for (int i = 0; i < _rows.Length; i++)
        {
            _rows[i] = new Row(config.N);
        }
        _n = config.N;
        _announced = new (SeqNum, Digest)[config.N * _rows.Length];
        _signatures = new byte[config.Format.Signed ? _announced.Length * MessageFormat.SignatureBytes : 0];
    }

    /// <summary>Records a vote inside the log, or the last one below it.</summary>
    public void Add(SeqNum seq, ReplicaId replica, in Digest digest, SeqNum lowWaterMark, ReadOnlySpan<byte> signature = default)
    {
        int place = PlaceOf(replica.Value, seq);
        ref (SeqNum Seq, Digest Digest) last = ref _announced[place];
        if (seq > last.Seq)
        {
            last = (seq, digest);
            SignatureAt(place).Clear();
        }
        if (last == (seq, digest) && _signatures.Length > 0)
        {
            signature.CopyTo(SignatureAt(place));
        }
        if (seq > lowWaterMark + _logSize)
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
        foreach ((SeqNum Seq, Digest Digest) candidate in _announced)
        {
            if (candidate.Seq <= seq)
            {
                continue;
            }
            int support = 0;
            for (int i = 0; i < _n; i++)
            {
                support += Announced(new ReplicaId(i), candidate.Seq, candidate.Digest) ? 1 : 0;
            }
            if (support >= count)
            {
                (seq, digest) = candidate;
            }
        }
        return seq > above;
    }

    /// <summary>Whether this checkpoint is among the replica's last announcements.</summary>
    public bool Announced(ReplicaId replica, SeqNum seq, in Digest digest)
    {
        ref (SeqNum Seq, Digest Digest) last = ref _announced[PlaceOf(replica.Value, seq)];
        return last.Seq == seq && last.Digest == digest;
    }

    /// <summary>Writes the certificate of a checkpoint from signed announcements (§2.3.4); false when they do not suffice.</summary>
    public bool TryProve(SeqNum seq, in Digest digest, int votes, Span<byte> certificate)
    {
        int at = 0;
        for (int i = 0; i < _n && at < votes * Certificate.VoteBytes; i++)
        {
            ReadOnlySpan<byte> signature = SignatureAt(PlaceOf(i, seq));
            if (Announced(new ReplicaId(i), seq, digest) && signature.ContainsAnyExcept((byte)0))
            {
                at = Certificate.WriteVote(certificate, at, new ReplicaId(i), signature);
            }
        }
        return at == votes * Certificate.VoteBytes;
    }

    private Span<byte> SignatureAt(int place) =>
        _signatures.Length == 0 ? default : _signatures.AsSpan(place * MessageFormat.SignatureBytes, MessageFormat.SignatureBytes);

    /// <summary>Forgets what the others said (§4.3.1).</summary>
    public void KeepOnly(ReplicaId replica)
    {
        foreach (Row row in _rows)
        {
            row.Votes.KeepOnly(replica);
        }
        for (int i = 0; i < _announced.Length; i++)
        {
            _announced[i] = i / _rows.Length == replica.Value ? _announced[i] : default;
        }
    }

    private int PlaceOf(int replica, SeqNum seq) => (replica * _rows.Length) + (int)(seq.Value / _period % _rows.Length);

    private Row RowOf(SeqNum seq) => _rows[seq.Value / _period % _rows.Length];
}
