using System.Diagnostics;
using BfsClient;
using BfsClient.FileSystem;
using BfsCore.Hosting;

namespace BfsTests.Fuse;

/// <summary>
/// A drive mounted for a test: the relay runs on a thread of this process, over a service in this process; what uses the
/// drive runs in child processes, because this process must never touch it.
/// </summary>
internal sealed class MountedDrive : IDisposable
{
    private const int ScriptMillis = 120_000;

    private readonly Thread _thread;
    private readonly ManualResetEventSlim _mounted = new();
    private MountResult _result = new("the relay did not start");
    private MountResult _end = new("the relay still runs");
    private Relay? _relay;
    private TestInvoker? _invoker;
    private EventLoop? _loop;
    private volatile bool _abandoned;

    public MountedDrive(Executor execute, string options = "", int turns = 0, bool viaHelper = false, string? directory = null)
    {
        if (Unavailable is { } reason)
        {
            throw new InvalidOperationException(reason);
        }
        Directory = directory ?? System.IO.Directory.CreateTempSubdirectory("bfs-mount-").FullName;
        Assert.True(MountOptions.TryParse(options, out MountOptions parsed, out string error), error);
        RelayOptions relayOptions = new(Directory, parsed) { ViaHelper = viaHelper };
        _thread = new Thread(() => Serve(execute, turns, relayOptions)) { IsBackground = true, Name = "relay" };
        _thread.Start();
        _mounted.Wait();
        if (!_result.Succeeded)
        {
            throw new InvalidOperationException(_result.Error);
        }
    }

    /// <summary>Why drives cannot be mounted here; null if they can.</summary>
    public static string? Unavailable
    {
        get
        {
            try
            {
                using FileStream device = new("/dev/fuse", FileMode.Open, FileAccess.ReadWrite);
                return null;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return "/dev/fuse cannot be opened: " + e.Message;
            }
        }
    }

    public string Directory { get; }

    /// <summary>Runs a bash script in the drive's directory; it stops at the first command that fails.</summary>
    /// <returns>What it wrote, both streams.</returns>
    public string Run(string script, bool mustSucceed = true) => RunElsewhere($"cd '{Directory}'\n{script}", mustSucceed);

    /// <summary>The same, not in the drive's directory.</summary>
    public static string RunElsewhere(string script, bool mustSucceed = true)
    {
        ProcessStartInfo start = new("bash") { RedirectStandardOutput = true, WorkingDirectory = "/" };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"exec 2>&1; set -euo pipefail; {script}");
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(ScriptMillis))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"the script did not end:\n{script}");
        }
        string text = output.GetAwaiter().GetResult();
        Assert.True(!mustSucceed || process.ExitCode == 0, $"exit code {process.ExitCode}:\n{text}");
        return text;
    }

    /// <summary>Unmounts as a user would, and returns how the relay ended.</summary>
    public string Unmount()
    {
        _relay!.RequestUnmount(lazy: false);
        Assert.True(_thread.Join(10_000), "the relay did not end after the unmount");
        return _end.Error;
    }

    /// <summary>From now on the service answers nothing.</summary>
    public void Hold() => _loop!.Post(() => _invoker!.Held = true);

    /// <summary>The relay dies and leaves its mount behind.</summary>
    public void Abandon()
    {
        _abandoned = true;
        _loop!.Post(() => throw new OperationCanceledException());
        Assert.True(_thread.Join(10_000), "the relay did not die");
    }

    public void Dispose()
    {
        if (_thread.IsAlive && _result.Succeeded)
        {
            _relay!.RequestUnmount(lazy: true);
            _thread.Join(10_000);
        }
        else if (_abandoned)
        {
            BfsClient.Fuse.FuseMount.Unmount(Directory, lazy: true, out _);
        }
        if (!_abandoned && !_thread.IsAlive)
        {
            _relay?.Dispose();
        }
        _mounted.Dispose();
        if (!_thread.IsAlive && BfsClient.Fuse.MountTable.Find(Directory) is null && System.IO.Directory.Exists(Directory))
        {
            System.IO.Directory.Delete(Directory);
        }
    }

    private void Serve(Executor execute, int turns, RelayOptions options)
    {
        using EventLoop loop = new();
        _loop = loop;
        _invoker = new TestInvoker(loop, execute, slots: 64, turns, options.Mount.SoftTimeoutMillis * 1000);
        _relay = new Relay(_invoker, loop, options);
        _result = _relay.Mount();
        _mounted.Set();
        if (!_result.Succeeded)
        {
            return;
        }
        try
        {
            _end = _relay.Run();
        }
        catch (OperationCanceledException) when (_abandoned)
        {
            _relay.Dispose();
        }
    }
}
