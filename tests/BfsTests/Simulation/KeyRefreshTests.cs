using BfsSim;
using Xunit.Abstractions;

namespace BfsTests.Simulator;

/// <summary>Key changes that come almost as often as messages arrive (pitfall 37, §4.3.1).</summary>
public sealed class KeyRefreshTests(ITestOutputHelper output)
{
    private const int Runs = 20, Operations = 40;

    /// <summary>Far more than what it takes; then the simulator would make the network perfect.</summary>
    private const long LongestMicros = 100_000_000;

    /// <summary>
    /// What is under way when a replica changes its keys is lost to it and comes again because its status asks, authenticated
    /// with the new ones. So operations complete though many messages are under keys that are gone when they arrive.
    /// </summary>
    [Fact]
    public void Operations_complete_though_keys_change_every_second_and_a_round_trip_takes_400_ms()
    {
        for (long seed = 1; seed <= Runs; seed++)
        {
            SimResult result = Run(seed, Slow, out long keys, out long views);
            output.WriteLine($"{result}, keys chosen {keys} times, view {views}");
            Assert.Equal(Operations, result.Operations);
            Assert.True(result.HealedMicros < LongestMicros, $"seed {seed}: the network had to become perfect first");
            Assert.True(keys > 15, $"seed {seed}: keys were chosen {keys} times only");
            Assert.True(views <= 1, $"seed {seed}: a correct primary was replaced {views} times");
        }
    }

    /// <summary>Nobody is to blame for a slow network: a primary is compared over times in which something can come about.</summary>
    [Fact]
    public void Over_a_slow_network_a_primary_stays()
    {
        for (long seed = 1; seed <= Runs; seed++)
        {
            SimResult result = Run(seed, o => Slow(o) with { KeyRefreshMillis = 0 }, out _, out long views);
            Assert.Equal(Operations, result.Operations);
            Assert.True(views == 0, $"seed {seed}: a correct primary was replaced {views} times");
        }
    }

    private static SimResult Run(long seed, Func<SimOptions, SimOptions> adjust, out long keys, out long views)
    {
        using var simulation = new Simulation(seed, adjust: adjust);
        SimResult result = simulation.Run();
        keys = simulation.Replicas.Min(r => r.Replica.Counters.KeysChosen);
        views = simulation.Replicas.Max(r => r.Replica.View.Value);
        return result;
    }

    private static SimOptions Slow(SimOptions options) => options with
    {
        Files = false,
        Replicas = 4,
        Clients = 2,
        SlotsPerClient = 1,
        Operations = Operations,
        LargeValuesPerMille = 0,
        LongestThinkMicros = 1_000,
        LossPerMille = 0,
        DuplicationPerMille = 0,
        CorruptionPerMille = 0,
        StragglersPerMille = 0,
        ShortestDelayMicros = 190_000,
        DelaySpreadMicros = 20_000,
        FaultyReplicas = 0,
        FaultyClients = 0,
        Outages = 0,
        Partitions = 0,
        OneWayCuts = 0,
        Restarts = 0,
        Recoveries = 0,
        Intrusions = 0,
        ViewRotationCheckpoints = 0,
        ViewChangeTimeoutMillis = 5_000,
        KeyRefreshMillis = 1_000,
        HealMicros = LongestMicros,
    };
}
