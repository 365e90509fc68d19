namespace BfsSim.Mutants;

/// <summary>Progress: without these the system stays safe and stops.</summary>
public static partial class MutantList
{
    private const string StatusFile = "BfsCore/Replica/Replica.Status.cs";
    private const string PendingFile = "BfsCore/Replica/Replica.Pending.cs";

    private static readonly Mutant[] _liveness =
    [
        new("head-timer", "a backup waits only so long for the request at the head of its queue", "§2.3.5, pitfall 10", ViewTimerFile,
            "IsPrimary || !StateIsWhole ? 0 : FirstOrderable?.Arrival ?? 0", "0"),
        new("commit-timer", "a batch under way must commit in time", "pitfall 13", ViewTimerFile,
            "return underWay && StateIsWhole ? next.Value : 0;", "return underWay && !StateIsWhole ? next.Value : 0;"),
        new("new-view-timer", "a view change that brings no new view in time is followed by the next", "§2.3.5", NewViewFile,
            "if (left >= _config.Quorum && _viewDeadlineMicros == long.MaxValue)", "if (left > _n && _viewDeadlineMicros == long.MaxValue)"),
        new("join-others", "a replica joins f+1 others that left", "§2.3.5", ViewChangeFile,
            "if (count < _config.WeakQuorum)", "if (count <= _n)"),
        new("timeout-doubles", "the timeout doubles with each view that brought nothing", "§2.3.5", ViewTimerFile,
            "_timeoutDoublings = Math.Min(_timeoutDoublings + 1, MaxTimeoutDoublings);", "_timeoutDoublings = 0;")
        {
            Survives = "the network is fast once it heals, so that the first timeout is long enough",
        },
        new("resend-view-change", "view-changes are sent again whatever the timers say", "§5.2, pitfall 19", StatusFile,
            "            SendStatusPending();\n            SendStatus();\n            SendOwnViewChange();\n", "            SendStatus();\n"),
        new("help-into-view", "a replica in an earlier view is sent the view-changes it lacks", "§5.2, pitfall 23", PendingFile,
            "        if (own.View != _view || own.Message.Length == 0)", "        if (own.Message.Length >= 0)")
        {
            Survives = "f+1 others that go on take a replica with them",
        },
        new("resend-new-view", "a new view is sent again to those that lack it", "§5.2, pitfall 23", PendingFile,
            "if (IsPrimary && _newView is { } newView && !status.HasNewView)", "if (IsPrimary && _newView is { } newView && _n < 0)")
        {
            Survives = "a replica that lacks it leaves for the next view, which it may get",
        },
        new("resend-batches", "pre-prepares, prepares and commits are sent again when status asks", "§5.2", StatusFile,
            "        SendBatchesAgain(status);\n", "")
        {
            Survives = "what committed is learned from claims, and what did not is chosen again by the next view",
        },
        new("resend-requests", "requests that travelled separately are sent again by any replica", "§5.2, pitfall 32", StatusFile,
            "        SendMissingRequests(status);\n", ""),
        new("resend-checkpoints", "checkpoints are sent again when status asks", "§5.2", StatusFile,
            "if (seq > above && seq.Value > 0 && seq <= _lastCommitted && !Diverged)", "if (seq.Value < 0 && seq > above)"),
        new("resend-committed", "replicas left behind learn what committed", "pitfall 13", StatusFile,
            "            SendCommittedAgain(status);\n            return;", "            return;"),
        new("wanted-batches", "batches that a new view names are fetched by digest", "§3.2.4", PendingFile,
            "        SendWantedBatches(status);\n", ""),
        new("state-transfer", "a replica that fell behind fetches a state", "§5.3.2", "BfsCore/Replica/Replica.StateTransfer.cs",
            "if (!found || (_transfer is not null && seq <= _transfer.Checkpoint))", "if (!found || seq.Value > 0)"),
        new("view-after-transfer", "view entry is resumed when the transfer is complete", "pitfall 24", CheckpointFile,
            "if (!_restoring && _newViewLast > previous + _config.LogSize)", "if (!_restoring && _newViewLast.Value < 0)")
        {
            Survives = "what the view began with reaches a replica that was behind as claims or by a further transfer",
        },
        new("client-retries", "clients send again what has no certificate, to all", "§2.3.2", ClientFile,
            "        Send(slot, retransmission: true);\n", "        slot.DeadlineMicros = long.MaxValue;\n"),
        new("relay", "a backup passes on to the primary what a client sent again", "§2.3.2", RequestsFile,
            "        if ((again || request.OperationBytes", "        if (_n < 0 && (again || request.OperationBytes")
        {
            Survives = "a client sends again to all, and a primary that it reaches needs no relay",
        },
    ];
}
