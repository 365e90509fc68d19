namespace BfsCore.Replication;

/// <summary>How far a recovery is (§4.3.2, Table 8.11).</summary>
public enum RecoveryPhase
{
    /// <summary>This replica was not started to recover.</summary>
    None,

    /// <summary>Asking the others how far they are (QUERY-STABLE), under new keys.</summary>
    Estimation,

    /// <summary>The recovery request is being agreed on.</summary>
    Request,

    /// <summary>State is checked and fetched until a checkpoint at the recovery point is stable.</summary>
    CheckAndFetch,

    /// <summary>Done: at the recovery point the state is known to be right.</summary>
    Recovered,
}

/// <summary>A recovery, running or ended.</summary>
/// <param name="Bound">H_M: nothing above it was taken over from before; 0 until it is known.</param>
/// <param name="RequestSeq">n_R: where the recovery request was executed; 0 until it is known.</param>
/// <param name="Point">H: recovered when a checkpoint with this number is stable; 0 until it is known.</param>
/// <param name="ViewBefore">The view that the replica believed in when it started.</param>
/// <param name="ViewAfter">The view that it found valid (§4.3.2); the present one until then.</param>
public readonly record struct RecoveryReport(RecoveryPhase Phase, SeqNum Bound, SeqNum RequestSeq, SeqNum Point, View ViewBefore, View ViewAfter,
    long EstimationMicros, long RequestMicros, long CheckAndFetchMicros);
