namespace BfsCore.Replication;

/// <summary>A view change as one replica saw it.</summary>
/// <param name="From">The last view in which it took part.</param>
/// <param name="To">The view it left for: the last of them if several brought nothing.</param>
/// <param name="LeftMicros">When it left <paramref name="From"/>, monotonic.</param>
/// <param name="EnteredMicros">When it entered <paramref name="To"/>, monotonic; 0 while it has not.</param>
public readonly record struct ViewChangeSummary(View From, View To, ViewChangeReason Reason, long LeftMicros, long EnteredMicros);

/// <summary>What a replica says of itself to people; nothing here has any effect.</summary>
public sealed partial class Replica
{
    private ViewChangeSummary _lastViewChange;

    /// <summary>The view change under way, or the last one; all zero when there was none since the start.</summary>
    public ViewChangeSummary LastViewChange => _lastViewChange;

    public ViewChangeReason LastViewChangeReason => _lastViewChange.Reason;

    /// <summary>Batches of the view that have not come yet; without them it is not ready for new ones.</summary>
    public int BatchesMissing => _wanted.Count;

    /// <summary>Pages of the running transfer that are known to differ and have not come yet.</summary>
    public long TransferPagesMissing => _transfer?.PagesMissing ?? 0;

    /// <summary>Parts of the state that the running transfer has not looked into yet: pages may be missing there too.</summary>
    public long TransferPartsUnknown => _transfer?.PartitionsUnknown ?? 0;

    /// <summary>
    /// Called before the view changes: <see cref="_viewActive"/> is still that of the view that is left. A replica that was
    /// started between two views has no earlier record to go on with.
    /// </summary>
    private void NoteLeft(View to, ViewChangeReason reason) => _lastViewChange = _viewActive || _lastViewChange.LeftMicros == 0
        ? new ViewChangeSummary(_view, to, reason, _now.MonotonicMicros, 0)
        : _lastViewChange with { To = to, Reason = reason };

    private void NoteEntered() => _lastViewChange = _lastViewChange with { EnteredMicros = _now.MonotonicMicros };
}
