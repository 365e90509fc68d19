using System.Diagnostics;
using System.Text.Json;

namespace BfsTests.Mounted;

/// <summary>A primary that stops or is killed is replaced (§2.3.5), and takes its part again when it is back.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class PrimaryTests : IDisposable
{
    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void A_stopped_primary_is_replaced_and_status_says_how()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        _cluster.Work(drive, "seq 50 | while read i; do echo $i > file$i; done");
        Assert.Equal(JsonValueKind.Null, _cluster.Status().GetProperty("replicas")[1].GetProperty("lastViewChange").ValueKind);
        _cluster.Bfs("replica", "stop", "0").Succeeded();
        string status = string.Join(' ', _cluster.Bfs("status").Succeeded().Output.Split());
        Assert.Contains("not the primary, replica 0: the others replace it by themselves", status, StringComparison.Ordinal);
        Assert.Equal("50\n", _cluster.Work(drive, "echo late > late && cat file* | wc -l"));

        JsonElement report = _cluster.Status();
        Assert.Equal(report.GetProperty("view").GetInt64() % 4, report.GetProperty("primary").GetInt64());
        Assert.NotEqual(0, report.GetProperty("primary").GetInt64());
        Assert.True(report.GetProperty("primaryReachable").GetBoolean());
        JsonElement change = report.GetProperty("replicas")[1].GetProperty("lastViewChange");
        Assert.Equal((0, report.GetProperty("view").GetInt64()), (change.GetProperty("from").GetInt64(), change.GetProperty("to").GetInt64()));
        Assert.Contains("left view 0 for", string.Join(' ', _cluster.Bfs("status").Succeeded().Output.Split()), StringComparison.Ordinal);

        _cluster.Bfs("replica", "start", "0").Succeeded();
        Assert.Equal("late\n", _cluster.Work(drive, "cat late"));
        _cluster.Bfs("status").Succeeded();
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
