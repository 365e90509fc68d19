using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>Deciding what the next view starts from, as its primary, and checking that decision as a backup (§3.2.4).</summary>
public sealed partial class Replica
{
    private byte[]? _newView;

    /// <summary>New information came: perhaps the view can be decided on, or entered, and its timer started.</summary>
    private void Reconsider()
    {
        if (_viewActive)
        {
            return;
        }
        int left = 0;
        for (int j = 0; j < _n; j++)
        {
            // One that has gone further already has left too: it no longer votes in earlier views, and waits for nobody here.
            left += _leaving[j].Authentic && _leaving[j].View >= _view ? 1 : 0;
        }
        if (left >= _config.Quorum && _viewDeadlineMicros == long.MaxValue)
        {
            _viewDeadlineMicros = _now.MonotonicMicros + ViewTimeoutMicros;
        }
        if (IsPrimary && !_silent && _view != _retreatedTo)
        {
            TryDecide();
        }
        else
        {
            TryEnter();
        }
    }

    /// <summary>
    /// As the new primary: S has the view-changes with a certificate: the message, 2f-1 acknowledgments of others and the one
    /// that this replica could have sent (§3.2.4); in BFT-PK a signed message is enough (§2.3.5).
    /// </summary>
    private void TryDecide()
    {
        var s = new List<ViewChangeFacts>();
        var named = new List<ViewChangeEntry>();
        for (int j = 0; j < _n; j++)
        {
            Leaving leaving = _leaving[j];
            bool certified = leaving.Authentic && leaving.View == _view && (_format.Signed || j == Id.Value
                || leaving.Acks.Count(leaving.Identity, except: (1UL << j) | (1UL << Id.Value)) >= (2 * _config.F) - 1);
            if (certified)
            {
                s.Add(leaving.Facts!);
                named.Add(new ViewChangeEntry(new SeqNum(j), leaving.Identity, default));
            }
        }
        if (s.Count < _config.Quorum || !_rule.TryChooseCheckpoint(s, out SeqNum checkpoint, out Digest state))
        {
            return;
        }
        var batches = new List<ViewChangeEntry>();
        _wanted.Clear();
        SeqNum last = NewViewDecision.HighestUseful(s, checkpoint, _config.LogSize);
        if (last > HighWaterMark)
        {
            // The decision would be this replica's pre-prepare for all of them, and it could not remember those above its marks: a later
            // view might find nobody to vouch for what prepared (simulator seed 269). It needs the checkpoint first.
            FetchStart(s, checkpoint, state);
            return;
        }
        for (SeqNum seq = checkpoint.Next; seq <= last; seq = seq.Next)
        {
            if (_rule.TryChoose(s, seq, _oldBatches.Has, out Digest digest))
            {
                batches.Add(new ViewChangeEntry(seq, digest, default));
            }
            else if (_rule.TryFindWanted(s, seq, out digest))
            {
                _wanted.Add((seq, digest));
            }
            else
            {
                return;
            }
        }
        if (_wanted.Count > 0)
        {
            AskForWanted();
            return;
        }
        byte[] message = new byte[NewView.SizeFor(named.Count, batches.Count, _format)];
        NewView.Write(message, _format, _view, checkpoint, state, Id, named, batches, SignPrePrepares(checkpoint, batches));
        _keys.Authenticate(message.AsSpan(0, NewView.HeaderBytes), message.AsSpan(message.Length - _format.AuthenticatorBytes));
        _network.MulticastToReplicas(message);
        BfsAssert.That(NewView.TryParse(message, _config, out NewView newView));
        _newView = message;
        Enter(newView, s);
    }

    private void OnNewView(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!NewView.TryParse(message, _config, out NewView newView) || newView.Primary != newView.View.Primary(_n))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (newView.View != _view || _viewActive || IsPrimary || _newView is not null)
        {
            Drop(DropReason.WrongView);
            return;
        }
        if (VerifyReplica(newView.Primary, newView.Header, newView.Authenticator(_format), source))
        {
            _newView = message.ToArray();
            Reconsider();
        }
    }

    /// <summary>
    /// As a backup: enters the view when the view-changes that the primary names are here and support its decision; one whose
    /// own authenticator is wrong here counts when f others acknowledged it. A decision they do not support ends the view.
    /// </summary>
    private void TryEnter()
    {
        if (_newView is null || !NewView.TryParse(_newView, _config, out NewView newView))
        {
            return;
        }
        var s = new List<ViewChangeFacts>();
        for (int i = 0; i < newView.ViewChangeCount; i++)
        {
            (ReplicaId replica, Digest identity) = newView.ViewChangeAt(i);
            if (FindNamed(replica, identity) is not { } facts)
            {
                return;
            }
            s.Add(facts);
        }
        if (IsSupported(newView, s))
        {
            Enter(newView, s);
        }
        else
        {
            LeaveFor(_view.Next, ViewChangeReason.BadNewView);
        }
    }

    private bool IsSupported(in NewView newView, List<ViewChangeFacts> s)
    {
        if (s.Count < _config.Quorum || !_rule.TryChooseCheckpoint(s, out SeqNum checkpoint, out Digest state)
            || checkpoint != newView.Checkpoint || state != newView.CheckpointDigest
            || NewViewDecision.HighestUseful(s, checkpoint, _config.LogSize) - checkpoint != newView.BatchCount)
        {
            return false;
        }
        for (int i = 0; i < newView.BatchCount; i++)
        {
            if (!_rule.Supports(s, checkpoint + 1 + i, newView.BatchAt(i)))
            {
                return false;
            }
        }
        return PrePreparesAreSigned(newView);
    }
}
