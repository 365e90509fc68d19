using System.Diagnostics;
using BfsSim.Fuzz;
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

    /// <summary>In a process of its own, since the fuzzer bounds what its process has in memory.</summary>
    private void Run(long seed, long inputs)
    {
        string[] command = [Path.Combine(AppContext.BaseDirectory, "BfsSim.dll"), "fuzz", "--minutes", "10",
            "--seed", $"{seed}", "--inputs", $"{inputs}", "--threads", $"{Math.Min(2, Environment.ProcessorCount)}"];
        using Process fuzzer = Process.Start(new ProcessStartInfo("dotnet", command) { RedirectStandardOutput = true })!;
        string text = fuzzer.StandardOutput.ReadToEnd();
        fuzzer.WaitForExit();
        output.WriteLine(text);
        Assert.True(fuzzer.ExitCode == 0, text);
        Assert.Contains($"all {inputs} inputs done", text, StringComparison.Ordinal);
    }
}
