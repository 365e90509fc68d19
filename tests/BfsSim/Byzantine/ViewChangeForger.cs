using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsSim.Byzantine;

/// <summary>
/// As the primary of a new view, answers every VIEW-CHANGE with ones that it forged in the names of other replicas and of the
/// sender itself, its word that they are authentic, and a NEW-VIEW that rests on them: that the null batch had prepared, or nothing
/// at all. Their MACs are wrong, and f backups would have to vouch for them (§3.2.4). True ones it names where they do not
/// contradict it. As a backup it forges too, to be in the way of what is authentic.
/// </summary>
public sealed class ViewChangeForger(FaultyReplica self) : ISendStrategy, IListener
{
    private readonly bool _asBackup = self.Random.PerMille(500);
    private readonly bool _staysWithIt = self.Random.PerMille(700);
    private readonly int _nulls = self.Random.Choose(0, 1, self.Config.LogSize / 2, self.Config.LogSize);
    private readonly Dictionary<int, byte[]> _heard = [];
    private View _view;
    private SeqNum _stable;
    private IReadOnlyList<ViewChangeEntry> _checkpoints = [];
    private List<ViewChangeEntry> _claims = [];

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (tag == MessageTag.ViewChange && ViewChange.TryParse(message, self.Config, out ViewChange honest)
            && honest.Replica.Value == self.Address && Leads(honest.View))
        {
            Claim(honest.View);
            message = Said(self.Address);
        }
        else if (tag == MessageTag.NewView && _staysWithIt)
        {
            return;
        }
        send(message);
    }

    public void Hear(int from, byte[] message)
    {
        if (FaultyReplica.TagOf(message) != MessageTag.ViewChange || !ViewChange.TryParse(message, self.Config, out ViewChange honest)
            || honest.Replica.Value != from || honest.View < self.Engine.View)
        {
            return;
        }
        if (Leads(honest.View))
        {
            Claim(honest.View);
            _heard[from] = message;
            Deceive(from);
        }
        else if (_asBackup)
        {
            int name = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;
            self.Count(this);
            self.SendToOthers(self.WriteViewChange(honest.View, self.Engine.StableCheckpoint, name, self.StableOnly(), [], []));
        }
    }

    private bool Leads(View view) => view.Primary(self.N).Value == self.Address;

    /// <summary>What everybody is to have said when they left for a view: the same for all, or it would support nothing.</summary>
    private void Claim(View view)
    {
        if (view == _view)
        {
            return;
        }
        _heard.Clear();
        (_view, _stable, _checkpoints) = (view, self.Engine.StableCheckpoint, self.StableOnly());
        _claims = [.. Enumerable.Range(1, _nulls).Select(i => new ViewChangeEntry(_stable + i, default, new View(view.Value - 1)))];
    }

    private byte[] Said(int name) => self.WriteViewChange(_view, _stable, name, _checkpoints, _claims, _claims);

    private void Deceive(int victim)
    {
        if (_checkpoints.Count == 0)
        {
            return;
        }
        // The victim's own word first: it has an authentic one of nobody for certain but itself.
        List<byte[]> told = [Said(self.Address), Said(victim)];
        int first = self.Random.Below(self.N);
        for (int i = 0; i < self.N && told.Count < self.Config.Quorum; i++)
        {
            int name = (first + i) % self.N;
            if (name != self.Address && name != victim)
            {
                told.Add(_heard.TryGetValue(name, out byte[]? heard) && Supported([.. told, heard]) ? heard : Said(name));
            }
        }
        var named = new List<ViewChangeEntry>();
        foreach (byte[] message in told)
        {
            BfsAssert.That(ViewChange.TryParse(message, self.Config, out ViewChange parsed));
            named.Add(new ViewChangeEntry(new SeqNum(parsed.Replica.Value), parsed.Identity, default));
            self.Send(victim, message);
            var ack = new byte[ViewChangeAck.SizeFor(self.Format)];
            ViewChangeAck.Write(ack, self.Format, _view, new ReplicaId(self.Address), parsed.Replica, parsed.Identity);
            self.Send(victim, self.Seal(ack));
        }
        List<ViewChangeEntry> batches = [.. _claims.Select(c => new ViewChangeEntry(c.Seq, default, default))];
        var newView = new byte[NewView.SizeFor(named.Count, batches.Count, self.Format)];
        NewView.Write(newView, self.Format, _view, _stable, _checkpoints[0].Digest, new ReplicaId(self.Address), named, batches,
            self.SignPrePrepares(_view, _stable, batches));
        self.Count(this);
        self.Send(victim, self.Seal(newView));
    }

    /// <summary>Whether the claims would stand beside these, with forged ones to make up the number.</summary>
    private bool Supported(List<byte[]> told)
    {
        var s = new List<ViewChangeFacts>();
        for (int i = 0; i < self.Config.Quorum; i++)
        {
            BfsAssert.That(ViewChange.TryParse(told[i < told.Count ? i : 0], self.Config, out ViewChange parsed));
            s.Add(ViewChangeFacts.From(parsed));
        }
        return NewViewDecision.TryChooseCheckpoint(s, self.Config.F, out SeqNum checkpoint, out _) && checkpoint == _stable
            && NewViewDecision.HighestUseful(s, checkpoint, self.Config.LogSize) - checkpoint == _claims.Count
            && _claims.TrueForAll(c => NewViewDecision.Supports(s, self.Config.F, c.Seq, default));
    }
}
