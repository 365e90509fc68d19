using System.Globalization;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using Microsoft.Extensions.Logging;

namespace BfsReplica.Monitoring;

/// <summary>
/// The recovery monitor of one replica (§4.2): starts and stops it, verifies its program, and recovers it when the watchdog
/// or an operator says so. One thing at a time.
/// </summary>
internal sealed class RecoveryMonitor : IDisposable
{
    /// <summary>A replica that loses its key holder again and again is left alone after so many restarts in this time.</summary>
    private const int MaxRestarts = 5;

    private static readonly TimeSpan RestartWindow = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(25);

    private readonly ClusterDirectory _directory;
    private readonly ClusterConfig _config;
    private readonly ReplicaId _id;
    private readonly ILogger _logger;
    private readonly ReplicaSupervisor _replica;
    private readonly ProgramVerifier _verifier;
    private readonly SemaphoreSlim _one = new(1);
    private readonly CancellationTokenSource _stopping = new();
    private readonly Queue<DateTime> _restarts = [];
    private volatile RecoveryRun? _run;
    private volatile bool _interrupting;
    private CancellationTokenSource? _runStop;
    private DateTime _lastStart = DateTime.UtcNow;

    public RecoveryMonitor(ClusterDirectory directory, ClusterConfig config, ReplicaId id, ProgramManifest manifest, ILogger logger)
    {
        (_directory, _config, _id, _logger) = (directory, config, id, logger);
        var program = new InstalledProgram(directory, id);
        _verifier = new ProgramVerifier(directory, id, program, manifest, logger);
        _replica = new ReplicaSupervisor(directory, config, id, program, logger)
        {
            OnLine = OnLine,
            OnUnexpectedEnd = OnUnexpectedEnd,
        };
    }

    /// <summary>Cancelled when the monitor is to end: the replica has been stopped.</summary>
    public CancellationToken Stopping => _stopping.Token;

    public MonitorLine Status => new()
    {
        Done = true,
        Pid = _replica.Pid,
        RecoveringSince = _run?.Began,
        Alarm = _run?.Alarm ?? false,
        NextRecovery = WatchdogSchedule.Next(_config, _id, DateTime.UtcNow),
    };

    /// <summary>
    /// Starts the replica; a recovery that was cut short goes on. Where another start or a recovery is under way, as when
    /// the watchdog went off just before, that one starts the replica, and is waited for.
    /// </summary>
    /// <returns>Its process.</returns>
    /// <exception cref="MonitorException">It runs already, or does not start.</exception>
    public async Task<int> StartAsync(Action<MonitorLine> say)
    {
        bool joins = !await _one.WaitAsync(0).ConfigureAwait(false);
        if (joins && await StartedByRecoveryAsync(say).ConfigureAwait(false) is { } recovering)
        {
            return recovering;
        }
        try
        {
            if (_replica.Pid is { } running)
            {
                return joins ? running : throw new MonitorException($"replica {_id.Value} runs already (process {running})");
            }
            IReadOnlyList<TamperedFile> tampered = _verifier.Verify(text => say(new MonitorLine { Text = text }));
            if (tampered.Count > 0)
            {
                Append(Found("start") with { ProgramFiles = tampered });
            }
            bool unfinished = File.Exists(_directory.RecoveryMark(_id));
            _lastStart = DateTime.UtcNow;
            await _replica.BootAsync(unfinished).ConfigureAwait(false);
            await _replica.AwaitRunningAsync().ConfigureAwait(false);
            if (unfinished)
            {
                say(new MonitorLine { Text = $"replica {_id.Value} goes on with a recovery that was cut short" });
                _ = Task.Run(() => ContinueAsync(new RecoveryCause("unfinished", null)));
            }
            return _replica.Pid ?? throw new MonitorException($"replica {_id.Value} did not start");
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>Stops the replica and ends the monitor; a recovery under way is broken off.</summary>
    /// <exception cref="MonitorException">The replica has not stopped in order.</exception>
    public async Task StopAsync()
    {
        _interrupting = true;
        _runStop?.Cancel();
        await _one.WaitAsync().ConfigureAwait(false);
        try
        {
            await _replica.StopAsync().ConfigureAwait(false);
        }
        finally
        {
            _interrupting = false;
            if (!_replica.IsRunning)
            {
                await _stopping.CancelAsync().ConfigureAwait(false);
            }
            _one.Release();
        }
    }

    /// <summary>Recovers the replica (§4.3.2).</summary>
    /// <param name="force">Although another replica recovers or is missing.</param>
    /// <exception cref="MonitorException">It cannot be begun now.</exception>
    public async Task<RecoveryRecord> RecoverAsync(RecoveryCause cause, bool force, Action<MonitorLine> say)
    {
        if (_config.Mode == ClusterMode.NoRep)
        {
            throw new MonitorException("an unreplicated server has no others to recover with");
        }
        if (!_config.CanRecover)
        {
            throw new MonitorException("a cluster of mode bft-pk has no recovery: its signatures cannot be made invalid (§3.1)");
        }
        if (_run is not null || !await _one.WaitAsync(0).ConfigureAwait(false))
        {
            throw new MonitorException($"replica {_id.Value} is recovering, starting or stopping already");
        }
        try
        {
            using ProcessLock? turn = TakeTurn();
            string? obstacle = turn is null ? "another replica of this machine is recovering"
                : await OtherReplicas.FirstObstacleAsync(_config, _id).ConfigureAwait(false);
            if (obstacle is not null && !force)
            {
                throw new MonitorException($"{obstacle}, and with {_config.N} replicas only {_config.F} may be missing at a time; "
                    + "wait until it takes part, or use --force");
            }
            _logger.LogInformation("monitor: recovers replica {Id}: {Cause} {Who}", _id.Value, cause.Cause, cause.Who);
            return await RunAsync(cause, say).ConfigureAwait(false);
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>The watchdog: until the monitor ends.</summary>
    public async Task WatchAsync()
    {
        while (WatchdogSchedule.Next(_config, _id, DateTime.UtcNow) is { } next)
        {
            await Task.Delay(next - DateTime.UtcNow + TimeSpan.FromMilliseconds(1), Stopping).ConfigureAwait(false);
            if (DateTime.UtcNow - _lastStart >= WatchdogSchedule.LeastAge(_config) || !_replica.IsRunning)
            {
                await RecoverBeforeAsync(next.AddSeconds(_config.WatchdogSeconds)).ConfigureAwait(false);
            }
        }
    }

    public void Dispose()
    {
        _one.Dispose();
        _stopping.Dispose();
    }

    /// <summary>Postpones while others need it.</summary>
    private async Task RecoverBeforeAsync(DateTime end)
    {
        string told = "";
        while (DateTime.UtcNow < end)
        {
            try
            {
                await RecoverAsync(new RecoveryCause("watchdog", null), force: false, _ => { }).ConfigureAwait(false);
                return;
            }
            catch (MonitorException e)
            {
                if (e.Message != told)
                {
                    _logger.LogWarning("monitor: the watchdog waits: {Message}", told = e.Message);
                }
            }
            // Not all at the same moment when what they waited for is over.
            await Task.Delay(RetryInterval * (1 + ((double)_id.Value / _config.N)), Stopping).ConfigureAwait(false);
        }
    }

    /// <summary>Waits for whoever holds <see cref="_one"/>; of a recovery, no longer than until the replica takes part.</summary>
    /// <returns>The process that the recovery has started; null when it is over, and the caller has its turn.</returns>
    private async Task<int?> StartedByRecoveryAsync(Action<MonitorLine> say)
    {
        bool told = false;
        do
        {
            if (_run is not null)
            {
                if (!told)
                {
                    say(new MonitorLine { Text = $"replica {_id.Value} is recovering, which starts it" });
                    told = true;
                }
                if (_replica.TakesPart && _replica.Pid is { } pid)
                {
                    return pid;
                }
            }
        }
        while (!await _one.WaitAsync(PollInterval).ConfigureAwait(false));
        return null;
    }

    private ProcessLock? TakeTurn()
    {
        Directory.CreateDirectory(_directory.Run);
        return ProcessLock.TryTake(_directory.RecoveryLock);
    }

    private async Task ContinueAsync(RecoveryCause cause)
    {
        await _one.WaitAsync().ConfigureAwait(false);
        try
        {
            using ProcessLock? turn = TakeTurn();
            await RunAsync(cause, _ => { }, isRestarted: true).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or MonitorException)
        {
            _logger.LogError("monitor: {Message}", e.Message);
        }
        finally
        {
            _one.Release();
        }
    }

    private async Task<RecoveryRecord> RunAsync(RecoveryCause cause, Action<MonitorLine> say, bool isRestarted = false)
    {
        using var stop = new CancellationTokenSource();
        var run = new RecoveryRun(_config, _id, _replica, _verifier, _directory, _logger, say);
        DurableFile.Replace(_directory.RecoveryMark(_id), System.Text.Encoding.UTF8.GetBytes(
            run.Began.ToString("O", CultureInfo.InvariantCulture) + "\n"));
        (_run, _runStop) = (run, stop);
        if (_interrupting)
        {
            await stop.CancelAsync().ConfigureAwait(false);
        }
        try
        {
            RecoveryRecord record = await run.RunAsync(cause, isRestarted, stop.Token).ConfigureAwait(false);
            _lastStart = DateTime.UtcNow;
            Append(record);
            if (record.Error is null)
            {
                File.Delete(_directory.RecoveryMark(_id));
                _logger.LogInformation("monitor: replica {Id} has recovered in {Millis:F0} ms; {Corrupt} damaged pages, {Files} tampered files",
                    _id.Value, record.TotalMillis, record.PagesCorrupt, record.ProgramFiles.Count);
            }
            else
            {
                _logger.LogError("monitor: the recovery of replica {Id} failed: {Error}", _id.Value, record.Error);
            }
            return record;
        }
        finally
        {
            (_run, _runStop) = (null, null);
        }
    }

    /// <summary>What a replica says of itself outside a recovery.</summary>
    private void OnLine(ControlLine line)
    {
        if (_run is { } run)
        {
            run.OnLine(line);
        }
        else if (line.Kind == ControlLine.Damaged)
        {
            Append(Found(line.Cause == "scrubbing" ? "scrubbing" : "start") with
            {
                PagesCorrupt = line.PagesCorrupt,
                CorruptPages = [.. (line.Pages ?? []).Take(PageEvidence.MaxPages).Select((page, i) => new CorruptPage(page, line.Texts?.ElementAtOrDefault(i)))],
                SavedPages = line.SavedPages is { } path ? [path] : [],
                ViewBefore = line.View,
                ViewAfter = line.View,
            });
        }
    }

    private RecoveryRecord Found(string cause) =>
        new() { Time = DateTime.UtcNow, Replica = _id.Value, Cause = cause, Outcome = "repaired" };

    private void Append(RecoveryRecord record)
    {
        try
        {
            RecoveryJournal.Append(_directory.Recoveries(_id), record);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.LogError("monitor: the record of a recovery cannot be written: {Message}", e.Message);
        }
    }

    /// <summary>A replica that ends by itself or is killed stays down; one that lost its key holder is started with a new one.</summary>
    private void OnUnexpectedEnd(int code)
    {
        if (code == ReplicaOptions.KeyHolderGone && _run is null)
        {
            _ = Task.Run(RestartAsync);
        }
    }

    private async Task RestartAsync()
    {
        lock (_restarts)
        {
            while (_restarts.TryPeek(out DateTime first) && DateTime.UtcNow - first > RestartWindow)
            {
                _restarts.Dequeue();
            }
            if (_restarts.Count >= MaxRestarts)
            {
                _logger.LogError("monitor: replica {Id} has lost its key holder {Count} times in {Minutes} minutes; it stays down",
                    _id.Value, MaxRestarts, RestartWindow.TotalMinutes);
                return;
            }
            _restarts.Enqueue(DateTime.UtcNow);
        }
        try
        {
            _logger.LogWarning("monitor: starts replica {Id} and its key holder again", _id.Value);
            await StartAsync(_ => { }).ConfigureAwait(false);
        }
        catch (Exception e) when (e is MonitorException or IOException)
        {
            _logger.LogError("monitor: {Message}", e.Message);
        }
    }
}
