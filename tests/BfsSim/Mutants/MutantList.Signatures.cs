namespace BfsSim.Mutants;

/// <summary>BFT-PK: signatures and certificates.</summary>
public static partial class MutantList
{
    private const string CertificateFile = "BfsCore/Messages/Certificate.cs";

    private static readonly Mutant[] _signatures =
    [
        new("certificates", "a view-change counts only if it proves what it says", "§2.3.5", ViewChangeFile,
            "if (!ProvesItsFacts(viewChange))", "if (viewChange.View.Value < 0)") { Stops = true },
        new("voter-twice", "2f different backups vouch for what prepared", "§2.3.1", CertificateFile,
            "&& replica.Value > before;", "&& replica.Value >= 0;")
        {
            Survives = "one other vote and one's own are enough when the primary is right, and then they are for what it proposed",
        },
        new("latest-certificate", "the certificate of the highest view decides", "§2.3.5", "BfsCore/Replica/NewViewRule.cs",
            "&& p.View.Value > view)", "&& view < 0)") { Seeds = 3000 },
        new("proof-in-log", "what proves a batch that prepared survives a restart", "pitfall 33", "BfsCore/Replica/Replica.Log.cs",
            "entry.Seq, entry.Digest, entry.Certificate);", "entry.Seq, entry.Digest);") { Stops = true },
    ];
}
