using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Storage;
using BfsCore.Replication;
using BfsCore.State;
using Microsoft.Extensions.Logging;

namespace BfsReplica;

/// <summary>
/// When a replica's knowledge goes to disk (§4.3.2: "saves its state"): at a clean stop; when it has had nothing to do for
/// a while; and when much was modified, so that it does not fill the memory. The image on disk is that of a stable
/// checkpoint, and the saved log holds the batches above it, as of the last of these moments.
///
/// After a stop that was not clean the replica has forgotten what it voted for since then (pitfall 33). With at most f such
/// replicas the others make up for it; when all stop so, what was done since then is lost.
/// </summary>
internal sealed class ReplicaStorage : IDisposable
{
    /// <summary>Requests in a log that is saved while running, bytes: more would take too long.</summary>
    private const long MaxQuietLogBytes = 64L << 20;

    private readonly StateFile _file;
    private readonly string _savedLog;
    private readonly ILogger _logger;
    private readonly QuietTime _quiet = new();

    public ReplicaStorage(ClusterDirectory directory, ClusterConfig config, ReplicaId id, ILogger logger)
    {
        _savedLog = directory.SavedLog(id);
        _logger = logger;
        _file = StateFile.Open(directory.Replica(id), Replica.StateBytes(config));
        if (_file.Status == StateFileStatus.Damaged)
        {
            string text = _file.StatusText;
            _file.Dispose();
            throw new ReplicaStartException($"{directory.Replica(id)}: {text}. If the other replicas are well, move "
                + "state.image, state.journal and state.meta away: this one then fetches its state from them");
        }
        _logger.Log(_file.Status == StateFileStatus.UncleanStop ? LogLevel.Warning : LogLevel.Information,
            "state: {Status}", _file.StatusText);
    }

    public PagedState Pages => _file.State;

    /// <summary>
    /// Gives the replica the log that was saved last. One of an earlier checkpoint, after a stop that was not clean, is of
    /// no use.
    /// </summary>
    public void RestoreLog(Replica replica)
    {
        if (File.Exists(_savedLog) && _file.Status is StateFileStatus.CleanStop or StateFileStatus.UncleanStop)
        {
            string? problem = replica.RestoreLog(File.ReadAllBytes(_savedLog));
            if (problem == null)
            {
                _logger.LogInformation("took up the saved log: view {View}, executed up to {Executed}",
                    replica.View.Value, replica.LastExecuted.Value);
            }
            else
            {
                _logger.LogWarning("the saved log is not used: {Problem}", problem);
            }
        }
        _quiet.Saved(replica.LastExecuted.Value);
    }

    /// <summary>A checkpoint became stable: save it if much has changed.</summary>
    public void OnStable(SeqNum stable) => Try(() => _file.SaveIfLarge(stable));

    /// <summary>To be called every second: saves once nothing has been executed for a while.</summary>
    public void OnSecond(Replica replica)
    {
        if (_quiet.IsTimeToSave(replica.LastExecuted.Value) && replica.RequestBytesHeld <= MaxQuietLogBytes)
        {
            Try(() =>
            {
                if (replica.StableCheckpoint > _file.SavedCheckpoint)
                {
                    _file.Save(replica.StableCheckpoint);
                }
                SaveLog(replica);
                _quiet.Saved(replica.LastExecuted.Value);
            });
        }
    }

    /// <summary>The same for the unreplicated server, which has no checkpoints of its own.</summary>
    /// <param name="executed">Requests executed since the start.</param>
    public void OnSecond(long executed)
    {
        if (_quiet.IsTimeToSave(executed) || _file.UnsavedBytes > StateFile.LargeBytes)
        {
            Try(() =>
            {
                SaveLocalCheckpoint(cleanStop: false);
                _quiet.Saved(executed);
            });
        }
    }

    /// <summary>Saves everything that a replica knows; it must not run after that.</summary>
    /// <exception cref="IOException">The disk is full, for example: the next start will be as after a crash.</exception>
    public void SaveForStop(Replica replica)
    {
        SaveLog(replica);
        _file.Save(replica.StableCheckpoint, cleanStop: true);
    }

    /// <summary>Saves the state of the unreplicated server, which is all that it has.</summary>
    /// <exception cref="IOException">As above.</exception>
    public void SaveForStop() => SaveLocalCheckpoint(cleanStop: true);

    public void Dispose() => _file.Dispose();

    private void SaveLog(Replica replica)
    {
        using var log = new MemoryStream();
        replica.SaveLog(log);
        DurableFile.Replace(_savedLog, log.GetBuffer().AsSpan(0, (int)log.Length), secret: true);
    }

    private void SaveLocalCheckpoint(bool cleanStop)
    {
        SeqNum next = Pages.LastCheckpoint.Next;
        Pages.TakeCheckpoint(next);
        Pages.DiscardBefore(next);
        _file.Save(next, cleanStop);
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
