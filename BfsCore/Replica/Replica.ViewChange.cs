using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>View changes (§2.3.5, §3.2.4): leaving a view, and what is told of that.</summary>
public sealed partial class Replica
{
    /// <summary>The last VIEW-CHANGE of a replica, and who acknowledged which one.</summary>
    private sealed class Leaving(int n)
    {
        public byte[] Message = [];
        public View View;
        public Digest Identity;
        public bool Authentic;
        public ViewChangeFacts? Facts;
        public VoteSet Acks { get; } = new(n);
    }

    private readonly Leaving[] _leaving;
    private readonly ViewChangeSets _sets;
    private readonly OldBatches _oldBatches;
    private bool _viewActive = true;

    /// <summary>False while a view change is under way.</summary>
    public bool ViewActive => _viewActive;

    /// <summary>
    /// Leaves the present view, as every replica may at any time; for measurements (§8.5). Nothing when it has left already.
    /// </summary>
    public void LeaveView()
    {
        if (_viewActive && !_restoring)
        {
            LeaveFor(_view.Next, ViewChangeReason.Regular);
        }
    }

    /// <summary>Stops taking part in the present view and tells the others (Figure 3-2).</summary>
    private void LeaveFor(View view, ViewChangeReason reason)
    {
        BfsAssert.That(view > _view);
        Counters.ViewChanges++;
        NoteLeft(view, reason);
        SendDeferredCommits();
        for (SeqNum seq = LowWaterMark.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            if (_log.Find(seq) is { PrePrepared: true } entry && entry.View == _view && _viewActive && !_silent)
            {
                _sets.Add(entry);
                _oldBatches.Keep(entry);
            }
        }
        _oldBatches.KeepOnly(_sets, _lastCommitted);
        _abandoned.Clear();
        _view = view;
        _viewActive = false;
        _newView = null;
        _wanted.Clear();
        _askedFor = 0;
        _incompleteBatches = 0;
        _viewDeadlineMicros = long.MaxValue;
        for (int j = 0; j < _n; j++)
        {
            _leaving[j].Acks.Clear();
        }
        AnnounceLeaving();
        for (int j = 0; j < _n; j++)
        {
            Acknowledge(_leaving[j], new ReplicaId(j));
        }
        ResetStatusTimer();
        Reconsider();
    }

    /// <summary>The view is remembered before anybody hears of it, over a power failure too.</summary>
    private void AnnounceLeaving()
    {
        if (_silent || !CanProveStable)
        {
            return;
        }
        MakeOwnViewChange();
        LogLeft();
        _store.SaveView(_view);
        SendOwnViewChange();
    }

    private void MakeOwnViewChange()
    {
        _sets.DiscardThrough(LowWaterMark);
        IReadOnlyList<ViewChangeEntry> prepared = _sets.Prepared, prePrepared = _format.Signed ? [] : _sets.PrePrepared;
        (List<ViewChangeEntry> checkpoints, byte[] certificates) = _format.Signed ? ProvenFacts(prepared) : (ClaimedCheckpoints(), []);
        Leaving own = _leaving[Id.Value];
        own.Message = new byte[ViewChange.SizeFor(checkpoints.Count, prepared.Count, prePrepared.Count, _format)];
        ViewChange.Write(own.Message, _format, _view, LowWaterMark, Id, checkpoints, prepared, prePrepared, certificates);
        BfsAssert.That(ViewChange.TryParse(own.Message, _config, out ViewChange message));
        (own.View, own.Identity, own.Authentic, own.Facts) = (_view, message.Identity, true, ViewChangeFacts.From(message));
    }

    private List<ViewChangeEntry> ClaimedCheckpoints()
    {
        var checkpoints = new List<ViewChangeEntry>();
        for (int i = 0; i < _pages.CheckpointCount; i++)
        {
            SeqNum seq = _pages.CheckpointAt(i);
            if (seq >= LowWaterMark && seq <= _lastCommitted && !Diverged)
            {
                checkpoints.Add(new ViewChangeEntry(seq, _pages.CheckpointDigest(seq), default));
            }
        }
        return checkpoints;
    }

    private void SendOwnViewChange()
    {
        if (_leaving[Id.Value].View != _view)
        {
            return;
        }
        byte[] message = _leaving[Id.Value].Message;
        _keys.Authenticate(message.AsSpan(0, ViewChange.HeaderBytes), message.AsSpan(message.Length - _format.AuthenticatorBytes));
        _network.MulticastToReplicas(message);
    }

    private void OnViewChange(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!ViewChange.TryParse(message, _config, out ViewChange viewChange))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (viewChange.Replica == Id)
        {
            KeepUnproven(viewChange);
            return;
        }
        Leaving leaving = _leaving[viewChange.Replica.Value];
        if (viewChange.View < _view || viewChange.View < leaving.View)
        {
            Drop(DropReason.WrongView);
            return;
        }
        bool authentic = _keys.VerifyReplica(viewChange.Replica, viewChange.Header, viewChange.Authenticator(_format));
        if (!authentic)
        {
            Drop(DropReason.BadMac);
            _keys.OnKeyTrouble(viewChange.Replica.Value, source, _now.MonotonicMicros);
            KeepUnproven(viewChange);
            return;
        }
        _heardMicros[viewChange.Replica.Value] = _now.MonotonicMicros;
        if (leaving.View == viewChange.View && leaving.Authentic)
        {
            Drop(leaving.Identity == viewChange.Identity ? DropReason.Duplicate : DropReason.Conflicting);
            KeepUnproven(viewChange);
            return;
        }
        if (!ProvesItsFacts(viewChange))
        {
            Drop(DropReason.BadCertificate);
            return;
        }
        LearnCheckpoint(viewChange);
        leaving.Message = message.ToArray();
        (leaving.View, leaving.Identity, leaving.Authentic) = (viewChange.View, viewChange.Identity, true);
        leaving.Facts = ViewChangeFacts.From(viewChange);
        if (_viewActive && viewChange.Replica == _view.Primary(_n) && viewChange.View == _view.Next)
        {
            // A faulty one may say so too: it is always good to replace that (§4.3.2). No timeout was involved (pitfall 39).
            LeaveFor(_view.Next, ViewChangeReason.PrimaryLeft);
        }
        else if (!JoinOthers() && !_viewActive)
        {
            Acknowledge(leaving, viewChange.Replica);
            Reconsider();
        }
    }

    /// <summary>f+1 others have left for higher views: goes to the lowest of theirs, so as not to be late (§2.3.5).</summary>
    private bool JoinOthers()
    {
        int count = 0;
        View lowest = default;
        for (int j = 0; j < _n; j++)
        {
            if (j != Id.Value && _leaving[j].Authentic && _leaving[j].View > _view)
            {
                lowest = count == 0 || _leaving[j].View < lowest ? _leaving[j].View : lowest;
                count++;
            }
        }
        if (count < _config.WeakQuorum)
        {
            return false;
        }
        LeaveFor(lowest, ViewChangeReason.OthersLeft);
        return true;
    }

    private void Acknowledge(Leaving leaving, ReplicaId subject)
    {
        // A signature is as good for the others as it is here.
        if (subject != Id && leaving.Authentic && leaving.View == _view && !_silent && !_format.Signed)
        {
            _network.MulticastToReplicas(BuildAck(leaving, subject));
        }
    }

    private ReadOnlySpan<byte> BuildAck(Leaving leaving, ReplicaId subject)
    {
        int size = ViewChangeAck.Write(_message, _format, _view, Id, subject, leaving.Identity);
        _keys.Authenticate(_message.AsSpan(0, ViewChangeAck.HeaderBytes), _message.AsSpan(ViewChangeAck.HeaderBytes, _format.AuthenticatorBytes));
        return _message.AsSpan(0, size);
    }

    private void OnViewChangeAck(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (_format.Signed || !ViewChangeAck.TryParse(message, _format, out ViewChangeAck ack) || ack.Replica == ack.Subject)
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (ack.View != _view || _viewActive)
        {
            Drop(DropReason.WrongView);
            return;
        }
        if (VerifyReplica(ack.Replica, ack.Header, ack.Authenticator, source))
        {
            _leaving[ack.Subject.Value].Acks.Add(ack.Replica, ack.Identity);
            Reconsider();
        }
    }
}
