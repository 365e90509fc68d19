namespace BfsCore.Replication;

/// <summary>Proactive recovery (§4.3.2).</summary>
public sealed partial class Replica
{
    private RecoveryReport _recovery;

    /// <summary>The recovery that this replica was started for.</summary>
    public RecoveryReport Recovery => _recovery;

    /// <summary>To be called before <see cref="RestoreLog"/>: this replica was restarted by its recovery monitor.</summary>
    public void BeginRecovery() => _recovery = _recovery with { Phase = RecoveryPhase.Estimation };

    /// <summary>
    /// This replica is about to be restarted: if it is the primary, the others get a new one at once (§4.3.2).
    /// </summary>
    /// <returns>Whether it was the primary.</returns>
    public bool HandOver()
    {
        bool wasPrimary = IsPrimary && _viewActive;
        if (wasPrimary)
        {
            LeaveView();
        }
        return wasPrimary;
    }
}
