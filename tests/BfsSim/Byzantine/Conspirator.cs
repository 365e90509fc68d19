using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsSim.Byzantine;

/// <summary>
/// Lies with a plan. As primary it proposes another batch to one backup than to the rest, and votes to each for what it told
/// it, as a backup too. When the view changes it says that the one's batch prepared, which the one can half confirm; or
/// that nothing did, or the null batch; or it says what it said some view changes ago, as if it had fallen behind; or it names
/// a checkpoint that there is not. That is what the choice of a checkpoint and conditions A1, A2 and B of §3.2.4 are for.
/// </summary>
public sealed class Conspirator : ISendStrategy
{
    private const int Behind = 4, Ahead = 5;
    private const int Remembered = 8;

    private readonly FaultyReplica _self;
    private readonly int _group;
    private readonly int _lyingPerMille;
    private readonly int _claim;

    // The same to all, or nobody would vouch for it.
    private readonly Digest _invented;
    private readonly int _back;
    private readonly Dictionary<(long View, long Seq), Digest> _told = [];
    private readonly Queue<ViewChangeFacts> _said = new();

    public Conspirator(FaultyReplica self)
    {
        _self = self;
        _group = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;
        _lyingPerMille = self.Random.Choose(50, 300, 1000);
        _invented = self.RandomDigest();
        _back = self.Random.Choose(1, 1, 1, 2);
        _claim = self.Random.Choose(0, 0, 1, 1, 2, 3, Behind, Ahead);
    }

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        switch (FaultyReplica.TagOf(message))
        {
            case MessageTag.PrePrepare:
                Propose(to, message, send);
                break;
            case MessageTag.Commit or MessageTag.Committed when to == _group && _told.TryGetValue(Batch.NumbersOf(message), out Digest told):
                send(Batch.WithDigest(_self, (byte[])message.Clone(), told));
                break;
            case MessageTag.ViewChange when ViewChange.TryParse(message, _self.Config, out ViewChange honest) && honest.Replica.Value == _self.Address:
                _self.Count(this);
                send(Claim(honest));
                break;
            default:
                send(message);
                break;
        }
    }

    /// <summary>To the one another batch; to all, as if it were a backup, a prepare.</summary>
    private void Propose(int to, byte[] message, Action<byte[]> send)
    {
        (long View, long Seq) numbers = Batch.NumbersOf(message);
        if (to == _group && (_told.ContainsKey(numbers) || _self.Random.PerMille(_lyingPerMille)) && Batch.TryRead(message, _self.Format) is { } batch)
        {
            batch.TimeNanos++;
            message = batch.Write(_self);
            _told[numbers] = Batch.DigestOf(message);
            _self.Count(this);
        }
        send(message);
        if (to == _group)
        {
            // It commits first, so that the one may commit alone.
            SendVote(MessageTag.Commit, numbers, message, send);
        }
        SendVote(MessageTag.Prepare, numbers, message, send);
    }

    private void SendVote(MessageTag tag, (long View, long Seq) numbers, byte[] prePrepare, Action<byte[]> send)
    {
        var vote = new byte[Vote.SizeFor(_self.Format)];
        Vote.Write(vote, tag, _self.Format, new View(numbers.View), new SeqNum(numbers.Seq), Batch.DigestOf(prePrepare),
            new ReplicaId(_self.Address));
        send(_self.Seal(vote));
    }

    private byte[] Claim(in ViewChange honest)
    {
        ViewChangeFacts facts = ViewChangeFacts.From(honest);
        long last = honest.View.Value - 1;
        if (_claim == Behind)
        {
            return ClaimFewer(honest, facts);
        }
        var p = new SortedDictionary<long, ViewChangeEntry>();
        var q = new SortedDictionary<long, ViewChangeEntry>();
        foreach (((long view, long number), Digest told) in _told)
        {
            var seq = new SeqNum(number);
            if (_claim < 2 && seq > honest.StableCheckpoint && seq <= honest.StableCheckpoint + _self.Config.LogSize && view <= last)
            {
                // In its own view, or in one so late that nothing else that prepared is later.
                p[number] = q[number] = new ViewChangeEntry(seq, told, new View(_claim == 0 ? view : last));
            }
        }
        foreach (ViewChangeEntry e in facts.Prepared)
        {
            if (_claim == 2)
            {
                p[e.Seq.Value] = q[e.Seq.Value] = new ViewChangeEntry(e.Seq, default, new View(last));
            }
        }
        IReadOnlyList<ViewChangeEntry> checkpoints = facts.Checkpoints;
        if (_claim == Ahead && checkpoints.Count > 0)
        {
            SeqNum next = checkpoints[^1].Seq + _self.Config.CheckpointPeriod;
            checkpoints = next <= honest.StableCheckpoint + _self.Config.LogSize
                ? [.. checkpoints, new ViewChangeEntry(next, _invented, default)] : checkpoints;
        }
        return Write(honest, honest.StableCheckpoint, checkpoints, [.. p.Values], [.. q.Values]);
    }

    /// <summary>What was so some view changes ago, and nothing prepared since.</summary>
    private byte[] ClaimFewer(in ViewChange honest, ViewChangeFacts facts)
    {
        if (_said.Count == 0 || _said.Last().StableCheckpoint < facts.StableCheckpoint)
        {
            _said.Enqueue(facts);
        }
        if (_said.Count > Remembered)
        {
            _said.Dequeue();
        }
        // Mostly one checkpoint behind, where correct replicas may be too.
        ViewChangeFacts then = _said.ElementAt(Math.Max(0, _said.Count - 1 - _back));
        return Write(honest, then.StableCheckpoint, [.. then.Checkpoints.Where(c => c.Seq == then.StableCheckpoint)], [], []);
    }

    private byte[] Write(in ViewChange honest, SeqNum stable, IReadOnlyList<ViewChangeEntry> checkpoints,
        IReadOnlyList<ViewChangeEntry> p, IReadOnlyList<ViewChangeEntry> q)
    {
        _self.ViewChanges.Learn(honest);
        return _self.ViewChanges.Write(honest.View, stable, honest.Replica, checkpoints, p, q);
    }
}
