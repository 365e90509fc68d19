using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// View-changes that f backups have to vouch for (§3.2.4), because their authenticator is wrong here, or because their sender told
/// this replica something else than the new primary; also what this replica itself said in an earlier life.
/// </summary>
public sealed partial class Replica
{
    /// <summary>The last one of each replica. Once there is a new view, only what it names: a liar cannot put something else in its place.</summary>
    private readonly Leaving[] _unproven;

    private void KeepUnproven(in ViewChange viewChange)
    {
        ReplicaId replica = viewChange.Replica;
        if (viewChange.View != _view || _viewActive || (TryFindIdentity(replica, out Digest named) && named != viewChange.Identity))
        {
            return;
        }
        if (_format.Signed && (viewChange.Identity == _leaving[replica.Value].Identity || !IsProven(viewChange)))
        {
            return;
        }
        Leaving unproven = _unproven[replica.Value];
        unproven.Authentic = _format.Signed;
        (unproven.View, unproven.Identity, unproven.Facts) = (viewChange.View, viewChange.Identity, ViewChangeFacts.From(viewChange));
        Reconsider();
    }

    /// <summary>In BFT-PK nobody has to vouch for what is signed and proven, whatever else its sender told this replica.</summary>
    private bool IsProven(in ViewChange viewChange) =>
        _keys.VerifyReplica(viewChange.Replica, viewChange.Header, viewChange.Authenticator(_format)) && ProvesItsFacts(viewChange);

    /// <summary>What the new view calls the view-change of a replica; false while there is none that names it.</summary>
    private bool TryFindIdentity(ReplicaId replica, out Digest identity)
    {
        identity = default;
        if (_newView is null || !NewView.TryParse(_newView, _config, out NewView newView))
        {
            return false;
        }
        for (int i = 0; i < newView.ViewChangeCount; i++)
        {
            (ReplicaId named, identity) = newView.ViewChangeAt(i);
            if (named == replica)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>
    /// The view-change that a new view names: an authentic one, or one that f backups vouch for. The word of the primary is in the
    /// new view already; were it to count again, f liars with it among them could make up what others said.
    /// </summary>
    private ViewChangeFacts? FindNamed(ReplicaId replica, in Digest identity)
    {
        Leaving told = _leaving[replica.Value], unproven = _unproven[replica.Value];
        if (told.Authentic && told.View == _view && told.Identity == identity)
        {
            return told.Facts;
        }
        ulong except = (1UL << replica.Value) | (1UL << Id.Value) | (1UL << _view.Primary(_n).Value);
        bool vouched = _format.Signed ? unproven.Authentic : told.Acks.Count(identity, except) >= _config.F;
        return unproven.View == _view && unproven.Identity == identity && vouched ? unproven.Facts : null;
    }

    /// <summary>Whether a replica's view-change need not be sent again: it is the one that the new view names, or there is none yet.</summary>
    private bool HasViewChange(int replica) => TryFindIdentity(new ReplicaId(replica), out Digest identity)
        ? FindNamed(new ReplicaId(replica), identity) is not null
        : _leaving[replica].Authentic && _leaving[replica].View == _view;
}
