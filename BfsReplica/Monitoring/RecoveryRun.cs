using System.Diagnostics;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using BfsCore.Replication;
using Microsoft.Extensions.Logging;

namespace BfsReplica.Monitoring;

/// <summary>Why a recovery is made.</summary>
/// <param name="Who">The operator; null for the watchdog.</param>
internal sealed record RecoveryCause(string Cause, string? Who);

/// <summary>
/// One recovery (§4.3.2, the phases of Table 8.11): the replica saves its state and ends, its files are verified, it is
/// started again, and the rest is its own work, which is watched to its end. Whatever fails, the replica is started.
/// </summary>
internal sealed class RecoveryRun(ClusterConfig config, ReplicaId id, ReplicaSupervisor replica,
    ProgramVerifier verifier, ClusterDirectory directory, ILogger logger, Action<MonitorLine> say)
{
    public const string SaveState = "save state";
    public const string VerifyProgram = "verify program";
    public const string Reboot = "reboot";
    public const string RestoreState = "restore state";
    public const string Estimation = "estimation";
    public const string Request = "request";
    public const string CheckAndFetch = "check and fetch";

    private const int Attempts = 3;

    /// <summary>So many times the alarm's time is waited for the end.</summary>
    private const int GiveUpAlarms = 10;

    private static readonly TimeSpan SavePatience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan DescribePatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(25);
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromMilliseconds(500);

    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private readonly List<PhaseTime> _phases = [];
    private readonly List<long> _corrupt = [];
    private readonly List<string> _savedPages = [];
    private readonly Lock _lock = new();
    private RecoveryRecord _record = new() { Replica = id.Value };
    private TaskCompletionSource<IReadOnlyList<string?>>? _described;
    private bool _viewIsKnown;
    private string _phase = "";
    private long _phaseStart;

    public DateTime Began { get; } = DateTime.UtcNow;

    /// <summary>It takes longer than it should (pitfall 42).</summary>
    public bool Alarm { get; private set; }

    /// <summary>A line from the replica while this runs; from any thread.</summary>
    public void OnLine(ControlLine line)
    {
        lock (_lock)
        {
            switch (line.Kind)
            {
                case ControlLine.HandedOver:
                    _record = _record with { HandedOver = true };
                    break;
                case ControlLine.Saved:
                    _viewIsKnown = true;
                    _record = _record with { ViewBefore = line.View, MemoryPagesChecked = line.PagesChecked };
                    AddDamage(line);
                    break;
                case ControlLine.Damaged:
                    AddDamage(line);
                    break;
                case ControlLine.Described:
                    _described?.TrySetResult(line.Texts ?? []);
                    break;
            }
        }
    }

    /// <summary>Runs to the end.</summary>
    /// <param name="isRestarted">An earlier monitor began it, and the replica has been started again already.</param>
    /// <param name="cancellation">The replica is to be stopped.</param>
    public async Task<RecoveryRecord> RunAsync(RecoveryCause cause, bool isRestarted, CancellationToken cancellation)
    {
        _record = _record with { Time = Began, Cause = cause.Cause, Who = cause.Who };
        string? error = null;
        try
        {
            if (!isRestarted)
            {
                await SaveAsync().ConfigureAwait(false);
                Verify();
            }
            await RestartAsync(cancellation).ConfigureAwait(false);
            await DescribeAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is MonitorException or TimeoutException or IOException or UnauthorizedAccessException)
        {
            error = e.Message;
        }
        catch (OperationCanceledException)
        {
            error = "the replica was stopped before it had recovered";
        }
        lock (_lock)
        {
            return _record with
            {
                Outcome = error is null ? "recovered" : "failed",
                Error = error,
                Phases = _phases,
                TotalMillis = _watch.Elapsed.TotalMilliseconds,
                Alarm = Alarm,
                SavedPages = _savedPages,
            };
        }
    }

    private async Task SaveAsync()
    {
        if (!replica.IsRunning)
        {
            return;
        }
        Begin(SaveState);
        bool saved = await replica.SaveAndEndAsync(SavePatience).ConfigureAwait(false);
        _record = _record with { StateSaved = saved };
        if (!saved)
        {
            logger.LogError("monitor: replica {Id} did not save its state when it was told to, and was ended by force", id.Value);
            say(new MonitorLine { Text = "the replica did not save its state when it was told to, and was ended by force" });
        }
        End();
    }

    private void Verify()
    {
        Begin(VerifyProgram);
        IReadOnlyList<TamperedFile> tampered = verifier.Verify(text => say(new MonitorLine { Text = text }));
        _record = _record with { ProgramFiles = tampered };
        End();
    }

    /// <summary>Starts the replica and watches it; if it ends, again.</summary>
    private async Task RestartAsync(CancellationToken cancellation)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await RestartOnceAsync(cancellation).ConfigureAwait(false);
                return;
            }
            catch (MonitorException e) when (attempt < Attempts)
            {
                logger.LogError("monitor: {Message}; starting it again", e.Message);
                say(new MonitorLine { Text = e.Message + "; starting it again" });
                if (attempt == Attempts - 1 && !replica.IsRunning)
                {
                    PutStateAside();
                }
            }
        }
    }

    /// <summary>
    /// What an attacker left as its state may be such that the replica cannot even start. It is kept for analysis, and the replica
    /// gets a whole one from the others; without its log it votes for nothing until that is safe.
    /// </summary>
    private void PutStateAside()
    {
        string[] files = [.. Directory.GetFiles(directory.Replica(id)).Where(f => Path.GetFileName(f) is var name
            && (name.StartsWith("state.", StringComparison.Ordinal) || name.StartsWith("votes.", StringComparison.Ordinal)))];
        string aside = Path.Combine(directory.Evidence(id), $"state-{DateTime.UtcNow:yyyyMMdd-HHmmss}");
        Directory.CreateDirectory(aside);
        Array.ForEach(files, f => File.Move(f, Path.Combine(aside, Path.GetFileName(f))));
        logger.LogError("monitor: replica {Id} cannot start with its state; it is kept in {Path}, and fetched anew", id.Value, aside);
        say(new MonitorLine { Text = $"it cannot start with its state, which is kept in {aside} and fetched anew" });
    }

    private async Task RestartOnceAsync(CancellationToken cancellation)
    {
        if (!replica.IsRunning)
        {
            Begin(Reboot);
            await replica.BootAsync(recover: true).ConfigureAwait(false);
            End();
            Begin(RestoreState);
            ControlLine running = await replica.AwaitRunningAsync().ConfigureAwait(false);
            lock (_lock)
            {
                _record = _record with { PagesChecked = running.PagesChecked };
            }
            End();
        }
        int pid = replica.Pid ?? throw new MonitorException($"replica {id.Value} has ended while it recovered");
        RecoveryReport report = default;
        while (report.Phase != RecoveryPhase.Recovered)
        {
            cancellation.ThrowIfCancellationRequested();
            if (replica.Pid != pid)
            {
                throw new MonitorException($"replica {id.Value} has ended while it recovered");
            }
            CheckTime();
            if (await MonitorClient.AskAsync(config.Replicas[id.Value], AnswerPatience).ConfigureAwait(false) is { } answer && answer.Pid == pid)
            {
                report = answer.Recovery;
                Note(answer);
            }
            await Task.Delay(PollInterval, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>The replica's own phases, as it reports them.</summary>
    private void Note(in MonitorAnswer answer)
    {
        RecoveryReport report = answer.Recovery;
        string phase = report.Phase switch
        {
            RecoveryPhase.Estimation => Estimation,
            RecoveryPhase.Request => Request,
            RecoveryPhase.CheckAndFetch => CheckAndFetch,
            _ => "",
        };
        if (phase.Length > 0 && phase != _phase)
        {
            Begin(phase);
        }
        lock (_lock)
        {
            _record = _record with
            {
                Bound = report.Bound.Value,
                RequestSeq = report.RequestSeq.Value,
                Point = report.Point.Value,
                ViewBefore = _viewIsKnown ? _record.ViewBefore : report.ViewBefore.Value,
                ViewAfter = report.ViewAfter.Value,
                PagesFetched = answer.PagesFetched,
            };
        }
        if (report.Phase == RecoveryPhase.Recovered)
        {
            _phases.Add(new PhaseTime(Estimation, report.EstimationMicros / 1e3));
            _phases.Add(new PhaseTime(Request, report.RequestMicros / 1e3));
            _phases.Add(new PhaseTime(CheckAndFetch, report.CheckAndFetchMicros / 1e3));
        }
    }

    private void CheckTime()
    {
        if (!Alarm && _watch.Elapsed > TimeSpan.FromSeconds(config.RecoveryAlarmSeconds))
        {
            Alarm = true;
            string text = $"ALARM: the recovery of replica {id.Value} takes longer than {config.RecoveryAlarmSeconds} s "
                + $"(phase: {_phase}); somebody may be keeping it from ending";
            logger.LogError("monitor: {Text}", text);
            say(new MonitorLine { Text = text });
        }
        if (_watch.Elapsed > TimeSpan.FromSeconds((double)GiveUpAlarms * config.RecoveryAlarmSeconds))
        {
            // Not one for which starting it again would help.
            throw new TimeoutException($"replica {id.Value} has not recovered after {_watch.Elapsed.TotalSeconds:F0} s "
                + $"(phase: {_phase}); it runs, and goes on trying");
        }
    }

    /// <summary>Now the state is right: what did the damaged pages belong to?</summary>
    private async Task DescribeAsync()
    {
        long[] pages;
        Task<IReadOnlyList<string?>> described;
        lock (_lock)
        {
            pages = [.. _corrupt.Distinct().Order()];
            _described = new(TaskCreationOptions.RunContinuationsAsynchronously);
            described = _described.Task;
        }
        IReadOnlyList<string?> texts = [];
        if (pages.Length > 0)
        {
            replica.Send(new ControlLine { Kind = ControlLine.Describe, Pages = pages });
            await Task.WhenAny(described, Task.Delay(DescribePatience)).ConfigureAwait(false);
            texts = described.IsCompletedSuccessfully ? await described.ConfigureAwait(false) : [];
        }
        lock (_lock)
        {
            _record = _record with { CorruptPages = [.. pages.Select((page, i) => new CorruptPage(page, i < texts.Count ? texts[i] : null))] };
        }
    }

    private void AddDamage(ControlLine line)
    {
        // Scrubbing may have found a page that is then found again when all are compared.
        int again = (line.Pages ?? []).Count(_corrupt.Contains);
        _record = _record with { PagesCorrupt = _record.PagesCorrupt + line.PagesCorrupt - again };
        _corrupt.AddRange((line.Pages ?? []).Take(PageEvidence.MaxPages));
        if (line.SavedPages is { } path && _savedPages.Count < PageEvidence.MaxPages)
        {
            _savedPages.Add(path);
        }
    }

    private void Begin(string phase)
    {
        (_phase, _phaseStart) = (phase, Stopwatch.GetTimestamp());
        say(new MonitorLine { Phase = phase });
    }

    private void End() => _phases.Add(new PhaseTime(_phase, Stopwatch.GetElapsedTime(_phaseStart).TotalMilliseconds));
}
