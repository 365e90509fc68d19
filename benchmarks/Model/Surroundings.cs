namespace BfsBench;

/// <summary>
/// What the model of chapter 7 knows of machines and network, in microseconds and bytes (§8.2): the fixed and the variable cost of
/// a digest (D), of a MAC of a header (M), of sending or receiving a datagram at a host (H), and of a switch (S).
/// </summary>
internal sealed record Surroundings
{
    public required double DigestFixed { get; init; }
    public required double DigestPerByte { get; init; }
    public required double Mac { get; init; }
    public required double HostFixed { get; init; }
    public required double HostPerByte { get; init; }

    /// <summary>From the sender's system call until the receiver runs, beyond what both compute: a switch, or waking a process up.</summary>
    public required double HopFixed { get; init; }

    /// <summary>The inverse of a link's bandwidth; zero on one machine.</summary>
    public double LinkPerByte { get; init; }

    /// <summary>Processors that all share; null when each has a machine of its own.</summary>
    public int? Processors { get; init; }

    /// <summary>One send reaches all replicas.</summary>
    public bool Multicast { get; init; }

    /// <summary>Operations above this travel apart from the pre-prepare (§5.1.5), bytes.</summary>
    public int InlineThreshold { get; init; } = ThesisInlineThreshold;

    private const int ThesisInlineThreshold = 255;

    public double Digest(double bytes) => DigestFixed + (DigestPerByte * bytes);

    public double Host(double bytes) => HostFixed + (HostPerByte * bytes);

    /// <summary>A message's way: a store-and-forward switch takes it off one link and puts it on another.</summary>
    public double Hop(double bytes) => HopFixed + (2 * LinkPerByte * bytes);

    /// <summary>How often the time of one is taken by work that so many do at once.</summary>
    public double Rounds(int nodes) => Processors is { } p ? Math.Ceiling((double)nodes / p) : 1;

    /// <summary>The setup of the thesis, tables 8.1 to 8.3: 600 MHz, 100 Mb/s, multicast.</summary>
    public static Surroundings Thesis { get; } = new()
    {
        DigestFixed = 2.034,
        DigestPerByte = 0.012,
        Mac = 0.96,
        HostFixed = 20.83,
        HostPerByte = 0.011,
        HopFixed = 9.79,
        LinkPerByte = 0.08,
        Multicast = true,
    };

    /// <summary>These processors far apart, with the network that §8.3.5 measured between two coasts.</summary>
    public Surroundings OverWan() => this with { HopFixed = 37_500, LinkPerByte = 6.61, Processors = null, Multicast = true, InlineThreshold = ThesisInlineThreshold };

    /// <summary>These processors, each in a machine of its own, with the thesis' fast network of §8.3.5: a tenth of what its own costs.</summary>
    public Surroundings OverFastLan() => this with { HopFixed = HopFixed + 0.979, LinkPerByte = 0.008, Processors = null, Multicast = true, InlineThreshold = ThesisInlineThreshold };
}
