namespace BfsCore.Replication;

/// <summary>Why a replica left a view.</summary>
public enum ViewChangeReason
{
    None,

    /// <summary>A request waited too long.</summary>
    Timeout,

    /// <summary>f+1 others had left.</summary>
    OthersLeft,

    /// <summary>The new primary's decision was not supported by its view-changes, or it made none in time.</summary>
    BadNewView,

    /// <summary>Throughput stayed below what recent primaries reached (pitfall 9).</summary>
    SlowPrimary,

    /// <summary>Views change regularly, at agreed checkpoints.</summary>
    Regular,

    /// <summary>The primary said that it leaves, for its recovery for example (§4.3.2).</summary>
    PrimaryLeft,

    /// <summary>This replica recovered, and the view it believed in was not that of the others (§4.3.2).</summary>
    Recovery,

    /// <summary>Another had left alone and would have stayed out of agreement.</summary>
    AnotherLeft,
}
