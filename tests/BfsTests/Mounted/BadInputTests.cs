using System.Net;
using System.Net.Sockets;
using BfsCore;
using BfsCore.Hosting;

namespace BfsTests.Mounted;

/// <summary>What is asked wrongly is refused with a message that says what to do, the right code, and nothing left running.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class BadInputTests : IDisposable
{
    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Theory]
    [InlineData("unknown option '--frob'", "--frob")]
    [InlineData("unknown option '--frob'", "mount", "--frob", "/tmp")]
    [InlineData("unknown command or argument 'frob'", "cluster", "frob")]
    [InlineData("'mount'", "mount")]
    [InlineData("--size 3Q is no size", "cluster", "init", "--size", "3Q")]
    [InlineData("3f+1 replicas", "cluster", "init", "--replicas", "5")]
    [InlineData("3f+1 replicas", "cluster", "init", "--replicas", "-4")]
    [InlineData("clients must be from 1", "cluster", "init", "--clients", "0")]
    [InlineData("from 1 MiB", "cluster", "init", "--size", "4K")]
    [InlineData("all ports from 1 to 65535", "cluster", "init", "--port", "65534")]
    [InlineData("mount option 'frob': unknown", "mount", "/tmp", "-o", "frob")]
    public void Wrong_usage_ends_with_2(string message, params string[] arguments)
    {
        CommandResult result = _cluster.Bfs(arguments);
        Assert.Equal(2, result.ExitCode);
        Refused(message, result);
        Assert.False(Directory.Exists(_cluster.Home));
    }

    [Theory]
    [InlineData("no such cluster file; make a cluster with: bfs cluster init", "cluster", "start")]
    [InlineData("no such cluster file", "status")]
    [InlineData("no such cluster file", "mount", "/tmp")]
    [InlineData("nothing is mounted on /usr/share", "unmount", "/usr/share")]
    [InlineData("not a BFS drive", "unmount", "/proc")]
    public void What_cannot_be_done_ends_with_1(string message, params string[] arguments)
    {
        CommandResult result = _cluster.Bfs(arguments);
        Assert.Equal(1, result.ExitCode);
        Refused(message, result);
    }

    [Fact]
    public void A_damaged_cluster_file_starts_nothing()
    {
        _cluster.Bfs("cluster", "init", "--size", "64M").Succeeded();
        string text = File.ReadAllText(_cluster.Files.ClusterFile);
        File.WriteAllText(_cluster.Files.ClusterFile, text[..(text.Length / 2)]);
        foreach (string[] command in (string[][])[["cluster", "start"], ["status"], ["mount", "/tmp"], ["cluster", "stop"]])
        {
            CommandResult result = _cluster.Bfs(command);
            Assert.Equal(1, result.ExitCode);
            Refused("cluster.json", result);
        }
        NothingRuns();
    }

    [Fact]
    public void A_port_in_use_is_named_and_the_other_replicas_stopped()
    {
        _cluster.Bfs("cluster", "init", "--size", "64M").Succeeded();
        int port = ClusterFile.Read(_cluster.Files.ClusterFile).Replicas[2].Port;
        using var other = new UdpClient(new IPEndPoint(IPAddress.Loopback, port));
        CommandResult result = _cluster.Bfs("cluster", "start");
        Assert.Equal(1, result.ExitCode);
        Refused($"UDP port {port} on 127.0.0.1 is in use", result);
        Assert.Contains("replica 2 did not start", result.Error, StringComparison.Ordinal);
        NothingRuns();
    }

    [Fact]
    public void A_mount_without_replicas_says_how_to_start_them()
    {
        _cluster.Bfs("cluster", "init", "--size", "64M").Succeeded();
        CommandResult result = _cluster.Bfs("mount", _cluster.NewMountPoint("drive"));
        Assert.Equal(1, result.ExitCode);
        Refused("only 0 of 4 replicas answer", result);
        Assert.Contains("bfs cluster start", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Mount_points_that_cannot_be_used_are_refused()
    {
        _cluster.Start("--size", "64M");
        string file = _cluster.PathOf("file");
        File.WriteAllText(file, "");
        Refused("is not a directory", Failed("mount", file));
        Refused("does not exist", Failed("mount", _cluster.PathOf("missing")));
        string drive = _cluster.Mount();
        Refused("is busy", Failed("mount", drive));
        Refused("is in use by process", Failed("mount", "--client", "1024", _cluster.NewMountPoint("second")));
        Refused("drives of this cluster are mounted here", Failed("cluster", "stop"));
        NoRelayBut(1024);
    }

    [Fact]
    public void A_drive_in_use_is_not_unmounted_and_its_user_is_named()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        using var user = _cluster.Launch("bash", "-c", $"cd '{drive}' && exec sleep 300");
        try
        {
            while (new FileInfo($"/proc/{user.Id}/cwd").LinkTarget != drive)
            {
                Assert.False(user.HasExited);
                Thread.Sleep(10);
            }
            Refused($"is in use by process {user.Id}", Failed("unmount", drive));
            Assert.Equal("still here\n", _cluster.Work(drive, "echo still here > file; cat file"));
        }
        finally
        {
            user.Kill();
            user.WaitForExit();
        }
        _cluster.Bfs("unmount", drive).Succeeded();
        NoRelayBut(0);
    }

    [Fact]
    public void A_state_of_another_size_is_refused()
    {
        _cluster.Start("--size", "64M").Bfs("cluster", "stop").Succeeded();
        ClusterConfig config = ClusterFile.Read(_cluster.Files.ClusterFile);
        ClusterFile.Write(_cluster.Files.ClusterFile, config with { ServiceStateBytes = 32 << 20 });
        Refused("the size of a state cannot change", Failed("cluster", "start"));
        NothingRuns();
    }

    [Fact]
    public void A_damaged_state_that_nobody_can_repair_is_refused()
    {
        _cluster.Start("--no-rep", "--size", "64M").Bfs("cluster", "stop").Succeeded();
        string meta = Path.Combine(_cluster.Files.Replica(new ReplicaId(0)), "state.meta");
        byte[] bytes = File.ReadAllBytes(meta);
        bytes[20] ^= 1;
        File.WriteAllBytes(meta, bytes);
        Refused("there are no other replicas to repair it from", Failed("cluster", "start"));
        NothingRuns();
    }

    [Fact]
    public void A_replica_runs_once()
    {
        _cluster.Start("--size", "64M");
        int pid = _cluster.PidOf(2)!.Value;
        Refused($"replica 2 runs already (process {pid})", Failed("replica", "start", "2"));
        Assert.Equal(pid, _cluster.PidOf(2));
        Assert.Contains("all 4 replicas of this machine run already", _cluster.Bfs("cluster", "start").Succeeded().Output, StringComparison.Ordinal);
        foreach (string unknown in (string[])["4", "-1", "two", ""])
        {
            Assert.Equal(2, _cluster.Bfs("replica", "stop", unknown).ExitCode);
            Assert.Equal(2, _cluster.Bfs("replica", "start", unknown).ExitCode);
        }
        _cluster.Bfs("replica", "stop", "2").Succeeded();
        Assert.Null(_cluster.PidOf(2));
        Refused("replica 2 does not run", Failed("replica", "stop", "2"));
        // One that was killed leaves its files as they were: it starts like any other.
        _cluster.Bfs("replica", "start", "2").Succeeded();
        ClusterFixture.Kill(_cluster.PidOf(2)!.Value);
        Refused("replica 2 does not run", Failed("replica", "stop", "2"));
        _cluster.Bfs("replica", "start", "2").Succeeded();
    }

    [Fact]
    public void Status_ends_with_1_without_a_quorum()
    {
        _cluster.Start("--size", "64M");
        Assert.Equal(0, _cluster.Bfs("status").ExitCode);
        _cluster.Bfs("status", "--wait", "60").Succeeded();
        _cluster.Bfs("replica", "stop", "3").Succeeded();
        Assert.Equal(0, _cluster.Bfs("status").ExitCode);
        Refused("not all replicas have caught up in 1 s", Failed("status", "--wait", "1"));
        _cluster.Bfs("replica", "stop", "2").Succeeded();
        CommandResult status = _cluster.Bfs("status");
        Assert.Equal(1, status.ExitCode);
        Assert.Contains("2 of 4 replicas can be reached, but 3 are needed", status.Output, StringComparison.Ordinal);
    }

    private CommandResult Failed(params string[] arguments)
    {
        CommandResult result = _cluster.Bfs(arguments);
        Assert.Equal(1, result.ExitCode);
        return result;
    }

    private static void Refused(string message, CommandResult result)
    {
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
        Assert.StartsWith("bfs: ", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Exception", result.Error, StringComparison.Ordinal);
    }

    private void NothingRuns() => Assert.All(Enumerable.Range(0, 4), i => Assert.Null(_cluster.PidOf(i)));

    private void NoRelayBut(int client) => Assert.All(Enumerable.Range(1024, 8), i =>
        Assert.Equal(i == client, ProcessLock.HolderOf(_cluster.Files.ClientLock(new ClientId(i))) is not null));
}
