using System.Diagnostics;
using System.Text;
using System.Text.Json;
using BfsCore;
using BfsCore.Hosting;

namespace BfsTests.Mounted;

/// <summary>What a command wrote and how it ended.</summary>
internal sealed record CommandResult(int ExitCode, string Output, string Error)
{
    /// <summary>Fails the test unless the command ended with 0.</summary>
    public CommandResult Succeeded()
    {
        Assert.True(ExitCode == 0, $"exit code {ExitCode}\n{Output}\n{Error}");
        return this;
    }
}

/// <summary>
/// A cluster of real processes in a directory of its own, through the commands that people use. What uses a drive runs in
/// child processes. Everything is gone after the test, however it went.
/// </summary>
internal sealed class ClusterFixture : IDisposable
{
    private const int CommandMillis = 300_000;

    private readonly string _root = Directory.CreateTempSubdirectory("bfs-cluster-").FullName;
    private readonly List<string> _mounts = [];

    /// <summary>The cluster's directory, as BFS_HOME says to the commands; it does not exist yet.</summary>
    public string Home => Path.Combine(_root, "home");

    /// <summary>Whether replicas that are started now obey "bfs fault".</summary>
    public bool TakesFaults { get; init; }

    public ClusterDirectory Files => new(Home);

    /// <summary>The project's directory, where bfs and mount.sh are.</summary>
    public static string Project { get; } = FindProject();

    /// <summary>A path in the test's own directory.</summary>
    public string PathOf(string name) => Path.Combine(_root, name);

    /// <summary>
    /// Makes and starts a cluster. Its watchdogs are off: they go by the time of the day, and would start a replica that a test
    /// has killed.
    /// </summary>
    public ClusterFixture Start(params string[] initOptions)
    {
        Bfs(["cluster", "init", .. initOptions]).Succeeded();
        SetWatchdog(0);
        Bfs("cluster", "start").Succeeded();
        return this;
    }

    /// <summary>Before the cluster is started.</summary>
    /// <param name="seconds">T_w; 0: never.</param>
    public void SetWatchdog(int seconds) =>
        ClusterFile.Write(Files.ClusterFile, ClusterFile.Read(Files.ClusterFile) with { WatchdogSeconds = seconds });

    /// <summary>Mounts a drive on a new directory.</summary>
    public string Mount(string name = "drive", params string[] options)
    {
        string mountPoint = NewMountPoint(name);
        Bfs(["mount", mountPoint, .. options]).Succeeded();
        return mountPoint;
    }

    /// <summary>A directory that is unmounted at the end if it has to be.</summary>
    public string NewMountPoint(string name)
    {
        string mountPoint = PathOf(name);
        Directory.CreateDirectory(mountPoint);
        _mounts.Add(mountPoint);
        return mountPoint;
    }

    public CommandResult Bfs(params string[] arguments) => Run(Path.Combine(Project, "bfs"), arguments);

    public CommandResult MountScript(params string[] arguments) => Script("mount.sh", arguments);

    /// <summary>Runs one of the project's scripts.</summary>
    public CommandResult Script(string path, params string[] arguments) => Run(Path.Combine(Project, path), arguments);

    /// <summary>Runs a bash script in a directory; it stops at the first command that fails, and so does the test.</summary>
    public string Work(string directory, string script) =>
        Run("bash", ["-c", $"set -euo pipefail; exec 2>&1; cd '{directory}'\n{script}"]).Succeeded().Output;

    /// <summary>The answer of "bfs status --json".</summary>
    public JsonElement Status() => JsonDocument.Parse(Bfs("status", "--json").Output).RootElement;

    /// <summary>Whether all replicas answer and name the same stable checkpoint with the same digest.</summary>
    public bool HasSameStable()
    {
        List<JsonElement> replicas = [.. Status().GetProperty("replicas").EnumerateArray()];
        return replicas.All(r => r.GetProperty("reachable").GetBoolean())
            && replicas.Select(r => (r.GetProperty("stableCheckpoint").GetInt64(), r.GetProperty("stableDigest").GetString())).Distinct().Count() == 1;
    }

    /// <summary>Something that is sure to come; a bound only keeps a failing test from waiting for ever.</summary>
    public static void WaitFor(Func<bool> condition)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < TimeSpan.FromMinutes(2), "it never came");
            Thread.Sleep(50);
        }
    }

    /// <summary>The replicas' processes, from the locks they hold.</summary>
    public int? PidOf(int replica) => ProcessLock.HolderOf(Files.PidFile(new ReplicaId(replica)));

    /// <summary>Ends a process of this cluster as a crash would, and waits until it is gone.</summary>
    public static void Kill(int pid)
    {
        using var process = Process.GetProcessById(pid);
        process.Kill();
        while (!HasEnded(pid))
        {
            Thread.Sleep(10);
        }
    }

    /// <summary>Not our child: its end shows in /proc, if need be between opening and reading.</summary>
    private static bool HasEnded(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/stat").Contains(") Z", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>Starts a command without waiting for it.</summary>
    public Process Launch(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }
        start.Environment["BFS_HOME"] = Home;
        if (TakesFaults)
        {
            start.Environment["BFS_TEST_FAULTS"] = "1";
        }
        return Process.Start(start)!;
    }

    public void Dispose()
    {
        foreach (string mountPoint in _mounts)
        {
            Bfs("unmount", "--lazy", mountPoint);
        }
        foreach (string directory in Directory.GetDirectories(_root).Where(d => File.Exists(Path.Combine(d, "cluster.json"))))
        {
            EndProcesses(new ClusterDirectory(directory));
        }
        Directory.Delete(_root, recursive: true);
    }

    /// <summary>Whatever holds a lock in the cluster's directory is a process of this test.</summary>
    private static void EndProcesses(ClusterDirectory directory)
    {
        // The monitors first: they would start others again.
        string[] names = ["monitor.pid", "replica.pid", "keyholder.pid", "*.lock"];
        foreach (string path in names.SelectMany(name => Directory.GetFiles(directory.Path, name, SearchOption.AllDirectories)))
        {
            if (ProcessLock.HolderOf(path) is { } pid)
            {
                Kill(pid);
            }
        }
    }

    private CommandResult Run(string program, params string[] arguments)
    {
        using Process process = Launch(program, arguments);
        var error = new StringBuilder();
        process.ErrorDataReceived += (_, line) => error.AppendLine(line.Data);
        process.BeginErrorReadLine();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(CommandMillis))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{program} {string.Join(' ', arguments)} did not end\n{error}");
        }
        process.WaitForExit();
        return new CommandResult(process.ExitCode, output.GetAwaiter().GetResult(), error.ToString());
    }

    private static string FindProject()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "BfsFs.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }
        return directory ?? throw new InvalidOperationException("the tests are not in the project's directory");
    }
}
