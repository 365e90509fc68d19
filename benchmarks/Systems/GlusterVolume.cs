using System.Net;

namespace BfsBench;

/// <summary>
/// A GlusterFS volume with three replicas on this machine, on loopback. The daemons run with a mount name space of their
/// own, in which the directories that they insist on are ours: nothing of the system's is touched.
/// </summary>
internal sealed class GlusterVolume : IFileSystemUnderTest
{
    private const int ManagementPort = 24_007;
    private const string Volume = "bfs-bench";
    private const int PatienceMillis = 20_000;

    private Scratch? _scratch;
    private bool _started;

    public string Name => SystemNames.GlusterFs;

    public string? WhyNot() =>
        ChildProgram.Find("glusterd") is null || ChildProgram.Find("gluster") is null || ChildProgram.Find("glusterfs") is null
            ? "it is not installed (packages glusterfs-server, glusterfs-client)"
        : !Posix.IsRoot ? "its daemons need root"
        : ManagementPortIsTaken() ? $"TCP port {ManagementPort} is in use: another glusterd runs here, and is left alone"
        : !HostIsLoopback() ? $"this machine's name, {Dns.GetHostName()}, does not stand for 127.0.0.1 (see /etc/hosts), and it must not listen on a network"
        : null;

    public string Start()
    {
        _scratch = new Scratch("gluster");
        WriteOptions();
        StartDaemon();
        string host = Dns.GetHostName();
        Gluster(["volume", "create", Volume, "replica", "3", .. Enumerable.Range(1, 3).Select(i => $"{host}:{_scratch.Make($"brick{i}")}"), "force"]);
        Gluster("volume", "start", Volume);
        _started = true;
        string mountPoint = _scratch.Make("drive");
        ChildProgram.Run(ChildProgram.Detached(ChildProgram.Find("glusterfs")!, $"--volfile-server={host}", $"--volfile-id={Volume}",
            $"--log-file={_scratch.In("client.log")}", $"--pid-file={_scratch.In("client.pid")}", mountPoint));
        WaitUntil("the volume did not come up", () => Mounts.Has(mountPoint) && TryWrite(Path.Combine(mountPoint, "probe")));
        return mountPoint;
    }

    public void Report(Results results)
    {
    }

    public void Dispose()
    {
        if (_scratch is null)
        {
            return;
        }
        try
        {
            if (_started)
            {
                _started = false;
                Posix.UnmountLazily(_scratch.In("drive"));
                Gluster("volume", "stop", Volume);
                Gluster("volume", "delete", Volume);
            }
        }
        finally
        {
            // With it go the daemons: each has a path in there among its arguments.
            _scratch.Dispose();
        }
    }

    private void WriteOptions() => File.WriteAllText(_scratch!.In("glusterd.vol"), $"""
        volume management
            type mgmt/glusterd
            option working-directory {_scratch.Make("lib")}
            option run-directory {_scratch.Make("run")}
            option glusterd-sockfile {_scratch.In("glusterd.socket")}
            option transport-type socket
            option transport.socket.bind-address 127.0.0.1
            option transport.socket.listen-port {ManagementPort}
            option ping-timeout 0
            option event-threads 1
        end-volume

        """);

    private void StartDaemon()
    {
        // Free when the benchmark began is not free now.
        if (ManagementPortIsTaken())
        {
            throw new BenchException($"TCP port {ManagementPort} has been taken meanwhile: another glusterd runs here");
        }
        string[] hidden = ["/var/lib/glusterd", "/var/log/glusterfs"];
        string binds = string.Concat(hidden.Select((path, i) => $"mount --bind {_scratch!.Make($"own{i}")} {path}; "));
        ChildProgram.Run(ChildProgram.Detached("unshare", "--mount", "sh", "-c",
            "set -e; mount -t tmpfs none /run; " + binds + "exec \"$@\" >/dev/null 2>&1 </dev/null", "sh", ChildProgram.Find("glusterd")!,
            $"--volfile={_scratch!.In("glusterd.vol")}", $"--pid-file={_scratch.In("glusterd.pid")}", $"--log-file={_scratch.In("glusterd.log")}"));
        WaitUntil("glusterd did not start", () => ChildProgram.RunReading(GlusterCommand("volume", "list"), null, _ => { }) is null);
    }

    private void Gluster(params string[] arguments) => ChildProgram.Run(GlusterCommand(arguments));

    private System.Diagnostics.ProcessStartInfo GlusterCommand(params string[] arguments) => ChildProgram.Detached(ChildProgram.Find("gluster")!,
        ["--mode=script", $"--glusterd-sock={_scratch!.In("glusterd.socket")}", $"--log-file={_scratch.In("cli.log")}", .. arguments]);

    private static bool TryWrite(string path)
    {
        try
        {
            File.WriteAllText(path, "");
            File.Delete(path);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static void WaitUntil(string otherwise, Func<bool> condition)
    {
        for (int i = 0; i < PatienceMillis / 100; i++)
        {
            if (condition())
            {
                return;
            }
            Thread.Sleep(100);
        }
        throw new BenchException(otherwise);
    }

    private static bool ManagementPortIsTaken() => System.Net.NetworkInformation.IPGlobalProperties.GetIPGlobalProperties()
        .GetActiveTcpListeners().Any(e => e.Port == ManagementPort);

    // As the daemons look it up; the framework's answer has the addresses of all interfaces too.
    private static bool HostIsLoopback()
    {
        var addresses = new System.Text.StringBuilder();
        string? problem = ChildProgram.RunReading(new System.Diagnostics.ProcessStartInfo("getent", ["ahosts", Dns.GetHostName()]), null, text => addresses.Append(text));
        return problem is null && addresses.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .All(line => IPAddress.TryParse(line.Split(' ')[0], out IPAddress? address) && IPAddress.IsLoopback(address));
    }
}
