using BfsSim;
using Xunit.Abstractions;

namespace BfsTests.Simulator;

/// <summary>Whole clusters in virtual time (§2.2: safety always, liveness once the network behaves).</summary>
public sealed class SimulationTests(ITestOutputHelper output)
{
    private const int FixedSeeds = 600;
    private const int FreshSeeds = 2_000;
    private const int FreshSeedsOfProfile = 200;
    private const int SoakSeeds = 3_000;

    [Fact]
    public void The_same_seed_gives_the_same_trace()
    {
        for (long seed = 1; seed <= 10; seed++)
        {
            Assert.Equal(Run(seed).TraceHash, Run(seed).TraceHash);
        }
        Assert.NotEqual(Run(1).TraceHash, Run(2).TraceHash);
    }

    [Fact]
    public void Fixed_seeds_violate_nothing()
    {
        List<SimResult> results = RunAll(1, FixedSeeds);
        // Faults are masked: a run that never had to retransmit, transfer or execute tentatively would show nothing.
        Assert.True(results.Sum(r => r.ClientRetransmissions) > 1000);
        Assert.True(results.Sum(r => r.StateTransfers) > 50);
        Assert.True(results.Sum(r => r.TentativeExecutions) > 10_000);
        Assert.True(results.Sum(r => r.ReadOnlyExecutions) > 10_000);
        Assert.True(results.Sum(r => r.StableCheckpoint.Value) > 10_000);
    }

    /// <summary>The first of those that docs/assurance.md speaks of.</summary>
    [Fact]
    public void Seeds_of_a_soak_violate_nothing() => RunAll(2_000_000, SoakSeeds);

    [Fact]
    public void Fresh_seeds_violate_nothing()
    {
        long first = Random.Shared.NextInt64(1L << 40);
        output.WriteLine($"seeds {first} to {first + FreshSeeds - 1}");
        RunAll(first, FreshSeeds);
    }

    /// <summary>Narrower mixes, most of them of one kind of liar each.</summary>
    [Fact]
    public void Fresh_seeds_of_each_profile_violate_nothing()
    {
        long first = Random.Shared.NextInt64(1L << 40);
        foreach (string profile in SimProfiles.All.Keys)
        {
            output.WriteLine($"seeds {first} to {first + FreshSeedsOfProfile - 1} --profile {profile}");
            RunAll(first, FreshSeedsOfProfile, profile);
        }
    }

    /// <summary>BFT-PK: a replica that could not prove its stable checkpoint when it left its view says so when it can.</summary>
    [Fact]
    public void A_view_change_that_was_held_back_is_sent_later() => Run(4034, SimProfiles.SignedName);

    /// <summary>A client took tentative replies of two views, of two batches, for a certificate; both batches were undone.</summary>
    [Fact]
    public void Tentative_replies_of_two_views_are_no_certificate() => Run(754632126625, "leaver");

    private List<SimResult> RunAll(long first, int count, string? profile = null)
    {
        var results = new SimResult[count];
        Parallel.For(0, count, i => results[i] = Run(first + i, profile));
        foreach (SimResult result in results)
        {
            output.WriteLine(result.ToString());
        }
        return [.. results];
    }

    private static SimResult Run(long seed, string? profile = null)
    {
        using var simulation = new Simulation(seed, adjust: profile is null ? null : SimProfiles.All[profile]);
        try
        {
            return simulation.Run();
        }
        catch (Exception e)
        {
            throw new SimulationException(
                $"seed {seed}: {e.Message}; again: dotnet run --project tests/BfsSim -c Release -- seed {seed}{(profile is null ? "" : $" --profile {profile}")}", e);
        }
    }
}
