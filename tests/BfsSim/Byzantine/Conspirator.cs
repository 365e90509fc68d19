using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsSim.Byzantine;

/// <summary>
/// Lies with a plan. As primary it proposes another batch to one backup than to the rest, and votes to each for what it told
/// it, as a backup too. When the view changes it says that the one's batch prepared, which the one can half confirm; or
/// that nothing did, or the null batch. That is what conditions A1, A2 and B of §3.2.4 are for.
/// </summary>
public sealed class Conspirator : ISendStrategy
{
    private readonly FaultyReplica _self;
    private readonly int _group;
    private readonly int _lyingPerMille;
    private readonly int _claim;
    private readonly Dictionary<(long View, long Seq), Digest> _told = [];

    public Conspirator(FaultyReplica self)
    {
        _self = self;
        _group = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;
        _lyingPerMille = self.Random.Choose(50, 300, 1000);
        _claim = self.Random.Below(4);
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
        if (to == _group && (_told.ContainsKey(numbers) || _self.Random.PerMille(_lyingPerMille)) && Batch.TryRead(message, _self.N) is { } batch)
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
        var vote = new byte[Vote.SizeFor(_self.N)];
        Vote.Write(vote, tag, _self.N, new View(numbers.View), new SeqNum(numbers.Seq), Batch.DigestOf(prePrepare),
            new ReplicaId(_self.Address));
        send(_self.Seal(vote));
    }

    private byte[] Claim(in ViewChange honest)
    {
        ViewChangeFacts facts = ViewChangeFacts.From(honest);
        long last = honest.View.Value - 1;
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
        var message = new byte[ViewChange.SizeFor(facts.Checkpoints.Count + p.Count + q.Count, _self.N)];
        ViewChange.Write(message, _self.N, honest.View, honest.StableCheckpoint, honest.Replica, facts.Checkpoints, [.. p.Values], [.. q.Values]);
        return _self.Seal(message);
    }
}
