using System.Diagnostics;
using System.Text.Json;

namespace BfsTests.Mounted;

/// <summary>
/// Replicas that cannot reach each other (§2.3.5, §5.2): a quorum goes on, and after healing all find together without an
/// operator.
/// </summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class PartitionTests : IDisposable
{
    private readonly ClusterFixture _cluster = new() { TakesFaults = true };

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void A_primary_cut_off_from_two_replicas_is_replaced_and_rejoins_when_the_links_are_whole()
    {
        string drive = _cluster.Start("--size", "128M").Mount();
        using Process work = Work(drive, rounds: 3);
        WaitFor(() => File.Exists(_cluster.PathOf("round1")) || work.HasExited);
        _cluster.Bfs("fault", "cut", "0", "2", "3").Succeeded();
        AssertDone(work);
        JsonElement status = _cluster.Status();
        Assert.NotEqual(0, status.GetProperty("primary").GetInt32());
        Assert.True(status.GetProperty("replicas")[2].GetProperty("viewChanges").GetInt64() > 0);

        _cluster.Bfs("fault", "heal").Succeeded();
        AssertConverged(drive);
    }

    /// <summary>Nobody has a quorum: nothing is executed, and nothing is lost.</summary>
    [Fact]
    public void Two_halves_wait_for_each_other()
    {
        string drive = _cluster.Start("--size", "128M").Mount();
        _cluster.Work(drive, "echo before > file");
        _cluster.Bfs("fault", "cut", "0", "2", "3").Succeeded();
        _cluster.Bfs("fault", "cut", "1", "2", "3").Succeeded();
        using Process work = Work(drive, rounds: 1);
        // Two of four cannot change the view either, and so nobody leaves it.
        WaitFor(() => Replicas().Skip(2).All(r => r.GetProperty("is").GetString()!.Contains("does not hear 0, 1", StringComparison.Ordinal)));
        Assert.All(Replicas(), r => Assert.Equal((0, false), (r.GetProperty("view").GetInt64(), r.GetProperty("viewChanging").GetBoolean())));
        Assert.False(work.HasExited);
        _cluster.Bfs("fault", "heal").Succeeded();
        AssertDone(work);
        AssertConverged(drive);
    }

    /// <summary>An asymmetric fault: the primary hears everybody, and nobody hears the primary.</summary>
    [Fact]
    public void A_primary_that_nobody_hears_is_replaced()
    {
        string drive = _cluster.Start("--size", "128M").Mount();
        _cluster.Bfs("fault", "cut", "0", "1", "2", "3", "--outgoing").Succeeded();
        using Process work = Work(drive, rounds: 1);
        AssertDone(work);
        Assert.NotEqual(0, _cluster.Status().GetProperty("primary").GetInt32());
        _cluster.Bfs("fault", "heal", "0").Succeeded();
        AssertConverged(drive);
    }

    [Fact]
    public void Faults_are_refused_where_they_are_not_wanted()
    {
        using var ordinary = new ClusterFixture();
        ordinary.Start("--size", "64M");
        CommandResult refused = ordinary.Bfs("fault", "cut", "0", "1");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("replica 0 takes no faults", refused.Error, StringComparison.Ordinal);
        Assert.Equal(2, ordinary.Bfs("fault", "cut", "1", "1").ExitCode);
        Assert.Equal(2, ordinary.Bfs("fault", "cut", "1").ExitCode);
        Assert.Equal(2, ordinary.Bfs("fault", "cut", "1", "4").ExitCode);
        ordinary.Bfs("replica", "stop", "2").Succeeded();
        Assert.Contains("replica 2 cannot be reached", ordinary.Bfs("fault", "heal", "2").Error, StringComparison.Ordinal);
    }

    /// <summary>Rounds of checked work; a file in the test's directory says when one is done.</summary>
    private Process Work(string drive, int rounds)
    {
        _cluster.Script("scripts/workload.sh", "make-tree", _cluster.PathOf("tree"), "100").Succeeded();
        return _cluster.Launch("bash", "-c", $"""
            set -e
            for round in $(seq {rounds}); do
              {ClusterFixture.Project}/scripts/workload.sh round {drive}/round$round {_cluster.PathOf("tree")} > {_cluster.PathOf("log")} 2>&1
              touch {_cluster.PathOf("round")}$round
            done
            """);
    }

    private void AssertDone(Process work)
    {
        if (!work.WaitForExit(240_000))
        {
            work.Kill(entireProcessTree: true);
            Assert.Fail("the work did not end\n" + _cluster.Bfs("status").Output);
        }
        Assert.True(work.ExitCode == 0, File.ReadAllText(_cluster.PathOf("log")));
    }

    /// <summary>All four take part again, and further work brings all to one checkpoint.</summary>
    private void AssertConverged(string drive)
    {
        _cluster.Bfs("status", "--wait", "120").Succeeded();
        _cluster.Work(drive, "seq 300 | while read i; do echo $i > more$i; done; cat more* | wc -l");
        WaitFor(() => Replicas()
            .Select(r => (r.GetProperty("lastCommitted").GetInt64(), r.GetProperty("stableDigest").GetString(), r.GetProperty("view").GetInt64()))
            .Distinct().Count() == 1);
    }

    private IEnumerable<JsonElement> Replicas() => _cluster.Status().GetProperty("replicas").EnumerateArray();

    private void WaitFor(Func<bool> condition)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < TimeSpan.FromMinutes(2), "it never came\n" + _cluster.Bfs("status").Output);
            Thread.Sleep(50);
        }
    }
}
