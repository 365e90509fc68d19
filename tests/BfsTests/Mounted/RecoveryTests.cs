using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;

namespace BfsTests.Mounted;

/// <summary>Proactive recovery (§4.3.2) as operators and the watchdog start it; programs on the drive notice nothing.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class RecoveryTests : IDisposable
{
    private static readonly string[] s_phases =
        ["save state", "verify program", "reboot", "restore state", "estimation", "request", "check and fetch"];

    private readonly ClusterFixture _cluster = new();
    private Process? _work;

    public void Dispose()
    {
        if (_work is { HasExited: false })
        {
            _work.Kill(entireProcessTree: true);
        }
        _work?.Dispose();
        _cluster.Dispose();
    }

    private string End => _cluster.PathOf("end");

    private IReadOnlyList<RecoveryRecord> Records(int id) => RecoveryJournal.Read(_cluster.Files.Recoveries(new ReplicaId(id)), out _);

    /// <summary>Writes files and reads them back until <see cref="EndWork"/>.</summary>
    private void StartWork(string drive) => _work = _cluster.Launch("bash", "-c", $$"""
        set -euo pipefail; cd '{{drive}}'; mkdir work
        i=0
        while [ ! -e '{{End}}' ]; do
          i=$((i + 1)); seq $i $((i + 3000)) > work/$((i % 50)); cmp work/$((i % 50)) <(seq $i $((i + 3000)))
        done
        echo $i
        """);

    /// <returns>How many files were written.</returns>
    private int EndWork()
    {
        File.WriteAllText(End, "");
        string output = _work!.StandardOutput.ReadToEnd();
        _work.WaitForExit();
        Assert.True(_work.ExitCode == 0, _work.StandardError.ReadToEnd());
        return int.Parse(output, null);
    }

    private CommandResult Failed(int code, string message, params string[] arguments)
    {
        CommandResult result = _cluster.Bfs(arguments);
        Assert.Equal(code, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
        return result;
    }

    [Fact]
    public void Each_replica_in_turn_recovers_under_load()
    {
        string drive = _cluster.Start("--size", "256M").Mount();
        // Enough operations for a checkpoint after it: pages have digests from then on.
        _cluster.Work(drive, "head -c 20000000 /dev/urandom > large; sync; for i in $(seq 400); do echo $i > small; done; sync");
        StartWork(drive);
        for (int id = 0; id < 4; id++)
        {
            int pid = _cluster.PidOf(id)!.Value;
            CommandResult result = _cluster.Bfs("recover", $"{id}").Succeeded();
            Assert.NotEqual(pid, _cluster.PidOf(id));
            Assert.All(s_phases, phase => Assert.Contains(phase, result.Output, StringComparison.Ordinal));
            RecoveryRecord record = Assert.Single(Records(id));
            Assert.Equal(("operator", "recovered", null), (record.Cause, record.Outcome, record.Error));
            Assert.Equal(s_phases, record.Phases.Select(p => p.Name));
            Assert.True(record.StateSaved);
            Assert.InRange(record.MemoryPagesChecked, 1000, long.MaxValue);
            Assert.Equal(0, record.PagesCorrupt);
            Assert.InRange(record.RequestSeq, 1, record.Point);
            Assert.InRange(record.Bound, 1, record.Point);
            Assert.Contains("uid", record.Who, StringComparison.Ordinal);
            // Replica 0 is the first primary.
            Assert.True(id > 0 || (record.HandedOver && record.ViewBefore == 0));
            Assert.True(record.HandedOver || record.ViewAfter >= record.ViewBefore);
        }
        Assert.InRange(EndWork(), 1, int.MaxValue);
        _cluster.Bfs("status", "--wait", "60").Succeeded();
        Assert.Equal(4, _cluster.Bfs("recoveries", "--json").Succeeded().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    private const string FillDirectory = "mkdir d; for i in $(seq 40); do head -c 100000 /dev/urandom > d/f$i; done; sync; cat d/* | sha256sum";
    private const string PassCheckpoint = "seq 400 | while read i; do echo $i > more$i; done; sync";

    /// <summary>§4.3.2: the state may be corrupt; reads stay right meanwhile, and the damage is named and repaired.</summary>
    [Fact]
    public void Damaged_memory_is_named_repaired_and_kept()
    {
        string drive = _cluster.Start("--size", "256M").Mount();
        string before = _cluster.Work(drive, FillDirectory);
        // Pages have digests, by which damage is known, from the next checkpoint on.
        _cluster.Work(drive, PassCheckpoint);
        ClusterFixture.WaitFor(_cluster.HasSameStable);
        DamageMemory(_cluster.PidOf(2)!.Value, 2000);
        Assert.Equal(before, _cluster.Work(drive, "cat d/* | sha256sum"));
        string output = _cluster.Bfs("recover", "2").Succeeded().Output;
        RecoveryRecord record = Records(2).Single(r => r.Cause == "operator");
        Assert.InRange(record.PagesCorrupt, 100, 2000);
        Assert.Equal(record.PagesCorrupt, record.CorruptPages.Count);
        Assert.Contains(record.CorruptPages, p => p.What?.Contains("of inode", StringComparison.Ordinal) == true && p.What.Contains("(/d/f", StringComparison.Ordinal));
        Assert.Contains("(/d/f", output, StringComparison.Ordinal);
        // The damaged bytes are there: for each page its number and 4096 bytes; twice, if scrubbing found it just before.
        long saved = record.SavedPages.Sum(path => new FileInfo(path).Length);
        Assert.Equal(0, saved % (8 + 4096));
        Assert.InRange(saved / (8 + 4096), record.PagesCorrupt, 2 * record.PagesCorrupt);
        Assert.Equal(before, _cluster.Work(drive, "cat d/* | sha256sum"));
        _cluster.Work(drive, PassCheckpoint);
        ClusterFixture.WaitFor(_cluster.HasSameStable);
    }

    /// <summary>Damage that no checkpoint knows of cannot be named; executing the log anew repairs it all the same.</summary>
    [Fact]
    public void Damaged_memory_above_the_last_checkpoint_is_repaired()
    {
        string drive = _cluster.Start("--size", "256M").Mount();
        string before = _cluster.Work(drive, "head -c 4000000 /dev/urandom > f; sync; sha256sum < f");
        Assert.All(_cluster.Status().GetProperty("replicas").EnumerateArray(), r => Assert.Equal(0, r.GetProperty("stableCheckpoint").GetInt64()));
        DamageMemory(_cluster.PidOf(2)!.Value, 2000);
        Assert.Equal(before, _cluster.Work(drive, "sha256sum < f"));
        _cluster.Bfs("recover", "2").Succeeded();
        Assert.Equal(before, _cluster.Work(drive, "sha256sum < f"));
        _cluster.Work(drive, PassCheckpoint);
        ClusterFixture.WaitFor(_cluster.HasSameStable);
    }

    /// <summary>Whatever is in its files, it comes back.</summary>
    [Fact]
    public void A_replica_that_cannot_start_with_its_state_gets_a_whole_one()
    {
        string drive = _cluster.Start("--size", "64M").Mount();
        string before = _cluster.Work(drive, "head -c 3000000 /dev/urandom > file; sync; sha256sum < file");
        string image = Path.Combine(_cluster.Files.Replica(new ReplicaId(2)), "state.image");
        _cluster.Work(drive, $"truncate -s +4096 '{image}'");
        string output = _cluster.Bfs("recover", "2").Succeeded().Output;
        Assert.Contains("fetched anew", output, StringComparison.Ordinal);
        Assert.Single(Directory.GetDirectories(_cluster.Files.Evidence(new ReplicaId(2)), "state-*"));
        Assert.Equal(before, _cluster.Work(drive, "sha256sum < file; seq 300 | while read i; do echo $i > more$i; done"));
        ClusterFixture.WaitFor(_cluster.HasSameStable);
    }

    [Fact]
    public void A_program_that_was_replaced_under_the_running_replica_is_restored()
    {
        _cluster.Start("--size", "64M");
        var program = new InstalledProgram(_cluster.Files, new ReplicaId(1));
        File.Delete(program.ProgramEntry);
        File.WriteAllText(program.ProgramEntry, "a Trojan horse");
        string output = _cluster.Bfs("recover", "1").Succeeded().Output;
        Assert.Contains("BfsReplica.dll", output, StringComparison.Ordinal);
        Assert.Equal("a Trojan horse", File.ReadAllText(Assert.Single(Assert.Single(Records(1)).ProgramFiles).SavedAs!));
    }

    [Fact]
    public void What_cannot_be_recovered_is_refused()
    {
        _cluster.Start("--size", "64M");
        Failed(2, "there is no replica 4; they are 0 to 3", "recover", "4");
        Failed(2, "there is no replica x", "recover", "x");
        Failed(2, "", "recover");
        _cluster.Bfs("replica", "stop", "3").Succeeded();
        Failed(1, "replica 3 does not run; start it", "recover", "3");
        Failed(1, "replica 3 cannot be reached", "recover", "1");
        Assert.Empty(Records(1));
        // Three are a quorum: the operator may insist.
        _cluster.Bfs("recover", "1", "--force").Succeeded();
        _cluster.Bfs("replica", "start", "3").Succeeded();
        Assert.Contains("no recoveries yet", _cluster.Bfs("recoveries", "3").Succeeded().Output, StringComparison.Ordinal);
        ClusterFixture.Kill(_cluster.PidOf(2)!.Value);
        Failed(1, "replica 2 does not run", "recover", "2");
    }

    /// <summary>A process that hangs is not asked for ever.</summary>
    [Fact]
    public void A_replica_that_does_not_save_is_ended_by_force_and_recovers()
    {
        _cluster.Start("--size", "64M");
        _cluster.Work("/", $"kill -STOP {_cluster.PidOf(2)}");
        _cluster.Bfs("recover", "2").Succeeded();
        RecoveryRecord record = Assert.Single(Records(2));
        Assert.Equal(("recovered", false), (record.Outcome, record.StateSaved));
    }

    [Fact]
    public void An_unreplicated_server_has_nobody_to_recover_with()
    {
        _cluster.Start("--no-rep", "--size", "64M");
        Failed(1, "no others to recover with", "recover", "0");
        Assert.NotNull(_cluster.PidOf(0));
    }

    /// <summary>A monitor that dies in the midst of it: the next start goes on.</summary>
    [Fact]
    public void A_recovery_that_was_cut_short_is_taken_up()
    {
        _cluster.Start("--size", "64M");
        _cluster.Work("/", $"kill -STOP {_cluster.PidOf(2)}");
        using Process recover = _cluster.Launch(Path.Combine(ClusterFixture.Project, "bfs"), "recover", "2");
        ClusterFixture.WaitFor(() => File.Exists(_cluster.Files.RecoveryMark(new ReplicaId(2))));
        ClusterFixture.Kill(ProcessLock.HolderOf(_cluster.Files.MonitorLock(new ReplicaId(2)))!.Value);
        recover.WaitForExit();
        Assert.Equal(1, recover.ExitCode);
        Assert.Contains("has ended before the recovery did", recover.StandardError.ReadToEnd(), StringComparison.Ordinal);
        ClusterFixture.Kill(_cluster.PidOf(2)!.Value);
        _cluster.Bfs("replica", "start", "2").Succeeded();
        ClusterFixture.WaitFor(() => Records(2).Count == 1);
        Assert.Equal(("unfinished", "recovered"), (Records(2)[0].Cause, Records(2)[0].Outcome));
        ClusterFixture.WaitFor(() => !File.Exists(_cluster.Files.RecoveryMark(new ReplicaId(2))));
    }

    /// <summary>The watchdog may go off between somebody's look at a replica that is down and their start of it.</summary>
    [Fact]
    public async Task Starting_a_replica_whose_recovery_has_begun_waits_for_it()
    {
        _cluster.Start("--size", "64M");
        ClusterFixture.Kill(_cluster.PidOf(2)!.Value);
        // Two of four are no quorum: the recovery lasts until the start has been answered with a first line.
        string others = $"{_cluster.PidOf(1)} {_cluster.PidOf(3)}";
        _cluster.Work("/", $"kill -STOP {others}");
        string monitor = _cluster.Files.MonitorSocket(new ReplicaId(2));
        var said = new ConcurrentQueue<string?>();
        Task<MonitorLine?>? start = null;
        // The recovery is under way once it says its first phase.
        Task<MonitorLine?> recovery = MonitorConnection.SendAsync(monitor, new MonitorCommand { Command = MonitorCommand.Recover, Force = true },
            _ => start ??= MonitorConnection.SendAsync(monitor, new MonitorCommand { Command = MonitorCommand.Start }, line => said.Enqueue(line.Text)));
        ClusterFixture.WaitFor(() => !said.IsEmpty);
        _cluster.Work("/", $"kill -CONT {others}");
        Assert.Null((await recovery)!.Error);
        MonitorLine? started = await start!;
        Assert.Equal((true, null, _cluster.PidOf(2)), (started!.Done, started.Error, started.Pid));
        Assert.Equal(["replica 2 is recovering, which starts it"], said);
        Assert.Equal("recovered", Assert.Single(Records(2)).Outcome);
    }

    [Fact]
    public void The_watchdog_recovers_one_replica_after_the_other()
    {
        _cluster.Bfs("cluster", "init", "--size", "64M").Succeeded();
        _cluster.SetWatchdog(16);
        _cluster.Bfs("cluster", "start").Succeeded();
        string drive = _cluster.Mount();
        StartWork(drive);
        ClusterFixture.WaitFor(() => Enumerable.Range(0, 4).All(id => Records(id).Any(r => r is { Cause: "watchdog", Outcome: "recovered" })));
        Assert.InRange(EndWork(), 1, int.MaxValue);
        var all = Enumerable.Range(0, 4).SelectMany(Records).OrderBy(r => r.Time).ToList();
        for (int i = 1; i < all.Count; i++)
        {
            Assert.True(all[i].Time >= all[i - 1].Time.AddMilliseconds(all[i - 1].TotalMillis - 1), "two recovered at the same time");
        }
    }

    /// <summary>Flips bits in the mapping of a replica's state; root may.</summary>
    private static void DamageMemory(int pid, int bytes)
    {
        // Parts of it that are not saved yet may be mapped as plain memory: any other says where the whole begins.
        string line = File.ReadAllLines($"/proc/{pid}/maps").First(l => l.EndsWith("/state.image", StringComparison.Ordinal));
        long start = Convert.ToInt64(line.Split('-')[0], 16) - Convert.ToInt64(line.Split(' ')[2], 16);
        // Where files are: behind the tables, which are mostly holes that damage would not be noticed in.
        const long From = 12_400L * 4096, Length = 4_000_000;
        var random = new Random(4);
        using FileStream memory = new($"/proc/{pid}/mem", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 1);
        for (int i = 0; i < bytes; i++)
        {
            memory.Position = start + From + random.NextInt64(Length);
            int value = memory.ReadByte();
            memory.Position--;
            memory.WriteByte((byte)(value ^ (1 << random.Next(8))));
        }
    }

    /// <summary>§4.3.3, pitfall 42: somebody keeps a recovery from ending. All are told, and it ends when it can.</summary>
    [Fact]
    public void A_recovery_that_cannot_end_raises_an_alarm_is_given_up_and_ends_by_itself_later()
    {
        using var cluster = new ClusterFixture { TakesFaults = true };
        cluster.Start("--size", "64M");
        cluster.Bfs("cluster", "stop").Succeeded();
        string file = Path.Combine(cluster.Home, "cluster.json");
        File.WriteAllText(file, Regex.Replace(File.ReadAllText(file), "\"recoveryAlarmSeconds\": *\\d+", "\"recoveryAlarmSeconds\": 1"));
        cluster.Bfs("cluster", "start").Succeeded();
        string drive = cluster.Mount();
        cluster.Work(drive, "for i in $(seq 200); do echo $i > file; done");
        foreach (string other in new[] { "0", "1", "3" })
        {
            cluster.Bfs("fault", "cut", other, "2").Succeeded();
        }
        CommandResult recover = cluster.Bfs("recover", "2");
        Assert.Equal(1, recover.ExitCode);
        Assert.Contains("ALARM", recover.Output + recover.Error, StringComparison.Ordinal);
        Assert.Contains("goes on trying", recover.Output + recover.Error, StringComparison.Ordinal);
        Assert.Equal([2], cluster.Status().GetProperty("alarms").EnumerateArray().Select(a => a.GetInt32()));
        Assert.Contains("ALARM", cluster.Bfs("status").Output, StringComparison.Ordinal);
        cluster.Work(drive, "echo works > file");
        RecoveryRecord record = RecoveryJournal.Read(cluster.Files.Recoveries(new ReplicaId(2)), out _).Single();
        Assert.Equal(("failed", true), (record.Outcome, record.Alarm));

        cluster.Bfs("fault", "heal").Succeeded();
        // A checkpoint that becomes stable ends it.
        cluster.Work(drive, "for i in $(seq 300); do echo $i > file; done");
        cluster.Bfs("status", "--wait", "60").Succeeded();
        ClusterFixture.WaitFor(() => cluster.Status() is var status && status.GetProperty("alarms").GetArrayLength() == 0
            && status.GetProperty("replicas")[2].GetProperty("recovery").GetProperty("phase").GetString() == "recovered");
    }
}
