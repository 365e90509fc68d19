using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsSim.Byzantine;

/// <summary>
/// Lies in its VIEW-CHANGE about what prepared and pre-prepared (claims what was not, omits what was, in false views), and
/// about checkpoints; to each replica something else.
/// </summary>
public sealed class ViewChangeLiar(FaultyReplica self) : ISendStrategy
{
    private readonly bool _sameToAll = self.Random.PerMille(500);
    private byte[]? _lastTrue;
    private byte[] _lastLie = [];

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (to < self.N && ViewChange.TryParse(message, self.Config, out ViewChange honest)
            && honest.Replica.Value == self.Address)
        {
            self.Count(this);
            if (!_sameToAll || !ReferenceEquals(_lastTrue, message))
            {
                (_lastTrue, _lastLie) = (message, Lie(honest));
            }
            message = _lastLie;
        }
        send(message);
    }

    private byte[] Lie(in ViewChange honest)
    {
        self.ViewChanges.Learn(honest);
        ViewChangeFacts facts = ViewChangeFacts.From(honest);
        SeqNum stable = facts.StableCheckpoint;
        List<ViewChangeEntry> c = [.. facts.Checkpoints], p = [.. facts.Prepared], q = [.. facts.PrePrepared];
        for (int i = self.Random.Between(1, 3); i > 0; i--)
        {
            Change(honest.View, ref stable, c, p, q);
        }
        c.Sort(BySeq);
        p.Sort(BySeq);
        q.Sort(BySeq);
        return self.ViewChanges.Write(honest.View, stable, honest.Replica, c, p, q);
    }

    private static int BySeq(ViewChangeEntry a, ViewChangeEntry b) => a.Seq.CompareTo(b.Seq);

    private void Change(View view, ref SeqNum stable, List<ViewChangeEntry> c, List<ViewChangeEntry> p, List<ViewChangeEntry> q)
    {
        switch (self.Random.Below(9))
        {
            case 0:
                p.Clear();
                break;
            case 1:
                q.Clear();
                break;
            case 2:
                Replace(p, e => e with { Digest = self.RandomDigest() });
                break;
            case 3:
                Replace(p, e => e with { View = new View(Math.Max(view.Value - 1, 0)) });
                break;
            case 4:
                Replace(q, e => e with { View = new View(self.Random.Below(view.Value)) });
                break;
            case 5:
                // Prepared and pre-prepared, what nobody has ever seen.
                ViewChangeEntry made = new(stable + 1 + self.Random.Below(self.Config.LogSize), self.RandomDigest(),
                    new View(self.Random.Below(view.Value)));
                p.RemoveAll(e => e.Seq == made.Seq);
                p.Add(made);
                q.Add(made);
                break;
            case 6:
                Replace(c, e => e with { Digest = self.RandomDigest() });
                break;
            case 7:
                stable += self.Config.CheckpointPeriod * self.Random.Choose(1, 2, 1000);
                c.Clear();
                c.Add(new ViewChangeEntry(stable, self.RandomDigest(), default));
                p.Clear();
                q.Clear();
                break;
            default:
                c.Clear();
                break;
        }
    }

    private void Replace(List<ViewChangeEntry> entries, Func<ViewChangeEntry, ViewChangeEntry> change)
    {
        if (entries.Count > 0)
        {
            int at = self.Random.Below(entries.Count);
            entries[at] = change(entries[at]);
        }
    }
}

/// <summary>Acknowledges view-changes under a wrong identity, and some that were never sent.</summary>
public sealed class FalseAcknowledger(FaultyReplica self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (ViewChangeAck.TryParse(message, self.Format, out ViewChangeAck ack))
        {
            self.Count(this);
            send(Ack(ack.View, self.Random.PerMille(500) ? ack.Subject : Other()));
        }
        else if (FaultyReplica.TagOf(message) == MessageTag.ViewChange)
        {
            self.Count(this);
            send(Ack(new View(Math.Max(1, Batch.NumbersOf(message).View)), Other()));
        }
        send(message);
    }

    private ReplicaId Other() => new((self.Address + 1 + self.Random.Below(self.N - 1)) % self.N);

    private byte[] Ack(View view, ReplicaId subject)
    {
        var message = new byte[ViewChangeAck.SizeFor(self.Format)];
        ViewChangeAck.Write(message, self.Format, view, new ReplicaId(self.Address), subject, self.RandomDigest());
        return self.Seal(message);
    }
}

/// <summary>As the primary of a new view, decides what its view-changes do not support.</summary>
public sealed class NewViewLiar(FaultyReplica self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (NewView.TryParse(message, self.Config, out NewView honest) && self.Random.PerMille(800))
        {
            self.Count(this);
            message = Lie(honest);
        }
        send(message);
    }

    private byte[] Lie(in NewView honest)
    {
        List<ViewChangeEntry> v = [], x = [];
        for (int i = 0; i < honest.ViewChangeCount; i++)
        {
            (ReplicaId replica, Digest identity) = honest.ViewChangeAt(i);
            v.Add(new ViewChangeEntry(new SeqNum(replica.Value), identity, default));
        }
        SeqNum checkpoint = honest.Checkpoint;
        Digest state = honest.CheckpointDigest;
        for (int i = 0; i < honest.BatchCount; i++)
        {
            x.Add(new ViewChangeEntry(checkpoint + 1 + i, honest.BatchAt(i), default));
        }
        switch (self.Random.Below(7))
        {
            case 0:
                v.RemoveAt(self.Random.Below(v.Count));
                break;
            case 1:
                v[self.Random.Below(v.Count)] = v[0] with { Digest = self.RandomDigest() };
                break;
            case 2 when x.Count > 0:
                int at = self.Random.Below(x.Count);
                x[at] = x[at] with { Digest = self.Random.PerMille(500) ? default : self.RandomDigest() };
                break;
            case 3 when x.Count > 0:
                x.RemoveAt(x.Count - 1);
                break;
            case 4 when x.Count < self.Config.LogSize:
                x.Add(new ViewChangeEntry(checkpoint + 1 + x.Count, self.RandomDigest(), default));
                break;
            case 5:
                state = self.RandomDigest();
                break;
            default:
                checkpoint += self.Config.CheckpointPeriod;
                break;
        }
        var message = new byte[NewView.SizeFor(v.Count, x.Count, self.Format)];
        NewView.Write(message, self.Format, honest.View, checkpoint, state, honest.Primary, v, x, Signed(honest.View, checkpoint, x));
        return self.Seal(message);
    }

    /// <summary>Its pre-prepares of what it decided: right ones, or all but the last.</summary>
    private byte[] Signed(View view, SeqNum checkpoint, List<ViewChangeEntry> batches)
    {
        byte[] signatures = self.SignPrePrepares(view, checkpoint, batches);
        if (signatures.Length > 0 && self.Random.PerMille(200))
        {
            signatures[^1] ^= 1;
        }
        return signatures;
    }
}

/// <summary>Leaves views without reason, for the next ones or far ones, and goes on in the old one.</summary>
public sealed class Deserter : ISendStrategy
{
    private readonly FaultyReplica _self;

    public Deserter(FaultyReplica self)
    {
        _self = self;
        self.Repeatedly(self.Random.Choose(500, 20_000, 500_000), Desert);
    }

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (ViewChange.TryParse(message, _self.Config, out ViewChange honest) && honest.Replica.Value == _self.Address)
        {
            _self.ViewChanges.Learn(honest);
        }
        send(message);
    }

    private void Desert()
    {
        var view = new View(_self.Engine.View.Value + _self.Random.Choose(1, 1, 2, 4, 1_000_000));
        List<ViewChangeEntry> c = _self.Engine.StateIsWhole
            ? [new ViewChangeEntry(_self.Engine.StableCheckpoint, _self.Engine.StableDigest, default)] : [];
        byte[] message = _self.ViewChanges.Write(view, _self.Engine.StableCheckpoint, new ReplicaId(_self.Address), c, [], []);
        _self.Count(this);
        _self.SendToOthers(message);
    }
}
