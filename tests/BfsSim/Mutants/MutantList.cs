namespace BfsSim.Mutants;

/// <summary>All mutants. Each takes one protection from the protocol; the sources themselves know nothing of it.</summary>
public static partial class MutantList
{
    public static IReadOnlyList<Mutant> All =>
    [
        .. _agreement,
        .. _decisions.Select(m => m.Profile == SimProfiles.LiarName ? m with { Profile = SimProfiles.ConspiratorName } : m),
        .. _viewChanges,
        .. _authentication,
        .. _execution,
        .. _state,
        .. _signatures.Select(m => m with { Profile = SimProfiles.SignedName }),
        .. _restarts.Select(m => m with { Profile = SimProfiles.RestartsName }),
        .. _liveness.Select(m => m with { Profile = null, Stops = true, Seeds = 300 }),
    ];
}
