namespace BfsSim.Mutants;

/// <summary>Leaving a view, deciding on the next, entering it.</summary>
public static partial class MutantList
{
    private const string DecisionFile = "BfsCore/Replica/NewViewDecision.cs";
    private const string ViewChangeFile = "BfsCore/Replica/Replica.ViewChange.cs";
    private const string ViewTimerFile = "BfsCore/Replica/Replica.ViewTimer.cs";
    private const string NewViewFile = "BfsCore/Replica/Replica.NewView.cs";
    private const string EnterViewFile = "BfsCore/Replica/Replica.EnterView.cs";
    private const string VouchedFile = "BfsCore/Replica/Replica.Vouched.cs";
    private const string SetsFile = "BfsCore/Replica/ViewChangeSets.cs";

    private static readonly Mutant[] _decisions =
    [
        new("a1", "condition A1: 2f+1 view-changes do not contradict the batch", "§3.2.4, pitfall 16", DecisionFile,
            "|| other.View < p.View || (other.View == p.View && other.Digest == p.Digest))) >= (2 * f) + 1",
            "|| other.View < p.View || (other.View == p.View && other.Digest == p.Digest))) >= 0"),
        new("a1-same-view", "condition A1: nothing else prepared in a later view", "§3.2.4, pitfall 16", DecisionFile,
            "|| other.View < p.View || (other", "|| other.View != p.View || (other"),
        new("a2", "condition A2: f+1 replicas pre-prepared the batch", "§3.2.4, pitfall 16", DecisionFile,
            "&& Count(s, m => m.SaysPrePrepared(p)) >= f + 1;", "&& Count(s, m => m.SaysPrePrepared(p)) >= 0;"),
        new("a2-view", "condition A2: they did so in its view or a later one", "§3.2.4, pitfall 16", DecisionFile,
            "PrePrepared[i].Digest == batch.Digest && PrePrepared[i].View >= batch.View)", "PrePrepared[i].Digest == batch.Digest)") { Seeds = 3000 },
        new("b", "condition B: 2f+1 replicas have nothing prepared where null is chosen (f+1 suffice)", "§3.2.4", DecisionFile,
            "!m.TryGetPrepared(seq, out _)) >= (2 * f) + 1;", "!m.TryGetPrepared(seq, out _)) >= f + 1;"),
        new("b-water-mark", "condition B: replicas whose h is not below the number do not count", "§3.2.4, pitfall 16", DecisionFile,
            "Count(s, m => m.StableCheckpoint < seq && !m", "Count(s, m => !m")
        {
            Survives = "with f = 1 implied: h of a correct replica is held by another one, so four view-changes choose it, and three all have h up to what they choose; takes f = 2 and two liars of one plan",
        },
        new("checkpoint-weak", "the checkpoint of a new view is named by f+1 (one suffices)", "§3.2.4", DecisionFile,
            "Names(o.Checkpoints, c)) >= f + 1)", "Names(o.Checkpoints, c)) >= 1)") { Stops = true },
        new("checkpoint-quorum", "2f+1 replicas have an h that is not above the new view's checkpoint", "§3.2.4, pitfall 17", DecisionFile,
            "Count(s, o => o.StableCheckpoint <= c.Seq) >= (2 * f) + 1", "Count(s, o => o.StableCheckpoint <= c.Seq) >= 0")
        {
            Profile = SimProfiles.DividerName,
        },
    ];

    private static readonly Mutant[] _viewChanges =
    [
        new("p-set", "PSet: what prepared in an earlier view is told", "§3.2.4", SetsFile,
            "if (entry.Prepared)\n", "if (entry.Prepared && entry.Seq.Value < 0)\n"),
        new("q-set", "QSet: what pre-prepared in an earlier view is told", "§3.2.4", SetsFile,
            "known.Add(found);", "known.Clear();") { Stops = true },
        new("q-bound", "QSet keeps f+2 digests of a number (one)", "§3.2.4, pitfall 18", SetsFile,
            "if (known.Count > f + 2)", "if (known.Count > 1)")
        {
            Survives = "takes several batches at one number in successive views, of which a forgotten one is to be chosen",
        },
        new("backups-verify", "backups check the new primary's decision", "§3.2.4", NewViewFile,
            "if (IsSupported(newView, s))", "if (IsSupported(newView, s) || newView.BatchCount >= 0)"),
        new("acks", "view-changes are acknowledged by 2f-1 others before they count", "§3.2.4", NewViewFile,
            "except: (1UL << j) | (1UL << Id.Value)) >= (2 * _config.F) - 1);", "except: (1UL << j) | (1UL << Id.Value)) >= 0);")
        {
            Profile = SimProfiles.LeaverName,
            Stops = true,
        },
        new("vouched", "a view-change that is not authentic here is vouched for by f others", "§3.2.4", VouchedFile,
            "told.Acks.Count(identity, except) >= _config.F", "told.Acks.Count(identity, except) >= 0")
        {
            Profile = SimProfiles.ForgerName,
        },
        new("vouched-primary", "the primary's own word does not count among those f", "§3.2.4", VouchedFile,
            "(1UL << Id.Value) | (1UL << _view.Primary(_n).Value);", "(1UL << Id.Value);")
        {
            Profile = SimProfiles.ForgerName,
        },
        new("join-one", "a replica joins f+1 others that left (one)", "§2.3.5", ViewChangeFile,
            "if (count < _config.WeakQuorum)", "if (count < 1)")
        {
            Profile = SimProfiles.DeserterName,
            Stops = true,
        },
        new("view-undecided", "a replica takes part in a view only once it is decided what the view starts with", "§2.3.5", ViewChangeFile,
            "        _view = view;\n        _viewActive = false;", "        _view = view;\n        _viewActive = _n > 0;"),
    ];
}
