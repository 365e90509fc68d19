using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>
/// As the primary of a new view, answers every VIEW-CHANGE with ones that it forged in the names of other replicas, its word that
/// they are authentic, and a NEW-VIEW that rests on them: that nothing had been voted for, or the null batch. Their MACs are wrong, and
/// f others would have to vouch for them (§3.2.4). As a backup it forges too, to be in the way of what is authentic.
/// </summary>
public sealed class ViewChangeForger(FaultyReplica self) : ISendStrategy, IListener
{
    private readonly bool _asBackup = self.Random.PerMille(500);
    private readonly bool _staysWithIt = self.Random.PerMille(700);
    private readonly int _nulls = self.Random.Choose(0, 1, self.Config.LogSize / 2, self.Config.LogSize);
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
        var named = new List<ViewChangeEntry>();
        int first = self.Random.Below(self.N);
        for (int i = 0; i < self.N; i++)
        {
            int name = (first + i) % self.N;
            if (name != self.Address && (name == victim || named.Count == 2 * self.Config.F))
            {
                continue;
            }
            byte[] said = Said(name);
            BfsAssert.That(ViewChange.TryParse(said, self.Config, out ViewChange parsed));
            named.Add(new ViewChangeEntry(new SeqNum(name), parsed.Identity, default));
            self.Send(victim, said);
            if (name != self.Address)
            {
                var ack = new byte[ViewChangeAck.SizeFor(self.N)];
                ViewChangeAck.Write(ack, self.N, _view, new ReplicaId(self.Address), new ReplicaId(name), parsed.Identity);
                self.Send(victim, self.Seal(ack));
            }
        }
        List<ViewChangeEntry> batches = [.. _claims.Select(c => new ViewChangeEntry(c.Seq, default, default))];
        var message = new byte[NewView.HeaderBytes + ((named.Count + batches.Count) * ViewChange.EntryBytes) + (self.N * MessageHeader.TagBytes)];
        NewView.Write(message, self.N, _view, _stable, _checkpoints[0].Digest, new ReplicaId(self.Address), named, batches);
        self.Count(this);
        self.Send(victim, self.Seal(message));
    }
}
