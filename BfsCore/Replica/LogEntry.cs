using System.Numerics;
using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>A request of a batch in the log.</summary>
public struct BatchItem
{
    /// <summary>The client's place in the cluster file; negative when it names no client.</summary>
    public int ClientIndex;
    public int Slot;
    public Digest Digest;

    /// <summary>Where the inlined REQUEST lies in the pre-prepare message; no bytes when it travels separately.</summary>
    public int InlineOffset;
    public int InlineBytes;

    /// <summary>The request that travelled separately; null while it is missing.</summary>
    public StoredRequest? Body;

    /// <summary>Condition 1 or 3 of §3.2.2 holds here.</summary>
    public bool Authentic;

    /// <summary>At the primary: the backups that said they cannot authenticate it, one bit each.</summary>
    public ulong DoubtedBy;

    public readonly bool Present => InlineBytes > 0 || Body is not null;
}

/// <summary>One kind of vote for one sequence number: the digest each replica named first in the present view.</summary>
/// <param name="signed">Their signatures are kept, for certificates that others believe (BFT-PK).</param>
public sealed class VoteSet(int n, bool signed = false)
{
    private readonly Digest[] _digests = new Digest[n];
    private readonly byte[] _signatures = new byte[signed ? n * MessageFormat.SignatureBytes : 0];
    private ulong _received;

    public bool Has(ReplicaId replica) => (_received & (1UL << replica.Value)) != 0;

    /// <summary>Records a vote; a replica's first one stands (§5.5: one message per replica, view and number).</summary>
    public bool Add(ReplicaId replica, in Digest digest, ReadOnlySpan<byte> signature = default)
    {
        if (Has(replica))
        {
            return false;
        }
        _received |= 1UL << replica.Value;
        _digests[replica.Value] = digest;
        if (_signatures.Length > 0)
        {
            Sign(replica, signature);
        }
        return true;
    }

    /// <summary>Keeps the signature of a vote that is known; none makes it known that there is none.</summary>
    public void Sign(ReplicaId replica, ReadOnlySpan<byte> signature)
    {
        Span<byte> place = _signatures.AsSpan(replica.Value * MessageFormat.SignatureBytes, MessageFormat.SignatureBytes);
        place.Clear();
        signature.CopyTo(place);
    }

    /// <summary>The signature of a replica's vote for this digest, if there is such a vote and it came with one.</summary>
    public bool TryGetSignature(ReplicaId replica, in Digest digest, out ReadOnlySpan<byte> signature)
    {
        signature = _signatures.AsSpan(replica.Value * MessageFormat.SignatureBytes, MessageFormat.SignatureBytes);
        return Has(replica) && _digests[replica.Value] == digest && signature.ContainsAnyExcept((byte)0);
    }

    /// <summary>How many replicas, other than those in the mask, voted for this digest.</summary>
    public int Count(in Digest digest, ulong except = 0)
    {
        int count = 0;
        for (ulong rest = _received & ~except; rest != 0; rest &= rest - 1)
        {
            count += _digests[BitOperations.TrailingZeroCount(rest)] == digest ? 1 : 0;
        }
        return count;
    }

    /// <summary>The digest that at least <paramref name="count"/> replicas voted for.</summary>
    public bool TryFind(int count, out Digest digest)
    {
        for (ulong rest = _received; rest != 0; rest &= rest - 1)
        {
            digest = _digests[BitOperations.TrailingZeroCount(rest)];
            if (Count(digest) >= count)
            {
                return true;
            }
        }
        digest = default;
        return false;
    }

    /// <summary>Whether <paramref name="quorum"/> replicas voted for one and the same digest that is not this one.</summary>
    public bool HasOther(in Digest digest, int quorum)
    {
        for (ulong rest = _received; rest != 0; rest &= rest - 1)
        {
            ref readonly Digest candidate = ref _digests[BitOperations.TrailingZeroCount(rest)];
            if (candidate != digest && Count(candidate) >= quorum)
            {
                return true;
            }
        }
        return false;
    }

    public bool Any => _received != 0;

    public void Clear() => _received = 0;

    /// <summary>Forgets the votes of all others.</summary>
    public void KeepOnly(ReplicaId replica) => _received &= 1UL << replica.Value;
}

/// <summary>
/// What the log holds for one sequence number (§2.3.3): the pre-prepare with its batch, votes, and how far the batch has
/// come. Entries are reused round-robin and keep their buffers.
/// </summary>
public sealed class LogEntry
{
    private byte[] _prePrepare = [];
    private int _prePrepareBytes;

    internal LogEntry(MessageFormat format)
    {
        int n = format.N;
        Prepares = new VoteSet(n, format.Signed);
        Commits = new VoteSet(n);
    }

    public SeqNum Seq { get; private set; }
    public View View { get; private set; }
    public bool HasPrePrepare { get; private set; }
    public Digest Digest { get; private set; }
    public long TimeNanos { get; private set; }
    public VoteSet Prepares { get; }
    public VoteSet Commits { get; }

    internal BatchItem[] Items { get; private set; } = [];
    public int ItemCount { get; private set; }

    /// <summary>This replica sent a prepare, or the pre-prepare as primary: the batch pre-prepared here.</summary>
    public bool PrePrepared { get; internal set; }

    /// <summary>The prepared certificate is complete; a commit has been sent.</summary>
    public bool Prepared { get; internal set; }

    /// <summary>In BFT-PK what proves that to others; made when it becomes true.</summary>
    internal byte[] Certificate { get; set; } = [];

    /// <summary>The committed certificate is complete.</summary>
    public bool Committed { get; internal set; }

    /// <summary>
    /// Proposed anew in the same view (<see cref="Messages.PrePrepareFlags.Anew"/>): takes 2f+1 prepares.
    /// </summary>
    public bool Anew { get; internal set; }

    /// <summary>The pre-prepare came under keys that are no longer in use: it must come again before it counts (§4.3.1).</summary>
    internal bool Unconfirmed { get; set; }

    /// <summary>At the primary: when enough backups had said that they cannot prepare it; zero for never.</summary>
    internal long DoubtedSinceMicros { get; set; }

    public ReadOnlySpan<byte> PrePrepareMessage => _prePrepare.AsSpan(0, _prePrepareBytes);

    internal Span<byte> PrePrepareBuffer(int bytes)
    {
        if (_prePrepare.Length < bytes)
        {
            _prePrepare = new byte[(int)BitOperations.RoundUpToPowerOf2((uint)bytes)];
        }
        return _prePrepare;
    }

    internal ReadOnlySpan<byte> InlineRequest(in BatchItem item) => _prePrepare.AsSpan(item.InlineOffset, item.InlineBytes);

    /// <summary>The operation and identity of an item that is present.</summary>
    internal bool TryGetRequest(in BatchItem item, MessageFormat format, out Request request) =>
        Request.TryParse(item.InlineBytes > 0 ? InlineRequest(item) : item.Body!.Message, format, out request);

    /// <summary>Takes the entry for another sequence number.</summary>
    internal void Reset(SeqNum seq, View view, RequestPool pool)
    {
        DropPrePrepare(pool);
        Seq = seq;
        View = view;
        Prepares.Clear();
        Commits.Clear();
        PrePrepared = Prepared = Committed = false;
    }

    internal void DropPrePrepare(RequestPool pool)
    {
        ReleaseBodies(pool);
        HasPrePrepare = Anew = Unconfirmed = false;
        DoubtedSinceMicros = 0;
        ItemCount = 0;
        _prePrepareBytes = 0;
    }

    internal void ReleaseBodies(RequestPool pool)
    {
        for (int i = 0; i < ItemCount; i++)
        {
            if (Items[i].Body is { } body)
            {
                pool.Release(body);
                Items[i].Body = null;
            }
        }
    }

    /// <summary>Sets the pre-prepare whose bytes are in the buffer; items are added next.</summary>
    internal void SetPrePrepare(int sizeBytes, in Digest digest, long timeNanos)
    {
        _prePrepareBytes = sizeBytes;
        Digest = digest;
        TimeNanos = timeNanos;
        HasPrePrepare = true;
    }

    internal ref BatchItem AddItem()
    {
        if (ItemCount == Items.Length)
        {
            BatchItem[] larger = new BatchItem[Math.Max(8, Items.Length * 2)];
            Items.CopyTo(larger, 0);
            Items = larger;
        }
        ref BatchItem item = ref Items[ItemCount++];
        item = default;
        return ref item;
    }

    /// <summary>The pre-prepare and the requests beside it, each with its length: what it takes to send the batch whole.</summary>
    internal long WholeBytes
    {
        get
        {
            long bytes = 4 + _prePrepareBytes;
            for (int i = 0; i < ItemCount; i++)
            {
                bytes += Items[i].Body is { } body ? 4 + body.SizeBytes : 0;
            }
            return bytes;
        }
    }

    /// <summary>All requests of the batch are here.</summary>
    internal bool Complete
    {
        get
        {
            for (int i = 0; i < ItemCount; i++)
            {
                if (!Items[i].Present)
                {
                    return false;
                }
            }
            return HasPrePrepare;
        }
    }

    /// <summary>All requests of the batch are authentic by conditions 1 or 3.</summary>
    internal bool ItemsAuthentic
    {
        get
        {
            for (int i = 0; i < ItemCount; i++)
            {
                if (!Items[i].Authentic)
                {
                    return false;
                }
            }
            return true;
        }
    }
}

/// <summary>
/// The message log: the numbers between the water marks, and, until their places are needed again, the L numbers below
/// the low one, so that a replica that is a little behind can still be sent what it lacks.
/// </summary>
public sealed class MessageLog
{
    private readonly LogEntry[] _entries;
    private readonly RequestPool _pool;

    public MessageLog(ClusterConfig config, RequestPool pool)
    {
        _pool = pool;
        _entries = new LogEntry[2 * config.LogSize];
        for (int i = 0; i < _entries.Length; i++)
        {
            _entries[i] = new LogEntry(config.Format);
        }
    }

    /// <summary>The entry of a number, or null when the log holds nothing for it.</summary>
    public LogEntry? Find(SeqNum seq)
    {
        if (seq.Value <= 0)
        {
            return null;
        }
        LogEntry entry = _entries[seq.Value % _entries.Length];
        return entry.Seq == seq ? entry : null;
    }

    /// <summary>The entry of a number between the water marks, emptied if its place held another number or view.</summary>
    public LogEntry GetOrAdd(SeqNum seq, View view)
    {
        LogEntry entry = _entries[seq.Value % _entries.Length];
        if (entry.Seq != seq || entry.View != view)
        {
            entry.Reset(seq, view, _pool);
        }
        return entry;
    }
}
