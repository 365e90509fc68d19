using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsSim.Byzantine;

/// <summary>
/// Brings one replica a checkpoint further than the rest: its own CHECKPOINT goes to that one alone, and its commit of the last batch
/// before one late, so that the checkpoint is stable there when the view is left. As the next primary it waits for a replica that
/// has seen nothing of all that, says the same as that one, and begins the view where those two are, and proposes something else for
/// numbers that have committed: those who know more of them are too few or not asked. The choice of the checkpoint (§3.2.4) is against that.
/// </summary>
public sealed class Divider : ISendStrategy, IListener
{
    private readonly FaultyReplica _self;
    private readonly int _ahead;
    private readonly long _commitDelayMicros;
    private readonly Dictionary<int, (byte[] Message, ViewChangeFacts Facts)> _heard = [];
    private byte[]? _proposal;
    private View _view;
    private bool _decided;

    public Divider(FaultyReplica self)
    {
        _self = self;
        _ahead = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;
        _commitDelayMicros = self.Random.Choose(2_000, 10_000, 30_000);
    }

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (to >= _self.N)
        {
            send(message);
        }
        else if (tag == MessageTag.Commit && to == _ahead && Batch.NumbersOf(message).Seq % _self.Config.CheckpointPeriod == 0)
        {
            _self.After(_commitDelayMicros, () => send(message));
        }
        else if (!(tag == MessageTag.Checkpoint && to != _ahead) && !(tag == MessageTag.NewView && Leads(_self.Engine.View))
            && !(tag == MessageTag.ViewChange && ViewChange.TryParse(message, _self.Config, out ViewChange own)
                && own.Replica.Value == _self.Address && Leads(own.View)))
        {
            send(message);
        }
    }

    public void Hear(int from, byte[] message)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (tag == MessageTag.PrePrepare && PrePrepare.TryParse(message, _self.Format, out PrePrepare proposal)
            && Batch.TryRead(message, _self.Format) is { } batch && batch.Entries.TrueForAll(e => e.Bytes.Length > PrePrepare.SeparateEntryBytes))
        {
            _proposal = proposal.RequestCount > 0 ? message : _proposal;
        }
        if (tag != MessageTag.ViewChange || !ViewChange.TryParse(message, _self.Config, out ViewChange other)
            || other.Replica.Value != from || !Leads(other.View) || other.View < _view)
        {
            return;
        }
        if (other.View > _view)
        {
            (_view, _decided) = (other.View, false);
            _heard.Clear();
        }
        _heard[from] = (message, ViewChangeFacts.From(other));
        Divide();
    }

    private bool Leads(View view) => view.Primary(_self.N).Value == _self.Address;

    /// <summary>Looks for a replica whose word, said twice, supports a beginning below what another one has reached.</summary>
    private void Divide()
    {
        foreach ((int behind, (_, ViewChangeFacts facts)) in _heard)
        {
            if (facts.Checkpoints.Count == 0 || _self.Config.F > 1)
            {
                continue;
            }
            foreach (int ahead in _heard.Keys.Where(r => _heard[r].Facts.StableCheckpoint > facts.StableCheckpoint))
            {
                Consider(facts.Checkpoints[0], [behind, ahead]);
            }
        }
    }

    /// <summary>The view begins there if that is supported, and nothing that anybody tells of is above.</summary>
    private void Consider(ViewChangeEntry start, int[] others)
    {
        byte[] own = _self.WriteViewChange(_view, start.Seq, _self.Address, [start], [], []);
        BfsAssert.That(ViewChange.TryParse(own, _self.Config, out ViewChange said));
        List<ViewChangeFacts> s = [ViewChangeFacts.From(said), .. others.Select(o => _heard[o].Facts)];
        if (_decided || !NewViewDecision.TryChooseCheckpoint(s, _self.Config.F, out SeqNum checkpoint, out Digest state)
            || s.TrueForAll(m => m.StableCheckpoint <= checkpoint) || NewViewDecision.HighestUseful(s, checkpoint, _self.Config.LogSize) > checkpoint)
        {
            return;
        }
        Begin(own, others, checkpoint, state);
    }

    private void Begin(byte[] own, int[] others, SeqNum checkpoint, Digest state)
    {
        _decided = true;
        _self.Count(this);
        var named = new List<ViewChangeEntry>();
        foreach (byte[] message in others.Select(o => _heard[o].Message).Append(own))
        {
            BfsAssert.That(ViewChange.TryParse(message, _self.Config, out ViewChange parsed));
            named.Add(new ViewChangeEntry(new SeqNum(parsed.Replica.Value), parsed.Identity, default));
        }
        var newView = new byte[NewView.SizeFor(named.Count, 0, _self.Format)];
        NewView.Write(newView, _self.Format, _view, checkpoint, state, new ReplicaId(_self.Address), named, []);
        _self.SendToOthers(own);
        _self.SendToOthers(_self.Seal(newView));
        if (_proposal is not null && Batch.TryRead(_proposal, _self.Format) is { } batch)
        {
            // A little later, or it would be there before the view.
            (batch.View, batch.Seq) = (_view, checkpoint.Next);
            batch.TimeNanos++;
            byte[] proposal = batch.Write(_self, _self.Address);
            _self.After(_commitDelayMicros, () => _self.SendToOthers(proposal));
        }
    }
}
