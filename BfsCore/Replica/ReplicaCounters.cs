namespace BfsCore.Replication;

/// <summary>Why a message was ignored.</summary>
public enum DropReason
{
    Malformed,
    UnknownTag,
    BadMac,
    StaleKey,
    UnknownClient,
    BadDigest,
    WrongView,
    OutsideWaterMarks,
    NotFromPrimary,
    Conflicting,
    BadTime,
    NotReadOnly,
    Duplicate,
    Stale,
    Unsigned,
    BadSignature,
    OverBudget,
    BadCertificate,
}

/// <summary>What a replica has done since it started. Tests assert on them, because the algorithm masks faults (§10 of the design).</summary>
public sealed class ReplicaCounters
{
    private readonly long[] _drops = new long[Enum.GetValues<DropReason>().Length];

    public long RequestsExecuted { get; internal set; }
    public long ReadOnlyExecuted { get; internal set; }

    /// <summary>Those of them in a state whose last batch had not committed.</summary>
    public long ReadTentatively { get; internal set; }

    /// <summary>Blocks of 4 KB in the results of read-only operations whose digests the tree had, and those that were hashed.</summary>
    public long ReadBlocksKnown { get; internal set; }
    public long ReadBlocksHashed { get; internal set; }
    public long BatchesExecuted { get; internal set; }
    public long StatusSent { get; internal set; }
    public long Retransmitted { get; internal set; }
    public long Rollbacks { get; internal set; }

    /// <summary>Signatures of requests that were checked: none in the normal case.</summary>
    public long SignaturesChecked { get; internal set; }

    /// <summary>How often a client was asked to sign.</summary>
    public long SignaturesDemanded { get; internal set; }
    public long ClientsSuspected { get; internal set; }

    /// <summary>Batches executed because f+1 others said that they had committed.</summary>
    public long Learned { get; internal set; }

    /// <summary>Batches that this replica, as primary, replaced within its view.</summary>
    public long ProposedAnew { get; internal set; }
    public long ViewChanges { get; internal set; }

    /// <summary>How often session keys were chosen: at the start, every T_k, and when another replica recovers.</summary>
    public long KeysChosen { get; internal set; }

    /// <summary>Recovery requests executed that had an effect.</summary>
    public long RecoveriesExecuted { get; internal set; }
    public long StateTransfers { get; internal set; }

    /// <summary>Pages fetched from others because they differed.</summary>
    public long PagesFetched { get; internal set; }

    /// <summary>Pages set to zeros because they are at the others, which need not be fetched for that.</summary>
    public long PagesCleared { get; internal set; }

    /// <summary>Pages in memory that were found not to be what their digests said.</summary>
    public long PagesDamaged { get; internal set; }

    /// <summary>Pages that were compared with their digests in the background, and how often that came to the end.</summary>
    public long PagesScrubbed { get; internal set; }
    public long ScrubPasses { get; internal set; }
    public long PagesSent { get; internal set; }

    public long Dropped(DropReason reason) => _drops[(int)reason];

    internal void Count(DropReason reason) => _drops[(int)reason]++;
}

/// <summary>Told what a replica does, for the simulator's checkers.</summary>
public interface IReplicaObserver
{
    /// <summary>The certificate that a batch prepared is complete here (§2.3.3).</summary>
    void OnPrepared(ReplicaId replica, View view, SeqNum seq, Digest batch) { }

    /// <summary>The state is again that of a checkpoint; what was executed after it is executed again or fetched.</summary>
    void OnRolledBack(ReplicaId replica, SeqNum checkpoint) { }

    void OnExecuted(ReplicaId replica, View view, SeqNum seq, Digest batch, bool tentative);

    void OnCommitted(ReplicaId replica, SeqNum seq, Digest batch);

    void OnCheckpoint(ReplicaId replica, SeqNum seq, Digest state, bool stable);
}
