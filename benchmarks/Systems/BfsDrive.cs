using System.Diagnostics;
using System.Text.Json;
using BfsCore;
using BfsCore.Hosting;

namespace BfsBench;

/// <summary>A drive of a new cluster on this machine, made, mounted and stopped by the commands that people use.</summary>
/// <param name="initOptions">Of "bfs cluster init".</param>
/// <param name="change">What is to be different in the cluster file.</param>
internal sealed class BfsDrive(string name, string[] initOptions, Func<ClusterConfig, ClusterConfig> change) : IFileSystemUnderTest
{
    private const string Size = "8G";

    private Scratch? _scratch;
    private ClusterConfig? _config;

    public string Name => name;

    public string? WhyNot() => !File.Exists("/dev/fuse") ? "there is no /dev/fuse"
        : !Posix.IsRoot && ChildProgram.Find("fusermount3") is null ? "fusermount3 is missing (package fuse3)"
        : !File.Exists(Project.BfsProgram) ? $"{Project.BfsProgram} is not built; ./bfs bench builds it"
        : null;

    public string Start()
    {
        _scratch = new Scratch("drive");
        Bfs(["cluster", "init", "--size", Size, .. initOptions]);
        string file = new ClusterDirectory(_scratch.In("home")).ClusterFile;
        _config = change(ClusterFile.Read(file));
        ClusterFile.Write(file, _config);
        Bfs("cluster", "start");
        string mountPoint = _scratch.Make("drive");
        Bfs("mount", mountPoint);
        // So soon after the start there is no recovery yet.
        Thread.Sleep(TimeSpan.FromSeconds(_config.Mode == ClusterMode.NoRep ? 0 : _config.WatchdogSeconds / 2));
        return mountPoint;
    }

    public void Report(Results results)
    {
        if (_config is { Mode: not ClusterMode.NoRep, WatchdogSeconds: > 0 })
        {
            int recovered = Bfs("recoveries", "--json").Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Count(line => JsonDocument.Parse(line).RootElement.GetProperty("outcome").GetString() == "recovered");
            results.Add("recoveries-in-a-turn", name, "recoveries", recovered);
        }
    }

    public void Dispose()
    {
        if (_scratch is null)
        {
            return;
        }
        try
        {
            Bfs("unmount", _scratch.In("drive"));
            Bfs("cluster", "stop");
        }
        finally
        {
            _scratch.Dispose();
        }
    }

    private string Bfs(params string[] arguments)
    {
        ProcessStartInfo start = ChildProgram.Detached("dotnet", [Project.BfsProgram, .. arguments]);
        start.Environment["BFS_HOME"] = _scratch!.In("home");
        return ChildProgram.Run(start);
    }
}
