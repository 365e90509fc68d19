using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Storage;
using BfsCore.Replication;
using BfsCore.State;
using Microsoft.Extensions.Logging;

namespace BfsReplica;

/// <summary>
/// A replica's memory on disk: the image of a stable checkpoint, and the vote log with everything since. The image is
/// saved, and the log begun anew, when either has grown; when the replica has had nothing to do for a while; and at a
/// clean stop. So the end of the process, however it comes, loses nothing (pitfall 33); a power failure may take what
/// was not yet on the disk. The disk is waited for on another thread, while the replica goes on.
/// </summary>
internal sealed class ReplicaStorage : IDisposable
{
    /// <summary>Bytes in the vote log from which the image is saved, so that a start does not take too long.</summary>
    private const long LargeLogBytes = 128L << 20;

    /// <summary>What may gather in memory while a save is under way; a disk that is slower than this is waited for.</summary>
    private const long MaxUnsavedBytes = 8 * StateFile.LargeBytes;

    private readonly StateFile _file;
    private VoteLogFile? _votes;
    private Replica? _replica;
    private readonly ILogger _logger;
    private readonly QuietTime _quiet = new();
    private readonly Action<Action> _post;

    // The save under way, whether a log was begun for it, and what was executed when a quiet time began it.
    private Task? _saving;
    private bool _logWasBegun;
    private long? _quietSince;

    /// <param name="post">Runs an action on the replica's thread, from any thread.</param>
    public ReplicaStorage(ClusterDirectory directory, ClusterConfig config, ReplicaId id, ILogger logger, Action<Action> post)
    {
        (_logger, _post) = (logger, post);
        _file = StateFile.Open(directory.Replica(id), Replica.StateBytes(config), config.Identity());
        if (config.Mode == ClusterMode.NoRep && !Pages.IsTrusted)
        {
            string text = _file.StatusText;
            _file.Dispose();
            throw new ReplicaStartException($"{directory.Replica(id)}: {text}, and there are no other replicas to repair it from");
        }
        _votes = config.Mode == ClusterMode.NoRep ? null : VoteLogFile.Open(directory.Replica(id));
        _logger.Log(_file.Status is StateFileStatus.UncleanStop or StateFileStatus.Damaged ? LogLevel.Warning : LogLevel.Information,
            "state: {Status}; {Pages} pages checked", _file.StatusText, _file.PagesChecked);
        if (!Pages.IsTrusted)
        {
            _logger.LogWarning("joins the others by state transfer: what differs is fetched from them");
        }
    }

    public PagedState Pages => _file.State;

    /// <summary>Where the replica remembers its votes; the unreplicated server has none.</summary>
    public IVoteLog Votes => _votes!;

    /// <summary>Lets the replica take up its log.</summary>
    public void RestoreLog(Replica replica)
    {
        _replica = replica;
        if (_votes!.IsEmpty || _votes.MayHaveLostItsEnd)
        {
            _logger.LogWarning("{Why}: this replica votes for nothing until it knows that it contradicts no vote of its own",
                _votes.IsEmpty ? "it has no vote log" : "the system was started anew since the vote log was written");
            replica.RejoinSilently();
        }
        string? problem = replica.RestoreLog();
        if (problem is not null)
        {
            _logger.LogWarning("{Problem}", problem);
        }
        _logger.LogInformation("took up {Bytes} bytes of log: view {View}, executed up to {Executed}", _votes.Bytes,
            replica.View.Value, replica.LastExecuted.Value);
        _votes.Adopt();
        RestartLog();
        _quiet.Saved(replica.LastExecuted.Value);
    }

    /// <summary>How many pages a start found in use and checked.</summary>
    public long PagesChecked => _file.PagesChecked;

    /// <summary>The files were damaged when the replica started.</summary>
    public bool WasDamaged => _file.Status == StateFileStatus.Damaged;

    /// <summary>A checkpoint became stable: save it if much has changed, or if it was fetched.</summary>
    public void OnStable(SeqNum stable)
    {
        if (_replica!.ImageNeeded)
        {
            // Others may come to count on what was fetched: it must not be forgotten.
            AwaitSave();
            Try(() => SaveImage(stable, cleanStop: false));
            return;
        }
        if (_file.UnsavedBytes > MaxUnsavedBytes || _votes!.Bytes > MaxUnsavedBytes)
        {
            AwaitSave();
        }
        if (_saving is null && (_file.UnsavedBytes > StateFile.LargeBytes || _votes!.Bytes > LargeLogBytes))
        {
            Try(() => BeginSave(stable));
        }
    }

    /// <summary>A state transfer has ended, and the image was saved.</summary>
    public void OnTransferred(StateTransferReport report) =>
        _logger.LogInformation("state transfer: checkpoint {Checkpoint} is here; {Fetched} pages differed and were fetched, "
            + "{Cleared} became zeros, in {Millis} ms; {State}", report.Checkpoint, report.Fetched, report.Cleared, report.Micros / 1000,
            report.Repaired ? "the state is repaired" : "the state is up to date");

    /// <summary>The replica has found that its state is of no checkpoint: what is saved must not keep it from saving a right one.</summary>
    public void OnDistrusted()
    {
        AwaitSave();
        _file.ForgetSaved();
        _logger.LogWarning("the state claims to be of a checkpoint that nobody can have: it is compared with the others' and repaired");
    }

    /// <summary>To be called every second: saves once nothing has been executed for a while.</summary>
    public void OnSecond(Replica replica)
    {
        if (Pages.IsTrusted && _saving is null && _quiet.IsTimeToSave(replica.LastExecuted.Value))
        {
            Try(() =>
            {
                _votes!.Sync();
                if (replica.StableCheckpoint > _file.SavedCheckpoint)
                {
                    BeginSave(replica.StableCheckpoint, replica.LastExecuted.Value);
                }
                else
                {
                    _quiet.Saved(replica.LastExecuted.Value);
                }
            });
        }
    }

    /// <summary>The same for the unreplicated server, which has no checkpoints of its own.</summary>
    /// <param name="executed">Requests executed since the start.</param>
    public void OnSecond(long executed)
    {
        if (_saving is null && (_quiet.IsTimeToSave(executed) || _file.UnsavedBytes > StateFile.LargeBytes))
        {
            Try(() => BeginSave(TakeLocalCheckpoint(), executed));
        }
    }

    /// <summary>Brings everything that a replica knows to the disk; it must not run after that.</summary>
    /// <exception cref="IOException">The disk is full, for example: the next start has more to read.</exception>
    public void SaveForStop(Replica replica)
    {
        AwaitSave();
        if (Pages.IsTrusted)
        {
            SaveImage(replica.StableCheckpoint, cleanStop: true);
        }
        _votes!.Sync(clean: true);
    }

    /// <summary>Saves the state of the unreplicated server, which is all that it has.</summary>
    /// <exception cref="IOException">As above.</exception>
    public void SaveForStop()
    {
        AwaitSave();
        _file.Save(TakeLocalCheckpoint(), cleanStop: true);
    }

    public void Dispose()
    {
        // Only after a failure is there one: what it saves then is as good as nothing.
        _saving?.ContinueWith(_ => { }, TaskScheduler.Default).Wait();
        _votes?.Dispose();
        _file.Dispose();
    }

    private void SaveImage(SeqNum stable, bool cleanStop)
    {
        _file.Save(stable, cleanStop);
        RestartLog();
    }

    /// <summary>The log begins with the saved image; without one it must keep all.</summary>
    private void RestartLog()
    {
        if (Pages.IsTrusted && _file.SavedCheckpoint == _replica!.StableCheckpoint)
        {
            _replica.RestartLog();
        }
    }

    private SeqNum TakeLocalCheckpoint()
    {
        SeqNum next = Pages.LastCheckpoint.Next;
        Pages.TakeCheckpoint(next);
        Pages.DiscardBefore(next);
        return next;
    }

    /// <summary>Saves the image of the last stable checkpoint while the replica goes on.</summary>
    /// <param name="quietSince">What was executed, if it is saved because there is nothing to do.</param>
    private void BeginSave(SeqNum stable, long? quietSince = null)
    {
        _file.BeginSave(stable);
        _saving = Task.Run(_file.RunSave);
        _ = _saving.ContinueWith(ended => _post(() => EndSave(ended)), TaskScheduler.Default);
        (_logWasBegun, _quietSince) = (false, quietSince);
        _replica?.BeginLog();
        _logWasBegun = _replica is not null;
    }

    private void AwaitSave()
    {
        if (_saving is { } saving)
        {
            saving.ContinueWith(_ => { }, TaskScheduler.Default).Wait();
            EndSave(saving);
        }
    }

    /// <summary>A save that was waited for has been ended before it is told to have ended.</summary>
    private void EndSave(Task saving)
    {
        if (saving != _saving)
        {
            return;
        }
        _saving = null;
        saving.GetAwaiter().GetResult();
        bool saved = false;
        Try(() =>
        {
            _file.EndSave();
            saved = true;
            if (_quietSince is { } executed)
            {
                _quiet.Saved(executed);
            }
        });
        if (_logWasBegun)
        {
            Try(() => _replica!.EndLog(saved));
        }
    }

    /// <summary>A save that fails is tried again later; what was to be saved stays in memory.</summary>
    private void Try(Action save)
    {
        try
        {
            save();
        }
        catch (IOException e)
        {
            _quiet.Failed();
            _logger.LogError("{Message}; the replica goes on, and tries again later", e.Message);
        }
    }
}

/// <summary>Tells, once a second, whether it is time to save: something was executed, and nothing lately.</summary>
internal sealed class QuietTime
{
    private const int QuietSeconds = 2;
    private const int SecondsAfterFailure = 30;

    private long _executed;
    private long _saved;
    private int _seconds;

    public void Saved(long executed) => _saved = _executed = executed;

    /// <summary>A full disk is not to be tried every second.</summary>
    public void Failed() => _seconds = QuietSeconds - SecondsAfterFailure;

    public bool IsTimeToSave(long executed)
    {
        _seconds = executed == _executed || _seconds < 0 ? _seconds + 1 : 0;
        _executed = executed;
        return _seconds >= QuietSeconds && executed != _saved;
    }
}
