using System.Diagnostics;
using System.Globalization;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;

namespace BfsClient.Commands;

/// <summary>The replicas of a cluster that run on this machine, each under its recovery monitor.</summary>
internal sealed class ReplicaProcesses(ClusterDirectory directory, ClusterConfig config)
{
    private const int LogLines = 5;
    private const int PollMillis = 10;

    /// <summary>What a replica writes last.</summary>
    private const string StoppedInOrder = "stopped; state and log are saved";

    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(120);

    private readonly Lazy<(string Directory, ProgramManifest Manifest)> _source = new(() =>
        (Programs.ReplicaSource, ProgramManifest.Of(Programs.ReplicaSource)));

    /// <summary>The replicas whose host is this machine.</summary>
    public IReadOnlyList<ReplicaId> Local { get; } = [.. config.Replicas.Where(r => LocalHosts.IsLocal(r.Host)).Select(r => r.Id)];

    /// <summary>The process that is this replica, or null. Its lock vouches for it.</summary>
    public int? PidOf(ReplicaId id) => ProcessLock.HolderOf(directory.PidFile(id));

    /// <summary>The replica's recovery monitor, or null.</summary>
    public int? MonitorOf(ReplicaId id) => ProcessLock.HolderOf(directory.MonitorLock(id));

    /// <summary>
    /// Starts replicas and waits until each of them takes part. If one of them cannot start, those that were started are
    /// stopped again, so that nothing is left behind.
    /// </summary>
    /// <param name="keepGoing">Leave the others running, as long as they make a quorum.</param>
    /// <returns>Those that were started; the others ran already.</returns>
    public IReadOnlyList<ReplicaId> Start(IEnumerable<ReplicaId> ids, bool keepGoing, Action<string> say)
    {
        var starting = new List<ReplicaId>();
        foreach (ReplicaId id in ids)
        {
            if (PidOf(id) is { } pid)
            {
                say($"replica {id.Value} runs already (process {pid})");
                continue;
            }
            starting.Add(id);
        }
        var saying = new Lock();
        void Say(string line)
        {
            lock (saying)
            {
                say(line);
            }
        }
        string?[] problems = Task.WhenAll(starting.Select(id => Task.Run(() => StartAsync(id, Say)))).GetAwaiter().GetResult();
        string report = string.Join('\n', problems.Where(p => p is not null));
        List<ReplicaId> running = [.. starting.Where((_, i) => problems[i] is null)];
        List<ReplicaId> failed = [.. starting.Except(running)];
        if (failed.Count == 0)
        {
            return running;
        }
        failed.ForEach(id => EndAsync(id).GetAwaiter().GetResult());
        if (keepGoing && Enumerable.Range(0, config.N).Count(i => PidOf(new ReplicaId(i)) is not null) >= config.Quorum)
        {
            say(report);
            return running;
        }
        running.ForEach(id => EndAsync(id).GetAwaiter().GetResult());
        string others = running.Count == 0 ? "" : "\nThe other replicas that were started with it are stopped again.";
        throw new CommandException(report + others);
    }

    /// <summary>Asks replicas to stop, with their recovery monitors, and waits until they have done so.</summary>
    /// <returns>Those that were running.</returns>
    /// <exception cref="CommandException">One has not stopped, or has not saved everything.</exception>
    public IReadOnlyList<ReplicaId> Stop(IEnumerable<ReplicaId> ids, Action<string> say)
    {
        var stopping = new List<ReplicaId>();
        var ending = new List<ReplicaId>();
        foreach (ReplicaId id in ids)
        {
            if (PidOf(id) is not null)
            {
                stopping.Add(id);
            }
            else if (MonitorOf(id) is not null)
            {
                ending.Add(id);
            }
            else
            {
                say($"replica {id.Value} does not run");
            }
        }
        string?[] problems = Task.WhenAll(stopping.Concat(ending).Select(id => Task.Run(() => EndAsync(id)))).GetAwaiter().GetResult();
        string[] failures = [.. problems.OfType<string>()];
        return failures.Length == 0 ? stopping : throw new CommandException(string.Join('\n', failures));
    }

    /// <returns>What is wrong; null when it runs.</returns>
    private async Task<string?> StartAsync(ReplicaId id, Action<string> say)
    {
        Directory.CreateDirectory(directory.Replica(id));
        var log = new LogTail(directory.LogFile(id));
        string problem = $"replica {id.Value} did not start";
        try
        {
            if (await StartMonitorAsync(id, say).ConfigureAwait(false))
            {
                MonitorLine? answer = await SendAsync(id, MonitorCommand.Start, line => say(line.Text ?? ""), StartPatience).ConfigureAwait(false);
                if (answer is { Done: true })
                {
                    return null;
                }
                problem = answer?.Error ?? problem;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{problem}: {e.Message}";
        }
        catch (OperationCanceledException)
        {
            problem = $"{problem} within {StartPatience.TotalSeconds:F0} s";
        }
        return $"{problem}:\n{log.LastLines(LogLines)}";
    }

    /// <summary>Leaves a recovery monitor that runs alone, unless the program was built anew since it was installed.</summary>
    private async Task<bool> StartMonitorAsync(ReplicaId id, Action<string> say)
    {
        (string source, ProgramManifest manifest) = _source.Value;
        var program = new InstalledProgram(directory, id);
        if (MonitorOf(id) is not null)
        {
            if (ProgramManifest.TryRead(program.ManifestFile)?.Digest == manifest.Digest)
            {
                return true;
            }
            await EndAsync(id).ConfigureAwait(false);
        }
        string? news = program.Install(source, manifest) switch
        {
            InstallResult.Renewed => "a newer version of the program is installed",
            InstallResult.Repaired => "files of its recovery monitor were not the installed ones, and are restored",
            _ => null,
        };
        if (news is not null)
        {
            say($"replica {id.Value}: {news}");
        }
        using Process monitor = Programs.StartDetached([.. Programs.Command(program.MonitorEntry), "monitor", "--cluster", directory.Path,
            "--id", id.Value.ToString(CultureInfo.InvariantCulture), "--manifest", manifest.Digest], directory.LogFile(id), pipeOutput: false);
        var watch = Stopwatch.StartNew();
        while (!monitor.HasExited && watch.Elapsed < StartPatience)
        {
            if (MonitorOf(id) == monitor.Id && UnixSockets.TryConnect(directory.MonitorSocket(id)) is { } socket)
            {
                socket.Dispose();
                return true;
            }
            await Task.Delay(PollMillis).ConfigureAwait(false);
        }
        return false;
    }

    /// <summary>Ends whatever runs of a replica.</summary>
    /// <returns>What is wrong; null when it ended in order.</returns>
    private async Task<string?> EndAsync(ReplicaId id)
    {
        var log = new LogTail(directory.LogFile(id));
        try
        {
            if (MonitorOf(id) is { } monitor)
            {
                MonitorLine? answer = await SendAsync(id, MonitorCommand.Stop, _ => { }, StopPatience).ConfigureAwait(false);
                if (answer is { Error: { } error })
                {
                    return $"{error}:\n{log.LastLines(LogLines)}";
                }
                if (answer is null)
                {
                    Signals.Terminate(monitor);
                }
                await WaitForEndAsync(() => MonitorOf(id) == monitor).ConfigureAwait(false);
                return null;
            }
            // Its monitor was killed: the replica went on without.
            if (PidOf(id) is { } pid)
            {
                Signals.Terminate(pid);
                await WaitForEndAsync(() => PidOf(id) == pid).ConfigureAwait(false);
                return log.Contains(StoppedInOrder) ? null
                    : $"replica {id.Value} stopped and could not save everything:\n{log.LastLines(LogLines)}";
            }
            return null;
        }
        catch (OperationCanceledException)
        {
            return $"replica {id.Value} has not stopped after {StopPatience.TotalSeconds:F0} s; see {directory.LogFile(id)}";
        }
    }

    private static async Task WaitForEndAsync(Func<bool> runs)
    {
        using var patience = new CancellationTokenSource(StopPatience);
        while (runs())
        {
            await Task.Delay(PollMillis, patience.Token).ConfigureAwait(false);
        }
    }

    private async Task<MonitorLine?> SendAsync(ReplicaId id, string command, Action<MonitorLine> onLine, TimeSpan patience)
    {
        using var ending = new CancellationTokenSource(patience);
        return await MonitorConnection.SendAsync(directory.MonitorSocket(id), new MonitorCommand { Command = command }, onLine, ending.Token)
            .ConfigureAwait(false);
    }
}
