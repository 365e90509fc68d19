namespace BfsTests.Mounted;

/// <summary>A drive over replicas that sign everything (BFT-PK, §2.3), through the same commands.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class BftPkTests : IDisposable
{
    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void Files_outlive_a_killed_primary_and_a_restart_of_all()
    {
        string drive = _cluster.Start("--size", "64M", "--bft-pk").Mount();
        Assert.Contains("\"bft-pk\"", File.ReadAllText(_cluster.Files.ClusterFile), StringComparison.Ordinal);
        _cluster.Work(drive, "mkdir d; seq 30 | while read i; do echo $i > d/file$i; done; head -c 300000 /dev/urandom > big; cp big d/copy; cmp big d/copy");
        ClusterFixture.Kill(_cluster.PidOf(0)!.Value);
        Assert.Equal("30\n", _cluster.Work(drive, "echo late > late; cat d/file* | wc -l"));
        _cluster.Bfs("replica", "start", "0").Succeeded();
        Assert.Equal("late\n", _cluster.Work(drive, "cat late"));
        _cluster.Bfs("unmount", drive).Succeeded();
        _cluster.Bfs("cluster", "stop").Succeeded();
        _cluster.Bfs("cluster", "start").Succeeded();
        _cluster.Bfs("mount", drive).Succeeded();
        Assert.Equal("30 late\n", _cluster.Work(drive, "cmp big d/copy; echo $(cat d/file* | wc -l) $(cat late)"));
    }

    [Fact]
    public void Recovery_is_refused_and_says_why()
    {
        _cluster.Start("--size", "64M", "--bft-pk");
        CommandResult refused = _cluster.Bfs("recover", "1");
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("bft-pk has no recovery", refused.Output + refused.Error, StringComparison.Ordinal);
        CommandResult both = _cluster.Bfs("cluster", "init", "--cluster", _cluster.PathOf("other"), "--bft-pk", "--no-rep");
        Assert.Equal(2, both.ExitCode);
    }

    /// <summary>The logs of one mode are of no use to the other: nothing is started on them, and nothing lost.</summary>
    [Fact]
    public void A_cluster_keeps_its_mode()
    {
        string drive = _cluster.Start("--size", "64M", "--bft-pk").Mount();
        _cluster.Work(drive, "echo kept > file; sync");
        _cluster.Bfs("unmount", drive).Succeeded();
        _cluster.Bfs("cluster", "stop").Succeeded();
        string file = Path.Combine(_cluster.Home, "cluster.json");
        string before = File.ReadAllText(file);
        File.WriteAllText(file, before.Replace("\"bft-pk\"", "\"bft\"", StringComparison.Ordinal));
        CommandResult start = _cluster.Bfs("cluster", "start");
        Assert.Equal(1, start.ExitCode);
        Assert.Contains("another mode", start.Output + start.Error, StringComparison.Ordinal);
        File.WriteAllText(file, before);
        _cluster.Bfs("cluster", "start").Succeeded();
        Assert.Equal("kept\n", _cluster.Work(_cluster.Mount("again"), "cat file"));
    }
}
