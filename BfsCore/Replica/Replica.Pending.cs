using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>Retransmission of what a view change needs (§5.2): STATUS-PENDING and its answers.</summary>
public sealed partial class Replica
{
    private void SendStatusPending()
    {
        ulong have = 0;
        for (int j = 0; j < _n; j++)
        {
            have |= HasViewChange(j) ? 1UL << j : 0;
        }
        int size = StatusPending.Write(_message, _format, _view, StableForOthers, Id, _newView is not null || _viewActive, have, _wanted);
        _keys.Authenticate(_message.AsSpan(0, StatusPending.HeaderBytes),
            _message.AsSpan(size - _format.AuthenticatorBytes, _format.AuthenticatorBytes));
        _network.MulticastToReplicas(_message.AsSpan(0, size));
        Counters.StatusSent++;
    }

    private void OnStatusPending(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!StatusPending.TryParse(message, _format, out StatusPending status))
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (!VerifyReplica(status.Replica, status.Header, status.Authenticator, source))
        {
            return;
        }
        SendCheckpointsAgain(status.Replica, status.StableCheckpoint);
        SendWantedBatches(status);
        if (status.View < _view)
        {
            HelpIntoView(status.Replica);
        }
        else if (status.View == _view)
        {
            SendViewChangesAgain(status);
        }
    }

    private void SendWantedBatches(in StatusPending status)
    {
        for (int i = 0; i < status.WantedCount; i++)
        {
            (SeqNum seq, Digest digest) = status.Wanted(i);
            if (HasBatch(seq, digest) && _oldBatches.Find(seq, digest) is { } batch && BatchMessage.HeaderBytes + batch.WholeBytes <= _batch.Length)
            {
                int size = BatchMessage.Write(_batch, seq, batch.PrePrepare, batch.Bodies);
                _network.SendToReplica(status.Replica, _batch.AsSpan(0, size));
                Counters.Retransmitted++;
            }
        }
    }

    /// <summary>A replica in an earlier view needs f+1 view-changes to join, and then the decision.</summary>
    private void HelpIntoView(ReplicaId replica)
    {
        Leaving own = _leaving[Id.Value];
        if (own.View != _view || own.Message.Length == 0)
        {
            return;
        }
        _keys.Authenticate(own.Message.AsSpan(0, ViewChange.HeaderBytes), own.Message.AsSpan(own.Message.Length - _format.AuthenticatorBytes));
        _network.SendToReplica(replica, own.Message);
        Counters.Retransmitted++;
    }

    private void SendViewChangesAgain(in StatusPending status)
    {
        ReplicaId to = status.Replica;
        if ((status.ViewChanges & (1UL << Id.Value)) == 0)
        {
            HelpIntoView(to);
        }
        if (status.HasNewView && status.ViewChanges == (1UL << _n) - 1)
        {
            return;
        }
        for (int j = 0; j < _n; j++)
        {
            Leaving leaving = _leaving[j];
            if (j == Id.Value || leaving.View != _view || !leaving.Authentic)
            {
                continue;
            }
            if (!_silent && !_format.Signed)
            {
                _network.SendToReplica(to, BuildAck(leaving, new ReplicaId(j)));
            }
            // The new primary passes on what it rests its decision on (§3.2.4).
            if (IsPrimary && _newView is not null)
            {
                _network.SendToReplica(to, leaving.Message);
            }
        }
        if (IsPrimary && _newView is { } newView && !status.HasNewView)
        {
            _keys.Authenticate(newView.AsSpan(0, NewView.HeaderBytes), newView.AsSpan(newView.Length - _format.AuthenticatorBytes));
            _network.SendToReplica(to, newView);
            Counters.Retransmitted++;
        }
    }
}
