using System.Numerics;
using BfsCore;
using BfsCore.Replication;
using BfsSim.Nodes;

namespace BfsSim.Checkers;

/// <summary>
/// Safety among correct replicas (§2.2), checked at every step: batches that prepared in one view at one number are the
/// same; what is executed for good prepared at f+1 of them in one view, and nothing else prepares in a later one; batches executed at one number are the same, tentative
/// ones within a view; each replica executes and commits number after number, unless it fetched a state or went back to
/// one; checkpoints of committed states are equal. Does not check what batches contain; the clients' histories do.
/// </summary>
public sealed class AgreementChecker : IReplicaObserver, IRestartObserver
{
    private readonly int _checkpointPeriod;
    private readonly bool[] _faulty;
    private readonly SeqNum[] _executed;
    private readonly SeqNum[] _committed;
    private readonly SeqNum[] _stable;
    private readonly Dictionary<SeqNum, Digest> _batches = [];
    private readonly Dictionary<(View, SeqNum), Digest> _prepared = [];
    private readonly Dictionary<SeqNum, SortedDictionary<long, ulong>> _preparedAt = [];
    private readonly Dictionary<(View, SeqNum), Digest> _tentative = [];
    private readonly Dictionary<SeqNum, Digest> _checkpoints = [];
    private readonly Dictionary<SeqNum, Digest>[] _ownCheckpoints;

    public AgreementChecker(int replicas, int checkpointPeriod)
    {
        _checkpointPeriod = checkpointPeriod;
        _faulty = new bool[replicas];
        _executed = new SeqNum[replicas];
        _committed = new SeqNum[replicas];
        _stable = new SeqNum[replicas];
        _ownCheckpoints = new Dictionary<SeqNum, Digest>[replicas];
        for (int i = 0; i < replicas; i++)
        {
            _ownCheckpoints[i] = [];
        }
    }

    /// <summary>Batches executed before they had committed.</summary>
    public long TentativeExecutions { get; private set; }

    /// <summary>States that replicas fetched from others and went on from.</summary>
    public long StateTransfers { get; private set; }

    /// <summary>Times that a replica undid what it had executed.</summary>
    public long Rollbacks { get; private set; }

    /// <summary>Told of every step, for debugging; null when nobody looks.</summary>
    public Action<string>? Trace { get; set; }

    /// <summary>Told of every batch that a correct replica knows to have committed.</summary>
    public Action<ReplicaId>? Committed { get; set; }

    /// <summary>The highest stable checkpoint of any correct replica.</summary>
    public SeqNum HighestStable { get; private set; }

    /// <summary>Nothing that this replica does counts any more.</summary>
    public void MarkFaulty(ReplicaId replica)
    {
        _faulty[replica.Value] = true;
        // What only it and f others had prepared cannot have committed with the help of faulty ones: those before it have recovered,
        // so that all they can have voted for is stable (§4.3.2).
        foreach (SortedDictionary<long, ulong> views in _preparedAt.Values)
        {
            foreach (long view in views.Keys.ToList())
            {
                views[view] &= ~(1UL << replica.Value);
            }
        }
    }

    /// <summary>It has recovered (§4.3.2): from what it is now on, everything counts again.</summary>
    public void MarkCorrect(ReplicaId replica, ReplicaNode node)
    {
        int i = replica.Value;
        _faulty[i] = false;
        (_executed[i], _committed[i], _stable[i]) = (node.Replica.LastExecuted, node.Replica.LastCommitted, node.Replica.StableCheckpoint);
        _ownCheckpoints[i].Clear();
        for (int k = 0; k < node.State.CheckpointCount; k++)
        {
            SeqNum seq = node.State.CheckpointAt(k);
            _ownCheckpoints[i][seq] = node.State.CheckpointDigest(seq);
            if (seq <= _committed[i] && seq.Value > 0)
            {
                Agree(_checkpoints, seq, _ownCheckpoints[i][seq], replica, "checkpoint after a recovery");
            }
        }
    }

    public bool IsFaulty(ReplicaId replica) => _faulty[replica.Value];

    public void OnPrepared(ReplicaId replica, View view, SeqNum seq, Digest batch)
    {
        Trace?.Invoke($"{replica} prepared {seq} in {view}: {batch}");
        if (_faulty[replica.Value])
        {
            return;
        }
        Agree(_prepared, (view, seq), batch, replica, "prepared batch");
        if (!_preparedAt.TryGetValue(seq, out SortedDictionary<long, ulong>? views))
        {
            _preparedAt[seq] = views = [];
        }
        views[view.Value] = views.GetValueOrDefault(view.Value) | (1UL << replica.Value);
        RequireLockedIn(seq);
    }

    /// <summary>
    /// Where f+1 correct replicas prepared a batch it may have committed (§2.3.3), and every later view must choose it. In an
    /// earlier view another batch may still prepare, at fewer.
    /// </summary>
    private void RequireLockedIn(SeqNum seq)
    {
        Digest? locked = null;
        foreach ((long view, ulong who) in _preparedAt[seq])
        {
            Digest batch = _prepared[(new View(view), seq)];
            SimulationException.Require(locked is null || locked == batch,
                $"in v{view} {seq} prepared as {batch}, though in an earlier view f+1 correct replicas prepared {locked}");
            locked = BitOperations.PopCount(who) > MaxFaulty ? batch : locked;
        }
    }

    private void RequirePrepared(ReplicaId replica, SeqNum seq, Digest batch)
    {
        bool found = _preparedAt.TryGetValue(seq, out SortedDictionary<long, ulong>? views)
            && views.Any(v => _prepared[(new View(v.Key), seq)] == batch && BitOperations.PopCount(v.Value) > MaxFaulty);
        SimulationException.Require(found, $"{replica} takes {seq} for committed as {batch}, which f+1 correct replicas prepared in no view");
    }

    private int MaxFaulty => (_faulty.Length - 1) / 3;

    public void OnRolledBack(ReplicaId replica, SeqNum checkpoint)
    {
        Trace?.Invoke($"{replica} goes back to {checkpoint}");
        if (_faulty[replica.Value])
        {
            return;
        }
        SimulationException.Require(checkpoint >= _stable[replica.Value] && checkpoint <= _executed[replica.Value],
            $"{replica} went back to {checkpoint} from {_executed[replica.Value]}, stable {_stable[replica.Value]}");
        _executed[replica.Value] = _committed[replica.Value] = checkpoint;
        Rollbacks++;
    }

    public void OnRestarted(ReplicaId replica, SeqNum image)
    {
        Trace?.Invoke($"{replica} starts again from {image}");
        _executed[replica.Value] = _committed[replica.Value] = _stable[replica.Value] = image;
        _ownCheckpoints[replica.Value].Clear();
    }

    public void OnExecuted(ReplicaId replica, View view, SeqNum seq, Digest batch, bool tentative)
    {
        Trace?.Invoke($"{replica} executed {seq} in {view}{(tentative ? " tentatively" : "")}: {batch}");
        if (_faulty[replica.Value])
        {
            return;
        }
        SimulationException.Require(seq == _executed[replica.Value].Next,
            $"{replica} executed {seq} after {_executed[replica.Value]}, committed {_committed[replica.Value]}");
        _executed[replica.Value] = seq;
        if (tentative)
        {
            TentativeExecutions++;
            Agree(_tentative, (view, seq), batch, replica, "tentatively executed batch");
        }
        else
        {
            Agree(_batches, seq, batch, replica, "executed batch");
            RequirePrepared(replica, seq, batch);
        }
    }

    public void OnCommitted(ReplicaId replica, SeqNum seq, Digest batch)
    {
        Trace?.Invoke($"{replica} knows that {seq} committed: {batch}");
        if (_faulty[replica.Value])
        {
            return;
        }
        SimulationException.Require(seq == _committed[replica.Value].Next && seq <= _executed[replica.Value],
            $"{replica} committed {seq} after {_committed[replica.Value]}, executed {_executed[replica.Value]}");
        _committed[replica.Value] = seq;
        Agree(_batches, seq, batch, replica, "committed batch");
        RequirePrepared(replica, seq, batch);
        Committed?.Invoke(replica);
        if (seq.Value % _checkpointPeriod == 0)
        {
            SimulationException.Require(_ownCheckpoints[replica.Value].TryGetValue(seq, out Digest own),
                $"{replica} took no checkpoint at {seq}");
            Agree(_checkpoints, seq, own, replica, "checkpoint");
        }
    }

    public void OnCheckpoint(ReplicaId replica, SeqNum seq, Digest state, bool stable)
    {
        Trace?.Invoke($"{replica} {(stable ? "made stable" : "took")} checkpoint {seq}: {state}");
        if (_faulty[replica.Value])
        {
            return;
        }
        if (!stable)
        {
            // Of a tentative state perhaps: counts once the batch commits.
            _ownCheckpoints[replica.Value][seq] = state;
            return;
        }
        SimulationException.Require(seq > _stable[replica.Value], $"{replica} made {seq} stable after {_stable[replica.Value]}");
        _stable[replica.Value] = seq;
        if (seq > _committed[replica.Value])
        {
            // Fetched, not executed (§5.3.2).
            StateTransfers++;
            _executed[replica.Value] = _committed[replica.Value] = seq;
        }
        HighestStable = seq > HighestStable ? seq : HighestStable;
        Agree(_checkpoints, seq, state, replica, "stable checkpoint");
    }

    private static void Agree<TKey>(Dictionary<TKey, Digest> known, TKey key, Digest digest, ReplicaId replica, string what)
        where TKey : notnull
    {
        if (!known.TryAdd(key, digest))
        {
            SimulationException.Require(known[key] == digest,
                $"{what} {key} of {replica} is {digest}, another correct replica has {known[key]}");
        }
    }
}
