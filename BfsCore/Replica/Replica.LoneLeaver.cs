namespace BfsCore.Replication;

/// <summary>
/// Following one that left its view alone. A replica that was slow itself may take its primary for slow, and leave a view that
/// nobody else sees a reason to leave; by §2.3.5 it stays out of agreement until f+1 others leave too, and the group meanwhile
/// tolerates one fault less. Any replica may leave its view at any time, so the others go with it, after some time and seldom: a
/// liar that leaves again and again costs one view change in <see cref="RestTimeouts"/> timeouts. The view that they go to has
/// another primary than the one that left, which has just been slow or worse.
/// </summary>
public sealed partial class Replica
{
    /// <summary>How long one must have been away, in configured timeouts: it may come back by ordinary means.</summary>
    private const int AwayTimeouts = 4;

    /// <summary>Between two times that this replica follows, in configured timeouts.</summary>
    private const int RestTimeouts = 32;

    private long _joinDeadlineMicros = long.MaxValue;
    private long _restUntilMicros;

    private bool AnotherHasLeft() => FurthestThatLeft() > _view;

    /// <summary>The highest view, among those near, that another has left this one for; this one if there is none.</summary>
    private View FurthestThatLeft()
    {
        View furthest = _view;
        foreach (Leaving leaving in _leaving)
        {
            furthest = HasLeft(leaving) && leaving.View > furthest ? leaving.View : furthest;
        }
        return furthest;
    }

    private bool HasLeft(Leaving leaving) => leaving.Authentic && leaving.View > _view && leaving.View.Value <= _view.Value + _n;

    private void FollowLoneLeaver()
    {
        if (!_viewActive || !AnotherHasLeft())
        {
            _joinDeadlineMicros = long.MaxValue;
        }
        else if (_joinDeadlineMicros == long.MaxValue)
        {
            _joinDeadlineMicros = Math.Max(_now.MonotonicMicros + (AwayTimeouts * LongestTimeoutMicros), _restUntilMicros);
        }
        else if (_now.MonotonicMicros >= _joinDeadlineMicros)
        {
            _joinDeadlineMicros = long.MaxValue;
            _restUntilMicros = _now.MonotonicMicros + (RestTimeouts * LongestTimeoutMicros);
            View view = FurthestThatLeft();
            while (HasLeft(_leaving[view.Primary(_n).Value]))
            {
                view = view.Next;
            }
            LeaveFor(view, ViewChangeReason.AnotherLeft);
        }
    }
}
