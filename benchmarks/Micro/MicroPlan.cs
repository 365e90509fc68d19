using BfsCore;

namespace BfsBench;

/// <summary>An operation of the null service: bytes of argument and result, and whether it is read-only.</summary>
internal readonly record struct NullOperation(int ArgumentBytes, int ResultBytes, bool ReadOnly)
{
    public string Mode => ReadOnly ? "ro" : "rw";

    /// <summary>As in the thesis: kilobytes of argument and of result.</summary>
    public string Name => $"{ArgumentBytes / 1024}/{ResultBytes / 1024}-{Mode}";

    public byte[] Bytes => NullService.Operation(ArgumentBytes, ResultBytes, ReadOnly);
}

/// <summary>A cluster that takes part in a comparison.</summary>
/// <param name="Suffix">Put behind the names of its figures; NO-REP's values count for every suffix.</param>
internal sealed record MicroVariant(string Suffix, int Replicas = 4, Func<ClusterConfig, ClusterConfig>? Change = null)
{
    public ClusterMode Mode { get; init; } = ClusterMode.Bft;

    public string System => Mode == ClusterMode.BftPk ? SystemNames.BfsPk : SystemNames.Bfs;
}

/// <summary>What is measured with so many clients, on NO-REP and variants of BFS that take turns.</summary>
/// <param name="Operations">With the name of each one's latency, if its own is not meant.</param>
internal sealed record MicroGroup(string Title, int Clients, IReadOnlyList<MicroVariant> Variants,
    IReadOnlyList<(NullOperation Operation, string? LatencyName)> Operations);

/// <summary>What the micro-benchmarks consist of.</summary>
internal static class MicroPlan
{
    /// <summary>What the thesis calls 0 (§8.3).</summary>
    private const int SmallBytes = 8;

    private static readonly MicroVariant[] Plain = [new("")];

    /// <summary>Signatures instead of MACs (§8.3.3).</summary>
    private static readonly MicroVariant[] PlainAndSigned = [new(""), new("") { Mode = ClusterMode.BftPk }];

    /// <summary>How many clients BFS-PK is measured with.</summary>
    private static readonly int[] SignedClients = [1, 20];

    /// <summary>The thesis' three operations, read-write and read-only (§8.3.1, §8.3.2).</summary>
    private static readonly NullOperation[] Three = [.. Both(0, 0), .. Both(4096, 0), .. Both(0, 4096)];

    public static IReadOnlyList<MicroGroup> Groups(bool quick)
    {
        int[] clients = quick ? [1, 20, 50] : [1, 5, 10, 20, 50, 100, 200];
        int[] sizes = quick ? [SmallBytes, 8192] : [SmallBytes, 64, 256, 512, 1024, 2048, 4096, 6144, 8192];
        return
        [
            .. clients.Select(c => new MicroGroup($"{c} clients", c, SignedClients.Contains(c) ? PlainAndSigned : Plain, [.. Three.Select(o => (o, (string?)null))])),
            new("sizes", 1, Plain, [.. sizes.SelectMany(s => Sized("argument", s, SmallBytes, s)), .. sizes.SelectMany(s => Sized("result", SmallBytes, s, s))]),
            .. Replicas(quick),
            .. Optimizations(quick),
        ];
    }

    private static NullOperation[] Both(int argument, int result) => [new(argument, result, false), new(argument, result, true)];

    private static IEnumerable<(NullOperation, string?)> Sized(string what, int argument, int result, int size) =>
        Both(argument, result).Select(o => (o, (string?)$"latency-{what}-{size}-{o.Mode}"));

    private static IEnumerable<MicroGroup> Replicas(bool quick)
    {
        MicroVariant[] variants = [.. new[] { 4, 7, 10 }.Select(n => new MicroVariant($"-n{n}", n))];
        yield return new("number of replicas", 1, variants, [.. Both(0, 0).Select(o => (o, (string?)null))]);
        if (!quick)
        {
            yield return new("number of replicas, 20 clients", 20, variants, [.. Both(0, 0).Select(o => (o, (string?)null))]);
        }
    }

    /// <summary>Each with what it is for (§8.3.3), with and without it.</summary>
    private static IEnumerable<MicroGroup> Optimizations(bool quick)
    {
        const int many = 20;
        static ClusterConfig Multicast(ClusterConfig c) => c with { MulticastGroup = $"239.255.0.1:{FreePorts.Find(1)}" };
        MicroGroup Pair(string name, int clients, NullOperation operation, Func<ClusterConfig, ClusterConfig> without) =>
            new(name, clients, [new($"-with-{name}"), new($"-without-{name}", Change: without)], [(operation, null)]);

        ClusterConfig NoDigestReplies(ClusterConfig c) => c with { DigestReplyThresholdBytes = int.MaxValue };
        // On one machine it is off for all but large requests (ClusterFounder): here it is as in the thesis, and on a network.
        ClusterConfig Separation(ClusterConfig c) => c with { InlineThresholdBytes = 255 };
        MicroGroup SeparationPair(int clients) => new("separate-transmission", clients,
            [new("-with-separate-transmission", Change: Separation), new("-without-separate-transmission")], [(new(4096, 0, false), null)]);
        yield return Pair("digest-replies", 1, new(0, 4096, false), NoDigestReplies);
        yield return Pair("batching", many, new(0, 0, false), c => c with { MaxBatchRequests = 1 });
        yield return SeparationPair(1);
        yield return Pair("tentative-execution", 1, new(0, 0, false), c => c with { TentativeExecution = false });
        yield return Pair("piggybacked-commits", many, new(0, 0, false), c => c with { PiggybackCommits = false });
        yield return Pair("read-only", 1, new(0, 0, true), c => c with { ReadOnlyOptimization = false });
        yield return Pair("preferred-quorums", 1, new(0, 0, true), c => c with { PreferredQuorums = false });
        yield return Pair("preferred-quorums", many, new(0, 0, true), c => c with { PreferredQuorums = false });
        // What the thesis does, and a drive on a network that has it may do (§6.1).
        yield return new("multicast", 50, [new("-with-multicast", Change: Multicast), new("-without-multicast")], [(new(0, 0, false), null)]);
        if (!quick)
        {
            yield return Pair("digest-replies", many, new(0, 4096, false), NoDigestReplies);
            yield return SeparationPair(many);
            yield return Pair("piggybacked-commits", 1, new(0, 0, false), c => c with { PiggybackCommits = false });
            yield return Pair("read-only", many, new(0, 0, true), c => c with { ReadOnlyOptimization = false });
        }
    }
}
