using System.Diagnostics;
using System.Globalization;
using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>The replica processes of a cluster that run on this machine.</summary>
internal sealed class ReplicaProcesses(ClusterDirectory directory, ClusterConfig config)
{
    private const int LogLines = 5;
    private const int PollMillis = 20;

    /// <summary>What a replica writes last.</summary>
    private const string StoppedInOrder = "stopped; state and log are saved";

    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan MonitorPatience = TimeSpan.FromMilliseconds(200);

    /// <summary>The replicas whose host is this machine.</summary>
    public IReadOnlyList<ReplicaId> Local { get; } = [.. config.Replicas.Where(r => LocalHosts.IsLocal(r.Host)).Select(r => r.Id)];

    /// <summary>The process that is this replica, or null. Its lock vouches for it.</summary>
    public int? PidOf(ReplicaId id) => ProcessLock.HolderOf(directory.PidFile(id));

    /// <summary>
    /// Starts replicas and waits until each of them answers. If one of them cannot start, those that were started are
    /// stopped again, so that nothing is left behind.
    /// </summary>
    /// <param name="keepGoing">Leave the others running, as long as they make a quorum.</param>
    /// <returns>Those that were started; the others ran already.</returns>
    public IReadOnlyList<ReplicaId> Start(IEnumerable<ReplicaId> ids, bool keepGoing, Action<string> say)
    {
        var started = new List<Started>();
        foreach (ReplicaId id in ids)
        {
            if (PidOf(id) is { } pid)
            {
                say($"replica {id.Value} runs already (process {pid})");
                continue;
            }
            Directory.CreateDirectory(directory.Replica(id));
            var log = new LogTail(directory.LogFile(id));
            Process process = Programs.StartDetached([.. Programs.Replica, "--cluster", directory.Path, "--id",
                id.Value.ToString(CultureInfo.InvariantCulture)], directory.LogFile(id), pipeOutput: false);
            started.Add(new Started(id, process, log));
        }
        var failed = started.Where(s => !WaitUntilAnswering(s)).ToList();
        List<ReplicaId> running = [.. started.Except(failed).Select(s => s.Id)];
        if (failed.Count == 0)
        {
            return running;
        }
        string report = string.Join('\n', failed.Select(s => $"replica {s.Id.Value} did not start:\n{s.Log.LastLines(LogLines)}"));
        if (keepGoing && Enumerable.Range(0, config.N).Count(i => PidOf(new ReplicaId(i)) is not null) >= config.Quorum)
        {
            say(report);
            return running;
        }
        failed.ForEach(s => End(s.Process));
        running.ForEach(id => End(started.First(s => s.Id == id).Process));
        string others = running.Count == 0 ? "" : "\nThe other replicas that were started with it are stopped again.";
        throw new CommandException(report + others);
    }

    /// <summary>Asks replicas to stop and waits until they have done so.</summary>
    /// <returns>Those that were running.</returns>
    /// <exception cref="CommandException">One has not stopped, or has not saved everything.</exception>
    public IReadOnlyList<ReplicaId> Stop(IEnumerable<ReplicaId> ids, Action<string> say)
    {
        var stopping = new List<(ReplicaId Id, int Pid, LogTail Log)>();
        foreach (ReplicaId id in ids)
        {
            if (PidOf(id) is { } pid)
            {
                stopping.Add((id, pid, new LogTail(directory.LogFile(id))));
                Signals.Terminate(pid);
            }
            else
            {
                say($"replica {id.Value} does not run");
            }
        }
        var watch = Stopwatch.StartNew();
        foreach ((ReplicaId id, int pid, _) in stopping)
        {
            while (PidOf(id) == pid)
            {
                if (watch.Elapsed > StopPatience)
                {
                    throw new CommandException($"replica {id.Value} (process {pid}) has not stopped after "
                        + $"{StopPatience.TotalSeconds:F0} s; see {directory.LogFile(id)}");
                }
                Thread.Sleep(PollMillis);
            }
        }
        // Not our children: how they ended is in their logs.
        string[] failures = [.. stopping.Where(s => !s.Log.Contains(StoppedInOrder))
            .Select(s => $"replica {s.Id.Value} stopped and could not save everything:\n{s.Log.LastLines(LogLines)}")];
        return failures.Length == 0 ? [.. stopping.Select(s => s.Id)] : throw new CommandException(string.Join('\n', failures));
    }

    private bool WaitUntilAnswering(Started started)
    {
        var watch = Stopwatch.StartNew();
        ReplicaInfo replica = config.Replicas[started.Id.Value];
        while (watch.Elapsed < StartPatience && !started.Process.HasExited)
        {
            MonitorAnswer? answer = MonitorClient.AskAsync(replica, MonitorPatience).GetAwaiter().GetResult();
            // Whatever else listens on that port would not have this process's number.
            if (answer?.Pid == started.Process.Id)
            {
                return true;
            }
            Thread.Sleep(PollMillis);
        }
        return false;
    }

    private static void End(Process process)
    {
        if (!process.HasExited)
        {
            Signals.Terminate(process.Id);
            process.WaitForExit(StopPatience);
        }
    }

    private sealed record Started(ReplicaId Id, Process Process, LogTail Log);
}
