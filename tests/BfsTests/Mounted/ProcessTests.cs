using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;

namespace BfsTests.Mounted;

/// <summary>The processes of a replica: its recovery monitor, its key holder and itself (§4.2); whichever of them dies.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class ProcessTests : IDisposable
{
    private static readonly ReplicaId s_victim = new(2);

    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    private int? Monitor => ProcessLock.HolderOf(_cluster.Files.MonitorLock(s_victim));

    private int? Holder => ProcessLock.HolderOf(_cluster.Files.KeyHolderLock(s_victim));

    private int? Replica => _cluster.PidOf(s_victim.Value);

    private string Log => File.ReadAllText(_cluster.Files.LogFile(s_victim));

    private IReadOnlyList<RecoveryRecord> Records => RecoveryJournal.Read(_cluster.Files.Recoveries(s_victim), out _);

    private static int ParentOf(int pid) => int.Parse(File.ReadAllText($"/proc/{pid}/stat").Split(") ")[1].Split(' ')[1], null);

    [Fact]
    public void The_key_is_in_a_process_of_its_own_and_all_end_together()
    {
        _cluster.Start("--size", "64M");
        Assert.Equal((Monitor, Monitor), (ParentOf(Holder!.Value), ParentOf(Replica!.Value)));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite,
            File.GetUnixFileMode(_cluster.Files.KeyHolderSocket(s_victim)) & File.GetUnixFileMode(_cluster.Files.MonitorSocket(s_victim)));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_cluster.Files.Replica(s_victim)));
        // Nobody but the replica is let in, not even the same user.
        using (Socket socket = UnixSockets.TryConnect(_cluster.Files.KeyHolderSocket(s_victim))!)
        {
            Assert.Equal(0, socket.Receive(new byte[100]));
        }
        _cluster.Bfs("replica", "stop", "2").Succeeded();
        Assert.Equal((null, null, null), (Monitor, Holder, Replica));
    }

    [Fact]
    public void A_replica_without_its_key_holder_is_started_again_with_a_new_one()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        (int replica, int holder) = (Replica!.Value, Holder!.Value);
        ClusterFixture.Kill(holder);
        ClusterFixture.WaitFor(() => Replica is { } now && now != replica && Holder is { } other && other != holder);
        Assert.Contains("the key holder has gone", Log, StringComparison.Ordinal);
        _cluster.Bfs("status", "--wait", "60").Succeeded();
        Assert.Equal("still\n", _cluster.Work(drive, "echo still > file; cat file"));
    }

    [Fact]
    public void A_replica_whose_monitor_was_killed_goes_on_and_can_be_stopped()
    {
        _cluster.Start("--size", "64M");
        int replica = Replica!.Value;
        ClusterFixture.Kill(Monitor!.Value);
        Assert.Equal(replica, Replica);
        CommandResult recover = _cluster.Bfs("recover", "2");
        Assert.Equal(1, recover.ExitCode);
        Assert.Contains("runs without its recovery monitor", recover.Error, StringComparison.Ordinal);
        Assert.Contains("runs already", _cluster.Bfs("replica", "start", "2").Error, StringComparison.Ordinal);
        _cluster.Bfs("replica", "stop", "2").Succeeded();
        Assert.Null(Replica);
        // The key holder goes with the replica that it served.
        ClusterFixture.WaitFor(() => Holder is null);
        _cluster.Bfs("replica", "start", "2").Succeeded();
        Assert.NotNull(Monitor);
    }

    [Fact]
    public void A_key_that_others_may_read_is_refused_with_what_to_do()
    {
        _cluster.Bfs("cluster", "init", "--size", "64M").Succeeded();
        File.SetUnixFileMode(_cluster.Files.ReplicaKey(s_victim), UnixFileMode.UserRead | UnixFileMode.OtherRead);
        CommandResult result = _cluster.Bfs("replica", "start", "2");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("chmod 600", result.Error, StringComparison.Ordinal);
        Assert.Equal((null, null, null), (Monitor, Holder, Replica));
    }

    /// <summary>§4.3.2: the copy of the code is compared with the digests in the read-only memory.</summary>
    [Fact]
    public void A_program_that_was_tampered_with_is_not_run()
    {
        _cluster.Start("--size", "64M");
        var program = new InstalledProgram(_cluster.Files, s_victim);
        ClusterFixture.Kill(Replica!.Value);
        File.Copy(program.ProgramEntry, _cluster.PathOf("right"));
        File.Delete(program.ProgramEntry);
        File.WriteAllText(program.ProgramEntry, "a Trojan horse");
        string output = _cluster.Bfs("replica", "start", "2").Succeeded().Output;
        Assert.Contains("program file BfsReplica.dll of replica 2 is not the installed one (changed): it was restored", output, StringComparison.Ordinal);
        Assert.Contains("is not the installed one", Log, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(_cluster.PathOf("right")), File.ReadAllBytes(program.ProgramEntry));
        RecoveryRecord record = Assert.Single(Records);
        Assert.Equal(("start", "repaired"), (record.Cause, record.Outcome));
        TamperedFile file = Assert.Single(record.ProgramFiles);
        Assert.Equal(("BfsReplica.dll", "changed", "a Trojan horse"), (file.Name, file.Problem, File.ReadAllText(file.SavedAs!)));
        Assert.Contains("BfsReplica.dll changed", _cluster.Bfs("recoveries").Succeeded().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_newer_program_is_installed_when_a_stopped_replica_is_started()
    {
        _cluster.Start("--size", "64M");
        var program = new InstalledProgram(_cluster.Files, s_victim);
        string newer = _cluster.PathOf("newer");
        _cluster.Work("/", $"cp -r '{program.MonitorDirectory}' '{newer}'; rm '{newer}/manifest.sha256'; chmod u+w '{newer}'/*; echo >> '{newer}/BfsReplica.deps.json'");
        _cluster.Bfs("replica", "stop", "2").Succeeded();
        string output = _cluster.Work("/", $"BFS_HOME='{_cluster.Home}' BFS_REPLICA='{newer}' '{ClusterFixture.Project}/bfs' replica start 2");
        Assert.Contains("replica 2: a newer version of the program is installed", output, StringComparison.Ordinal);
        Assert.Equal(ProgramManifest.Of(newer).Digest, ProgramManifest.TryRead(program.ManifestFile)!.Digest);
        // It is no tampering.
        Assert.Empty(Records);
        Assert.Contains("manifest.sha256: OK", _cluster.Work(program.MonitorDirectory, "sha256sum --quiet -c manifest.sha256 && echo manifest.sha256: OK"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_monitor_takes_any_bytes()
    {
        _cluster.Start("--size", "64M");
        foreach (byte[] bytes in (byte[][])[[0, 255, (byte)'\n'], [.. Encoding.UTF8.GetBytes("{}\n")], [.. Encoding.UTF8.GetBytes("null\n")],
            [.. Enumerable.Repeat((byte)'x', 5000)], [(byte)'{'], [.. Encoding.UTF8.GetBytes("{\"command\":\"frob\",\"force\":1}\n")]])
        {
            using Socket socket = UnixSockets.TryConnect(_cluster.Files.MonitorSocket(s_victim))!;
            socket.Send(bytes);
            socket.Shutdown(SocketShutdown.Send);
            byte[] answer = new byte[1000];
            int length = 0;
            try
            {
                length = socket.Receive(answer);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
            {
                // Closed with bytes of ours unread.
            }
            Assert.Contains("does not know that command", length == 0 ? "does not know that command" : Encoding.UTF8.GetString(answer, 0, length), StringComparison.Ordinal);
        }
        _cluster.Bfs("replica", "stop", "2").Succeeded();
    }
}
