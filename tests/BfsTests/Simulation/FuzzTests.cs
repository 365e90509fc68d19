using BfsSim.Fuzz;
using Spectre.Console;
using Xunit.Abstractions;

namespace BfsTests.Simulator;

/// <summary>A minute of the fuzzer (pitfall 25): hostile bytes harm nobody. docs/simulator.md says how to run more.</summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    [Fact]
    public void Fixed_inputs_do_no_harm() => Run(seed: 1, inputs: 1_000_000);

    [Fact]
    public void Fresh_inputs_do_no_harm() => Run(Random.Shared.NextInt64(1L << 40), inputs: 2_200_000);

    /// <summary>Otherwise a failure could not be seen again.</summary>
    [Fact]
    public void The_same_seed_gives_the_same_inputs()
    {
        Assert.Equal(Trace(5), Trace(5));
        Assert.NotEqual(Trace(5), Trace(6));
    }

    private static string Trace(long seed)
    {
        using var clusterFile = new ClusterFileTarget();
        using var episode = new FuzzEpisode(seed, 3, new Corpus(), clusterFile);
        Assert.Null(episode.Run(long.MaxValue));
        return string.Join(' ', episode.Seen) + string.Join(' ', episode.Cluster.Replicas.Select(r => $"{r.View} {r.LastExecuted} {r.Counters.Retransmitted}"));
    }

    private void Run(long seed, long inputs)
    {
        var runner = new FuzzRunner(seed, Math.Min(2, Environment.ProcessorCount));
        runner.Run(inputs, TimeSpan.FromMinutes(10));
        using var text = new StringWriter();
        runner.Report(AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(text) }));
        output.WriteLine(text.ToString());
        Assert.True(runner.Failures == 0, text.ToString());
        Assert.True(runner.InputsDone >= inputs);
    }
}
