using System.Globalization;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using BfsReplica.KeyHolding;
using Microsoft.Extensions.Logging;

namespace BfsReplica.Monitoring;

/// <summary>
/// The processes of one replica: its key holder and the replica itself. Not for several operations at once, except for
/// what only looks.
/// </summary>
internal sealed class ReplicaSupervisor(ClusterDirectory directory, ClusterConfig config, ReplicaId id, InstalledProgram program, ILogger logger)
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(100);

    private ChildProcess? _holder;
    private ChildProcess? _replica;
    private TaskCompletionSource _booted = new();
    private TaskCompletionSource<ControlLine> _running = new();
    private volatile bool _ending;

    /// <summary>The replica's process; null when it does not run.</summary>
    public int? Pid => IsRunning ? _replica!.Pid : null;

    public bool IsRunning => _replica is { Ended.IsCompleted: false };

    /// <summary>It runs, has said that it takes part, and was not told to end.</summary>
    public bool TakesPart => IsRunning && !_ending && _running.Task.IsCompleted;

    /// <summary>Every line from the replica but the first two.</summary>
    public Action<ControlLine>? OnLine { get; set; }

    /// <summary>The replica ended though nobody told it to; with its exit code.</summary>
    public Action<int>? OnUnexpectedEnd { get; set; }

    /// <summary>Starts the replica, and before it the key holder if there is none.</summary>
    /// <returns>Completes when the process is there; the replica is not ready yet.</returns>
    /// <exception cref="MonitorException">It ended.</exception>
    /// <exception cref="IOException">A process cannot be started.</exception>
    public async Task BootAsync(bool recover)
    {
        if (config.CanRecover)
        {
            StartHolder();
        }
        (_booted, _running, _ending) = (NewSource(), new(TaskCreationOptions.RunContinuationsAsynchronously), false);
        _replica?.Dispose();
        List<string> arguments = ["run", "--monitored", .. Common];
        if (recover)
        {
            arguments.Add("--recover");
        }
        ChildProcess replica = _replica = ChildProcess.Start(program.ProgramEntry, arguments, OnReplicaLine);
        _holder?.Send(KeyHolderProgram.Allow + replica.Pid.ToString(CultureInfo.InvariantCulture));
        _ = WatchAsync(replica);
        await AwaitAsync(_booted.Task, replica).ConfigureAwait(false);
    }

    /// <summary>Completes when the replica that was booted takes part.</summary>
    /// <exception cref="MonitorException">It ended.</exception>
    public async Task<ControlLine> AwaitRunningAsync()
    {
        await AwaitAsync(_running.Task, _replica!).ConfigureAwait(false);
        return await _running.Task.ConfigureAwait(false);
    }

    /// <summary>Has the replica save and end, as it is about to be started again.</summary>
    /// <returns>False when it had to be ended by force.</returns>
    public async Task<bool> SaveAndEndAsync(TimeSpan patience)
    {
        _ending = true;
        _replica!.Send(RecoveryJson.Write(new ControlLine { Kind = ControlLine.Save }));
        if (await _replica.EndsWithinAsync(patience).ConfigureAwait(false))
        {
            return await _replica.Ended.ConfigureAwait(false) == 0;
        }
        _replica.Kill();
        await _replica.Ended.ConfigureAwait(false);
        return false;
    }

    public void Send(ControlLine line) => _replica?.Send(RecoveryJson.Write(line));

    /// <summary>Ends the replica in order, and then the key holder.</summary>
    /// <exception cref="MonitorException">The replica has not ended, or has not saved everything.</exception>
    public async Task StopAsync()
    {
        int code = 0;
        if (IsRunning)
        {
            _ending = true;
            _replica!.Terminate();
            if (!await _replica.EndsWithinAsync(StopPatience).ConfigureAwait(false))
            {
                throw new MonitorException($"replica {id.Value} (process {_replica.Pid}) has not stopped after {StopPatience.TotalSeconds:F0} s");
            }
            code = await _replica.Ended.ConfigureAwait(false);
        }
        await EndHolderAsync().ConfigureAwait(false);
        if (code != 0)
        {
            throw new MonitorException($"replica {id.Value} stopped and could not save everything");
        }
    }

    /// <summary>Ends the key holder; the replica must have ended.</summary>
    public async Task EndHolderAsync()
    {
        if (_holder is not { } holder)
        {
            return;
        }
        _holder = null;
        holder.CloseInput();
        if (!await holder.EndsWithinAsync(TimeSpan.FromSeconds(5)).ConfigureAwait(false))
        {
            holder.Kill();
            await holder.Ended.ConfigureAwait(false);
        }
        holder.Dispose();
    }

    private string[] Common => ["--cluster", directory.Path, "--id", id.Value.ToString(CultureInfo.InvariantCulture)];

    /// <summary>It starts beside the replica, which waits for it.</summary>
    private void StartHolder()
    {
        if (_holder is not { Ended.IsCompleted: false })
        {
            _holder?.Dispose();
            _holder = ChildProcess.Start(program.MonitorEntry, ["keyholder", .. Common], _ => { });
        }
    }

    private async Task AwaitAsync(Task awaited, ChildProcess replica)
    {
        Task holderEnded = _holder?.Ended ?? Task.Delay(Timeout.Infinite);
        Task first = await Task.WhenAny(awaited, replica.Ended, holderEnded).ConfigureAwait(false);
        if (first == awaited)
        {
            return;
        }
        if (first == holderEnded)
        {
            _ending = true;
            replica.Kill();
            await replica.Ended.ConfigureAwait(false);
            throw new MonitorException($"the key holder of replica {id.Value} did not start");
        }
        await EndHolderAsync().ConfigureAwait(false);
        throw new MonitorException($"replica {id.Value} did not start");
    }

    private void OnReplicaLine(string text)
    {
        switch (RecoveryJson.TryParse<ControlLine>(text))
        {
            case { Kind: ControlLine.Booted }:
                _booted.TrySetResult();
                break;
            case { Kind: ControlLine.Running } line:
                _running.TrySetResult(line);
                break;
            case { } line:
                OnLine?.Invoke(line);
                break;
        }
    }

    private async Task WatchAsync(ChildProcess replica)
    {
        int code = await replica.Ended.ConfigureAwait(false);
        if (!_ending)
        {
            logger.LogWarning("monitor: replica {Id} (process {Pid}) has ended with code {Code}", id.Value, replica.Pid, code);
            OnUnexpectedEnd?.Invoke(code);
        }
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
