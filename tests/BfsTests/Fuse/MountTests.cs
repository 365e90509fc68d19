using System.Diagnostics;
using BfsClient;
using BfsClient.Fuse;
using BfsCore.FileProtocol;
using BfsCore.Hosting;

namespace BfsTests.Fuse;

/// <summary>Skips where drives cannot be mounted, and says why.</summary>
internal sealed class MountedFactAttribute : FactAttribute
{
    public MountedFactAttribute() => Skip = MountedDrive.Unavailable;
}

/// <inheritdoc cref="MountedFactAttribute"/>
internal sealed class MountedTheoryAttribute : TheoryAttribute
{
    public MountedTheoryAttribute() => Skip = MountedDrive.Unavailable;
}

/// <summary>Mounting and unmounting: what can go wrong, and how the relay ends.</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public class MountTests
{
    [MountedFact]
    public void MountsWritesReadsUnmounts()
    {
        using MountedDrive drive = new(new MemoryDrive().Execute, turns: 1);
        drive.Run("echo hello > a; test $(cat a) = hello; mkdir d; cp /etc/passwd d/p; cmp /etc/passwd d/p; mv a d/b; ls d | grep -q b");
        Assert.Equal("1024", drive.Run("cat /sys/class/bdi/$(mountpoint -d .)/read_ahead_kb").Trim());
        Assert.Equal("", drive.Unmount());
        Assert.Null(MountTable.Find(drive.Directory));
    }

    [MountedFact]
    public void MountsThroughTheHelper()
    {
        using MountedDrive drive = new(new MemoryDrive().Execute, viaHelper: true);
        drive.Run("echo hello > a; test $(cat a) = hello");
        Assert.Equal("fuse.bfs", MountTable.Find(drive.Directory)?.FileSystemType);
        Assert.Equal("", drive.Unmount());
    }

    [MountedFact]
    public void AClosedFileIsAtTheReplicasWhenTheRelayEnds()
    {
        MemoryDrive memory = new();
        using MountedDrive drive = new(memory.Execute, turns: 3);
        drive.Run("dd if=/dev/zero of=big bs=1M count=20 status=none; echo end >> big");
        Assert.Equal("", drive.Unmount());
        Assert.Equal((20 << 20) + 4, memory.Writes.Sum(w => w.Length));
    }

    [MountedFact]
    public void ErrorsOfWritesReachTheWriter()
    {
        MemoryDrive memory = new();
        using MountedDrive drive = new(memory.Execute, turns: 1);
        memory.WriteErrors.Enqueue(Errno.ENOSPC);
        Assert.Contains("No space left", drive.Run("dd if=/dev/zero of=f bs=4k count=1 conv=fsync || true"), StringComparison.Ordinal);
    }

    [MountedFact]
    public void OtherClientsChangesAreSeenAtOpen()
    {
        MemoryDrive memory = new();
        using MountedDrive drive = new(memory.Execute, "attr_timeout=3600,entry_timeout=3600");
        drive.Run("echo first > a; cat a; stat a");
        memory.ChangeElsewhere(new FileHandle(2, 7), "changed by another client\n"u8.ToArray());
        Assert.Equal("changed by another client\n", drive.Run("cat a"));
    }

    [MountedFact]
    public void SoftMountsGiveUp()
    {
        MemoryDrive memory = new();
        using MountedDrive drive = new(memory.Execute, "soft,timeo=3", turns: 0);
        drive.Run("echo x > a");
        drive.Hold();
        Assert.Contains("Input/output error", drive.Run("ls -l a b", mustSucceed: false), StringComparison.Ordinal);
    }

    [MountedFact]
    public void WhoWaitsForAbsentReplicasCanBeKilled()
    {
        using MountedDrive drive = new(new MemoryDrive().Execute, "attr_timeout=0,entry_timeout=0");
        drive.Run("echo x > a");
        drive.Hold();
        Assert.Contains("Killed", MountedDrive.RunElsewhere($"timeout -s INT 1 stat {drive.Directory}/a || echo Killed"), StringComparison.Ordinal);
        Assert.Contains("Killed", MountedDrive.RunElsewhere($"timeout -s KILL 1 touch {drive.Directory}/b || echo Killed"), StringComparison.Ordinal);
        // It handles the signal, and is killed later.
        MountedDrive.RunElsewhere($"(trap : USR1; exec 3< {drive.Directory}/a) & p=$!; sleep 0.3; kill -USR1 $p; sleep 0.3; kill -KILL $p; wait $p || true");
    }

    [MountedFact]
    public void AnAbortedConnectionEndsTheRelayWithAnError()
    {
        using MountedDrive drive = new(new MemoryDrive().Execute);
        string connection = MountTable.Find(drive.Directory)!.Device.Split(':')[1];
        MountedDrive.RunElsewhere($"""
            control=$(mktemp -d); mount -t fusectl none $control; trap 'umount $control; rmdir $control' EXIT
            echo 1 > $control/{connection}/abort
            """);
        Assert.Contains("aborted", drive.Unmount(), StringComparison.Ordinal);
    }

    [Fact]
    public void AMountPointMustBeADirectoryThatIsThere()
    {
        Assert.Contains("does not exist", Refused("/nowhere/at/all"), StringComparison.Ordinal);
        string file = Path.GetTempFileName();
        Assert.Contains("is not a directory", Refused(file), StringComparison.Ordinal);
        File.Delete(file);
        Assert.Contains("is busy", Refused("/proc"), StringComparison.Ordinal);
    }

    [MountedFact]
    public void ALiveMountIsBusyAndAStaleOneIsCleared()
    {
        using MountedDrive drive = new(new MemoryDrive().Execute);
        Assert.Contains("is busy", Refused(drive.Directory), StringComparison.Ordinal);
        drive.Abandon();
        Assert.NotNull(MountTable.Find(drive.Directory));
        using MountedDrive again = new(new MemoryDrive().Execute, directory: drive.Directory);
        again.Run("echo works > a");
        Assert.Equal("", again.Unmount());
        Assert.Null(MountTable.Find(drive.Directory));
    }

    [Fact]
    public void ReplicasThatDoNotAnswerAreSaid()
    {
        using EventLoop loop = new();
        TestInvoker invoker = new(loop, new MemoryDrive().Execute) { Held = true };
        SynchronizationContext? context = SynchronizationContext.Current;
        using Relay relay = new(invoker, loop, new RelayOptions("/nowhere", new MountOptions()) { ConnectMillis = 50 });
        Assert.Contains("did not answer", relay.Mount().Error, StringComparison.Ordinal);
        SynchronizationContext.SetSynchronizationContext(context);
    }

    [Fact]
    public void TheMountTableIsRead()
    {
        string[] lines =
        [
            "22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw",
            "99 28 0:51 / /mnt/with\\040blank\\134 rw - fuse.bfs bfs:/data rw",
            "100 28 0:52 / /sys rw shared:9 master:1 - tmpfs tmpfs rw",
            "short line",
        ];
        Assert.Equal(new MountEntry("0:51", "/mnt/with blank\\", "fuse.bfs", "bfs:/data"), MountTable.Find(lines, "/mnt/with blank\\"));
        Assert.Equal("tmpfs", MountTable.Find(lines, "/sys")?.FileSystemType);
        Assert.Null(MountTable.Find(lines, "/other"));
    }

    private static string Refused(string mountPoint)
    {
        Assert.Equal(-1, FuseMount.Mount(mountPoint, new MountOptions(), viaHelper: false, out string error));
        return error;
    }
}
