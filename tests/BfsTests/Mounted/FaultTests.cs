using System.Diagnostics;
using System.Text.Json;
using BfsCore;
using BfsCore.Hosting;

namespace BfsTests.Mounted;

/// <summary>
/// Work goes on, and nothing is lost, while replicas are killed and started again (§2.2: up to f faulty ones), and over
/// stops of everything.
/// </summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class FaultTests : IDisposable
{
    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void Work_goes_on_while_a_backup_is_killed_and_the_backup_catches_up()
    {
        string drive = _cluster.Start().Mount();
        string local = _cluster.PathOf("local");
        Directory.CreateDirectory(local);
        _cluster.Work(local, Scripts.MakeTree("tree", 600));
        int victim = Backup();
        using Process work = _cluster.Launch("bash", "-c", $"""
            set -euo pipefail; cd '{drive}'
            git init -q repository; git -C repository config user.email test@example.com; git -C repository config user.name Test
            for round in 1 2 3; do
              cp -r '{local}/tree' tree$round
              cp -r tree$round repository/tree$round; git -C repository add -A; git -C repository commit -q -m "round $round"
              seq 1 200 | sed 's/.*/insert into t values(&);/' | (echo 'create table if not exists t(a); begin;'; cat; echo 'commit;') | sqlite3 db
              touch '{local}'/round$round
            done
            """);
        // The first round is done: it is in the midst of work.
        ClusterFixture.WaitFor(() => File.Exists(Path.Combine(local, "round1")) || work.HasExited);
        ClusterFixture.Kill(_cluster.PidOf(victim)!.Value);
        work.WaitForExit();
        Assert.True(work.ExitCode == 0, work.StandardError.ReadToEnd());
        Assert.Equal("ok\n600\n", _cluster.Work(drive, $"""
            for round in 1 2 3; do diff -r '{local}/tree' tree$round; diff -r '{local}/tree' repository/tree$round; done
            git -C repository fsck --strict --no-progress
            git -C repository status --porcelain
            sqlite3 db 'pragma integrity_check; select count(*) from t;'
            """));
        JsonElement dead = Replica(victim);
        Assert.False(dead.GetProperty("reachable").GetBoolean());
        Assert.Equal(JsonValueKind.Null, dead.GetProperty("pid").ValueKind);

        _cluster.Bfs("replica", "start", $"{victim}").Succeeded();
        // More work than the log holds, so that checkpoints become stable after it came back.
        _cluster.Work(drive, "seq 600 | while read i; do echo $i > more$i; done");
        ClusterFixture.WaitFor(_cluster.HasSameStable);
    }

    [Fact]
    public void Everything_is_found_again_after_a_stop_of_everything()
    {
        string drive = _cluster.Start("--size", "1G").Mount();
        string before = _cluster.Work(drive, Scripts.MakeTree("tree", 300) + "tar cf - tree | sha256sum");
        _cluster.Bfs("unmount", drive).Succeeded();
        _cluster.Bfs("cluster", "stop").Succeeded();
        Assert.All(Enumerable.Range(0, 4), i => Assert.Null(_cluster.PidOf(i)));
        _cluster.Bfs("cluster", "start").Succeeded();
        _cluster.Bfs("mount", drive).Succeeded();
        Assert.Equal(before, _cluster.Work(drive, "tar cf - tree | sha256sum"));
    }

    [Fact]
    public void A_clean_stop_keeps_batches_above_the_stable_checkpoint()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        _cluster.Work(drive, "echo few operations > file");
        _cluster.Bfs("unmount", drive).Succeeded();
        // Fewer than K batches: only the log has them (§2.3.4).
        Assert.All(Replicas(), r => Assert.Equal(0, r.GetProperty("stableCheckpoint").GetInt64()));
        long executed = Replica(0).GetProperty("lastExecuted").GetInt64();
        Assert.InRange(executed, 1, 127);
        _cluster.Bfs("cluster", "stop").Succeeded();
        _cluster.Bfs("cluster", "start").Succeeded();
        Assert.All(Replicas(), r => Assert.InRange(r.GetProperty("lastExecuted").GetInt64(), executed, long.MaxValue));
        _cluster.Bfs("mount", drive).Succeeded();
        Assert.Equal("few operations\n", _cluster.Work(drive, "cat file"));
    }

    /// <summary>Outside the thesis's model; the vote logs have everything (pitfall 33).</summary>
    [Fact]
    public void A_drive_survives_that_all_replicas_are_killed()
    {
        string drive = _cluster.Start("--size", "256M").Mount();
        string before = _cluster.Work(drive, Scripts.MakeTree("tree", 200) + "tar cf - tree | sha256sum");
        for (int i = 0; i < 4; i++)
        {
            ClusterFixture.Kill(_cluster.PidOf(i)!.Value);
        }
        _cluster.Bfs("cluster", "start").Succeeded();
        Assert.Equal(before, _cluster.Work(drive, "tar cf - tree | sha256sum"));
    }

    /// <summary>
    /// Enough is written that images are being saved all the time: the ends of processes fall into saves, and into the times when the
    /// log is kept twice.
    /// </summary>
    [Fact]
    public void Replicas_that_are_killed_while_they_save_images_lose_nothing()
    {
        string drive = _cluster.Start("--size", "1G").Mount();
        string source = _cluster.PathOf("source");
        _cluster.Work(_cluster.PathOf("."), "head -c 150000000 /dev/urandom > source");
        using Process work = _cluster.Launch("bash", "-c", $"set -e; cd '{drive}'; for i in 1 2 3; do cp '{source}' copy$i; done");
        for (int round = 0; round < 4; round++)
        {
            long bytes = 60_000_000L * (round + 1);
            ClusterFixture.WaitFor(() => work.HasExited || Written(drive) >= bytes);
            int victim = Backup();
            ClusterFixture.Kill(_cluster.PidOf(victim)!.Value);
            StartAgain(victim);
        }
        work.WaitForExit();
        Assert.True(work.ExitCode == 0, work.StandardError.ReadToEnd());
        foreach (int pid in Enumerable.Range(0, 4).Select(i => _cluster.PidOf(i)!.Value))
        {
            ClusterFixture.Kill(pid);
        }
        for (int i = 0; i < 4; i++)
        {
            StartAgain(i);
        }
        Assert.Equal("whole\n", _cluster.Work(drive, $"for i in 1 2 3; do cmp '{source}' copy$i; done; echo whole"));
        _cluster.Work(drive, "seq 300 | while read i; do echo $i > more$i; done");
        ClusterFixture.WaitFor(_cluster.HasSameStable);
    }

    /// <summary>The monitor of a replica that was killed takes a moment to end.</summary>
    private void StartAgain(int replica) =>
        ClusterFixture.WaitFor(() => _cluster.Bfs("replica", "start", $"{replica}").ExitCode == 0);

    private static long Written(string drive) =>
        Directory.GetFiles(drive, "copy*").Sum(path => new FileInfo(path).Length);

    [Fact]
    public void What_one_drive_closes_the_other_opens()
    {
        string first = _cluster.Start("--size", "64M").Mount("first");
        string second = _cluster.Mount("second");
        string output = _cluster.Work(first, $"""
            for i in $(seq 50); do
              echo "version $i from the first" > shared; [ "$(cat {second}/shared)" = "version $i from the first" ]
              echo "version $i from the second" > {second}/shared; [ "$(cat shared)" = "version $i from the second" ]
            done
            mkdir directory; touch {second}/directory/file; rm directory/file
            # A name may be used without asking for a second.
            for i in $(seq 100); do [ -e {second}/directory/file ] || break; sleep 0.1; done
            [ ! -e {second}/directory/file ] && echo gone
            """);
        Assert.Equal("gone\n", output);
        Assert.NotEqual(ClientOf(first), ClientOf(second));
    }

    [Fact]
    public void A_full_drive_says_so_and_loses_nothing()
    {
        string drive = _cluster.Start("--size", "16M").Mount();
        string output = _cluster.Work(drive, """
            head -c 3000000 /dev/urandom > kept; sum=$(sha256sum < kept)
            if dd if=/dev/zero of=filler bs=64k 2> /tmp/$$.error; then echo "a full drive was not noticed"; fi
            grep -o 'No space left on device' /tmp/$$.error; rm /tmp/$$.error
            if echo more than fits > another 2> /dev/null && [ -s another ]; then cat another; fi
            [ "$sum" = "$(sha256sum < kept)" ] && echo kept
            rm filler
            head -c 3000000 /dev/urandom > again; sync again; cmp -n 3000000 kept kept && stat -c %s again
            """);
        Assert.Contains("No space left on device", output, StringComparison.Ordinal);
        Assert.Contains("kept\n3000000", output, StringComparison.Ordinal);
        Assert.DoesNotContain("not noticed", output, StringComparison.Ordinal);
        Assert.All(Replicas(), r => Assert.True(r.GetProperty("reachable").GetBoolean()));
    }

    [Fact]
    public void A_mount_whose_relay_was_killed_is_cleared_by_the_next_one()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        _cluster.Work(drive, "echo before > file; sync file");
        ClusterFixture.Kill(ProcessLock.HolderOf(_cluster.Files.ClientLock(new ClientId(1024)))!.Value);
        _cluster.Bfs("mount", drive).Succeeded();
        Assert.Equal("before\n", _cluster.Work(drive, "cat file"));
        ClusterFixture.Kill(ProcessLock.HolderOf(_cluster.Files.ClientLock(new ClientId(1024)))!.Value);
        Assert.Contains("stale", _cluster.Bfs("unmount", drive).Succeeded().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unreplicated_server_keeps_files_too()
    {
        string drive = _cluster.Start("--no-rep", "--size", "256M").Mount();
        string before = _cluster.Work(drive, Scripts.MakeTree("tree", 200) + "tar cf - tree | sha256sum");
        Assert.Equal((1, 0), (_cluster.Status().GetProperty("n").GetInt32(), _cluster.Status().GetProperty("f").GetInt32()));
        _cluster.Bfs("unmount", drive).Succeeded();
        _cluster.Bfs("cluster", "stop").Succeeded();
        _cluster.Bfs("cluster", "start").Succeeded();
        _cluster.Bfs("mount", drive).Succeeded();
        Assert.Equal(before, _cluster.Work(drive, "tar cf - tree | sha256sum"));
    }

    private IEnumerable<JsonElement> Replicas() => _cluster.Status().GetProperty("replicas").EnumerateArray();

    private JsonElement Replica(int id) => _cluster.Status().GetProperty("replicas")[id];

    private int Backup() => Replicas().Last(r => !r.GetProperty("isPrimary").GetBoolean()).GetProperty("id").GetInt32();

    private string ClientOf(string mountPoint) => Directory.GetFiles(_cluster.Files.Clients, "*.mount")
        .Single(f => File.ReadAllText(f).StartsWith(mountPoint + "\n", StringComparison.Ordinal));
}
