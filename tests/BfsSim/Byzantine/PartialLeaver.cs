using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsSim.Byzantine;

/// <summary>
/// Leaves views with a VIEW-CHANGE that the new primary can authenticate and others cannot, or says one thing to the primary and
/// another to a backup (§3.2.4): a new view that rests on it is one that not all can enter. Its word is there before the others
/// leave, so that it is among the first 2f+1; and it does nothing else, so that every correct replica is needed.
/// </summary>
public sealed class PartialLeaver : ISendStrategy, IListener
{
    private const int OnlyPrimary = 0, AllButOne = 1;
    private const int Remembered = 8;

    private readonly FaultyReplica _self;
    private readonly int _mode;
    private readonly bool _silent;
    private readonly bool _shownToVictim;
    private readonly Dictionary<long, (byte[] Usual, byte[] Other)> _said = [];

    public PartialLeaver(FaultyReplica self)
    {
        _self = self;
        _mode = self.Random.Below(3);
        _silent = self.Random.PerMille(700);
        _shownToVictim = self.Random.PerMille(500);
        if (self.Random.PerMille(800))
        {
            self.Repeatedly(self.Random.Choose(10_000, 50_000), LeaveEarly);
        }
    }

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (to >= _self.N)
        {
            send(message);
        }
        else if (tag == MessageTag.ViewChange && ViewChange.TryParse(message, _self.Config, out ViewChange honest)
            && honest.Replica.Value == _self.Address)
        {
            send(WordFor(to, honest.View, message));
        }
        else if (!_silent || tag is not (MessageTag.PrePrepare or MessageTag.Prepare or MessageTag.Commit or MessageTag.Committed
            or MessageTag.Checkpoint or MessageTag.ViewChangeAck or MessageTag.NewView))
        {
            send(message);
        }
    }

    /// <summary>Somebody leaves: it does too, before the others.</summary>
    public void Hear(int from, byte[] message)
    {
        if (FaultyReplica.TagOf(message) == MessageTag.ViewChange && ViewChange.TryParse(message, _self.Config, out ViewChange other)
            && other.Replica.Value == from && other.View >= _self.Engine.View && !_said.ContainsKey(other.View.Value))
        {
            LeaveFor(other.View);
        }
    }

    private void LeaveEarly()
    {
        // As an active primary it would take all with it at once; where it is to be the primary nobody waits for its word.
        if (_self.Engine.ViewActive != (_self.Engine.View.Primary(_self.N).Value == _self.Address))
        {
            LeaveFor(_self.Engine.View.Next);
        }
    }

    private void LeaveFor(View view)
    {
        byte[] message = _self.WriteViewChange(view, _self.Engine.StableCheckpoint, _self.Address, _self.StableOnly(), [], []);
        for (int to = 0; to < _self.N; to++)
        {
            if (to != _self.Address)
            {
                _self.Send(to, WordFor(to, view, message));
            }
        }
    }

    /// <summary>What it says to a replica when it leaves for a view: always the same.</summary>
    private byte[] WordFor(int to, View view, byte[] message)
    {
        if (!_said.TryGetValue(view.Value, out (byte[] Usual, byte[] Other) said))
        {
            said = Make(view, message);
            _said[view.Value] = said;
            _said.Remove(view.Value - Remembered);
        }
        _self.Count(this);
        return _mode > AllButOne && to == Victim(view) ? said.Other : said.Usual;
    }

    private (byte[] Usual, byte[] Other) Make(View view, byte[] message)
    {
        BfsAssert.That(ViewChange.TryParse(message, _self.Config, out ViewChange honest));
        byte[] usual = _self.Seal((byte[])message.Clone());
        int primary = view.Primary(_self.N).Value;
        for (int to = 0; to < _self.N; to++)
        {
            if (_mode == OnlyPrimary ? to != primary : to == Victim(view) && (_mode == AllButOne || !_shownToVictim))
            {
                _self.Spoil(usual, to);
            }
        }
        ViewChangeFacts facts = ViewChangeFacts.From(honest);
        ViewChangeEntry made = new(honest.StableCheckpoint + 1, _self.RandomDigest(), default);
        return (usual, _self.WriteViewChange(view, honest.StableCheckpoint, _self.Address, facts.Checkpoints, [], [made]));
    }

    /// <summary>A backup of the view, another one in each.</summary>
    private int Victim(View view)
    {
        int primary = view.Primary(_self.N).Value;
        int at = (int)(view.Value % _self.N);
        while (at == primary || at == _self.Address)
        {
            at = (at + 1) % _self.N;
        }
        return at;
    }
}
