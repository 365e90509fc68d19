using System.Diagnostics;

namespace BfsTests.Mounted;

/// <summary>A primary that stops or is killed is replaced (§2.3.5), and takes its part again when it is back.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class PrimaryTests : IDisposable
{
    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void A_drive_waits_for_a_stopped_primary_and_goes_on_with_it()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        _cluster.Work(drive, "seq 50 | while read i; do echo $i > file$i; done");
        _cluster.Bfs("replica", "stop", "0").Succeeded();
        CommandResult status = _cluster.Bfs("status");
        Assert.Equal(1, status.ExitCode);
        Assert.Contains("not the primary", string.Join(' ', status.Output.Split()), StringComparison.Ordinal);
        using Process work = _cluster.Launch("bash", "-c", $"echo late > '{drive}/late' && cat '{drive}'/file* | wc -l");
        _cluster.Bfs("replica", "start", "0").Succeeded();
        WaitForEnd(work);
        Assert.Equal("50\n", work.StandardOutput.ReadToEnd());
        Assert.Equal("late\n", _cluster.Work(drive, "cat late"));
        Assert.Equal(0, _cluster.Bfs("status").ExitCode);
    }

    [Fact]
    public void A_killed_primary_is_replaced()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        _cluster.Work(drive, "seq 100 | while read i; do echo $i > file$i; done");
        ClusterFixture.Kill(_cluster.PidOf(0)!.Value);
        using Process work = _cluster.Launch("bash", "-c", $"echo late > '{drive}/late'");
        WaitForEnd(work);
        Assert.Equal("100 late\n", _cluster.Work(drive, "echo $(cat file* | wc -l) $(cat late)"));
        _cluster.Bfs("replica", "start", "0").Succeeded();
        Assert.Equal("100 late\n", _cluster.Work(drive, "echo $(cat file* | wc -l) $(cat late)"));
    }

    /// <summary>A bound that only keeps a failing test from waiting for ever.</summary>
    private static void WaitForEnd(Process work)
    {
        if (!work.WaitForExit(120_000))
        {
            work.Kill();
            Assert.Fail("the work did not go on");
        }
    }
}
