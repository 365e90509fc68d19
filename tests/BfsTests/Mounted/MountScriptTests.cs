using System.Diagnostics;

namespace BfsTests.Mounted;

/// <summary>mount.sh: one command to a drive, and back.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class MountScriptTests : IDisposable
{
    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void One_command_mounts_one_unmounts_and_the_files_are_found_again()
    {
        string drive = _cluster.NewMountPoint("drive");
        Directory.Delete(drive);
        string output = _cluster.MountScript(drive, "--size", "64M").Succeeded().Output;
        Assert.Contains("made a cluster", output, StringComparison.Ordinal);
        Assert.Contains("--unmount", output, StringComparison.Ordinal);
        _cluster.Work(drive, "echo kept > file");
        Assert.Contains("mounted already", _cluster.MountScript(drive).Succeeded().Output, StringComparison.Ordinal);

        _cluster.MountScript("--unmount", drive).Succeeded();
        Assert.All(Enumerable.Range(0, 4), i => Assert.Null(_cluster.PidOf(i)));
        Assert.Empty(Directory.GetFiles(drive));

        output = _cluster.MountScript(drive).Succeeded().Output;
        Assert.DoesNotContain("made a cluster", output, StringComparison.Ordinal);
        Assert.Equal("kept\n", _cluster.Work(drive, "cat file"));
    }

    [Fact]
    public void A_drive_in_a_cluster_whose_path_has_blanks_is_mounted_once()
    {
        string drive = _cluster.NewMountPoint("a drive");
        string cluster = _cluster.PathOf("a cluster");
        _cluster.MountScript("--cluster", cluster, "--size", "64M", drive).Succeeded();
        Assert.Contains("mounted already", _cluster.MountScript("--cluster", cluster, drive).Succeeded().Output, StringComparison.Ordinal);
        _cluster.MountScript("--unmount", drive).Succeeded();
    }

    [Fact]
    public void The_replicas_stay_for_another_drive_and_for_their_operator()
    {
        string first = _cluster.NewMountPoint("first");
        string second = _cluster.NewMountPoint("second");
        _cluster.MountScript(first, "--size", "64M").Succeeded();
        _cluster.MountScript(second).Succeeded();
        Assert.Contains($"go on running for {second}", _cluster.MountScript("--unmount", first).Succeeded().Output, StringComparison.Ordinal);
        Assert.NotNull(_cluster.PidOf(0));
        _cluster.MountScript("--unmount", second).Succeeded();
        Assert.Null(_cluster.PidOf(0));

        _cluster.Bfs("cluster", "start").Succeeded();
        _cluster.MountScript(first).Succeeded();
        Assert.Contains("were not started for this mount", _cluster.MountScript("--unmount", first).Succeeded().Output, StringComparison.Ordinal);
        Assert.NotNull(_cluster.PidOf(0));
    }

    [Fact]
    public void In_the_foreground_an_interrupt_unmounts_and_stops_everything()
    {
        string drive = _cluster.NewMountPoint("drive");
        // A shell that is started where SIGINT is ignored, in the background for example, could not heed it.
        using Process script = _cluster.Launch("env", "--default-signal=INT", Path.Combine(ClusterFixture.Project, "mount.sh"), "--foreground", "--size", "64M", drive);
        // The last line before it serves; the reader's end would say that it died.
        string? line;
        do
        {
            line = script.StandardOutput.ReadLine();
            Assert.NotNull(line);
        }
        while (!line.StartsWith("mounted ", StringComparison.Ordinal));
        _cluster.Work(drive, "echo kept > file; cat file");
        int relay = BfsCore.Hosting.ProcessLock.HolderOf(_cluster.Files.ClientLock(new BfsCore.ClientId(1024)))!.Value;
        _cluster.Work("/", $"kill -INT {relay}");
        script.WaitForExit();
        Assert.Equal(0, script.ExitCode);
        Assert.Null(_cluster.PidOf(0));
        Assert.Empty(Directory.GetFiles(drive));
    }

    [Fact]
    public void The_unreplicated_server_has_a_directory_of_its_own()
    {
        string drive = _cluster.NewMountPoint("drive");
        _cluster.MountScript("--no-rep", "--size", "64M", drive).Succeeded();
        _cluster.Work(drive, "echo kept > file; cat file");
        Assert.True(File.Exists(Path.Combine(_cluster.Home + "-no-rep", "cluster.json")));
        Assert.False(Directory.Exists(_cluster.Home));
        _cluster.MountScript("--unmount", drive).Succeeded();
    }

    [Theory]
    [InlineData("unknown option '--frob'", "--frob", "/tmp/x")]
    [InlineData("which mount point?")]
    [InlineData("--size needs a value", "/tmp/x", "--size")]
    [InlineData("one mount point, please", "/tmp/x", "/tmp/y")]
    public void Wrong_usage_ends_with_2(string message, params string[] arguments)
    {
        CommandResult result = _cluster.MountScript(arguments);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mount_that_fails_leaves_nothing_running()
    {
        string file = _cluster.PathOf("file");
        File.WriteAllText(file, "");
        CommandResult result = _cluster.MountScript(file);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("is not a directory", result.Error, StringComparison.Ordinal);

        CommandResult options = _cluster.MountScript("--size", "nonsense", _cluster.NewMountPoint("drive"));
        Assert.Equal(2, options.ExitCode);
        Assert.Contains("is no size", options.Error, StringComparison.Ordinal);

        // A mount point that something else is mounted on: found only after the replicas were started.
        CommandResult busy = _cluster.MountScript("--size", "64M", "/proc");
        Assert.Equal(1, busy.ExitCode);
        Assert.Contains("is busy", busy.Error, StringComparison.Ordinal);
        Assert.Null(_cluster.PidOf(0));
    }
}
