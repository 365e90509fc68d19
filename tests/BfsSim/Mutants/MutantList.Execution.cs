namespace BfsSim.Mutants;

/// <summary>Execution, replies, read-only operations.</summary>
public static partial class MutantList
{
    private const string ExecutionFile = "BfsCore/Replica/Replica.Execution.cs";
    private const string RequestsFile = "BfsCore/Replica/Replica.Requests.cs";
    private const string ClientFile = "BfsCore/Client/BftClient.cs";

    private static readonly Mutant[] _execution =
    [
        new("exactly-once", "a request that was executed is not executed again", "§2.3.3", ExecutionFile,
            "if (_replies.Compare(client, request.Slot, request.Session, request.Timestamp) <= 0)", "if (request.Timestamp == 0)"),
        new("rollback", "a tentative execution is undone when the new view chose otherwise", "§5.1.2, pitfall 26", EnterViewFile,
            "        _pages.RollbackTo(target);\n        _service.StateReplaced();\n        _readsFrom = Last(_readsFrom, _lastExecuted);\n        _lastExecuted = _lastCommitted = target;",
            "        target = _lastCommitted;\n        _lastExecuted = target;"),
        new("rollback-service", "a rollback tells the service, which drops what it derived from the state", "§5.1.2, pitfall 26", EnterViewFile,
            "        _pages.RollbackTo(target);\n        _service.StateReplaced();", "        _pages.RollbackTo(target);") { Profile = SimProfiles.FilesName },
        new("rollback-needed", "a tentative execution stays only if the new view chose it", "§5.1.2", EnterViewFile,
            "newView.BatchAt((int)index) != executed)", "newView.BatchAt((int)index) == default && executed == default)"),
        new("tentative-view", "tentative replies make a certificate only if they are of one view", "§5.1.2", "BfsCore/Client/ClientSlot.cs",
            "_views[other] == _views[replica] && _states[other] == _states[replica]", "_states[other] == _states[replica]")
        {
            Profile = SimProfiles.LeaverName,
            Survives = "takes two view changes that undo a request each time, and replies of both; 8000 seeds did not, seed 754632126625 does",
        },
        new("tentative-one", "a batch is executed tentatively only when all before it have committed", "§5.1.2", ExecutionFile,
            "if (_log.Find(_lastExecuted) is not { Committed: true } executed)", "if (_log.Find(_lastExecuted) is not { Prepared: true } executed)"),
        new("checkpoint-tentative", "a checkpoint is announced only when its batch has committed", "§5.1.2, pitfall 27", ExecutionFile,
            "            TakeCheckpoint(entry.Seq);\n", "            TakeCheckpoint(entry.Seq);\n            AnnounceCheckpoint(entry.Seq);\n")
        {
            Seeds = 3000,
            Survives = "takes a rollback of the very batch that ends at a checkpoint, and 2f+1 votes for what it was",
        },
        new("read-tentative", "a reply from a state whose last batch has not committed says so", "§5.1.3", RequestsFile,
            "bool tentative = _lastExecuted > _lastCommitted;", "bool tentative = _lastExecuted < _lastCommitted;")
        {
            Profile = SimProfiles.ReaderName,
            Survives = "2f+1 replies in which the same was read are of states that f+1 correct replicas have prepared, unless one batch changes back what another changed, and is undone",
        },
        new("read-state", "tentative replies to a read make a certificate only if they are of one state", "§5.1.3", "BfsCore/Client/ClientSlot.cs",
            "_views[other] == _views[replica] && _states[other] == _states[replica]", "_views[other] == _views[replica]")
        {
            Profile = SimProfiles.ReaderName,
            Survives = "as read-tentative",
        },
        new("read-floor", "a read does not see less than was executed here before a rollback or a restart", "§5.1.3", RequestsFile,
            "if (_lastCommitted >= _readsFrom && (_last", "if (_lastCommitted.Value >= 0 && (_last")
        {
            Seeds = 3000,
            Profile = SimProfiles.ReaderName,
            Survives = "takes a read in the moment after a rollback below what committed; reader seed 9200572 met it, about one of several thousand",
        },
        new("read-only-guard", "what is asked as read-only must be read-only by the service's word", "§5.1.3", RequestsFile,
            "|| !_service.IsReadOnly(request.Operation))", "|| request.Operation.Length == 0)"),
        new("read-quorum", "a read-only result has 2f+1 equal replies (f+1)", "§5.1.3, pitfall 14", ClientFile,
            "bool enough = slot.CountAgreeing(digest) >= _config.Quorum", "bool enough = slot.CountAgreeing(digest) >= (slot.ReadOnly ? _config.WeakQuorum : _config.Quorum)")
        {
            Profile = SimProfiles.ReaderName,
        },
        new("known-digest", "the tree's digest of a page that was modified since the checkpoint is not used for what is read", "§5.1.1, §5.3.1", "BfsCore/State/PagedState.Checkpoints.cs",
            "return _stamps[page] != _epoch;", "return _epoch >= 0;") { Profile = SimProfiles.FilesName },
        new("reply-quorum", "a tentative result has 2f+1 equal replies (f+1)", "§5.1.2", ClientFile,
            "bool enough = slot.CountAgreeing(digest) >= _config.Quorum", "bool enough = slot.CountAgreeing(digest) >= (slot.ReadOnly ? _config.Quorum : _config.WeakQuorum)") { Profile = SimProfiles.ConspiratorName },
        new("reply-one", "a final result has f+1 equal replies while reads are ordered (one)", "§2.3.2", ClientFile,
            "slot.CountFinal(digest) >= _config.WeakQuorum)", "slot.CountFinal(digest) >= 1)"),
        new("reply-mixed", "while the read-only path is on, every result has 2f+1 replies", "§5.1.3, pitfall 14", ClientFile,
            "|| (!_config.ReadOnlyOptimization && slot.CountFinal(", "|| (slot.CountFinal("),
    ];
}
