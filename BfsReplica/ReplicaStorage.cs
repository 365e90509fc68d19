using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Storage;
using BfsCore.Replication;
using BfsCore.State;
using Microsoft.Extensions.Logging;

namespace BfsReplica;

/// <summary>
/// When a replica's state goes to disk (§4.3.2: "saves its state"): at a clean stop with the log above it, when much was
/// modified since the last time, and when nothing happens. In between the image on disk is that of an earlier stable
/// checkpoint.
/// </summary>
internal sealed class ReplicaStorage : IDisposable
{
    private readonly StateFile _file;
    private readonly string _savedLog;
    private readonly ILogger _logger;
    private readonly long _largeBytes;
    private SeqNum _stable;
    private SeqNum _stableAtIdleCheck;

    public ReplicaStorage(ClusterDirectory directory, ClusterConfig config, ReplicaId id, ILogger logger)
    {
        _savedLog = directory.SavedLog(id);
        _logger = logger;
        // Not all replicas at the same checkpoint: while one is busy with its disk the others go on.
        _largeBytes = StateFile.LargeBytes + (StateFile.LargeBytes * id.Value / config.N);
        _file = StateFile.Open(directory.Replica(id), Replica.StateBytes(config));
        if (_file.Status == StateFileStatus.Damaged)
        {
            string text = _file.StatusText;
            _file.Dispose();
            throw new ReplicaStartException($"{directory.Replica(id)}: {text}. If the other replicas are well, move "
                + "state.image, state.journal and state.meta away: this one then fetches its state from them");
        }
        _stable = _stableAtIdleCheck = _file.SavedCheckpoint;
        _logger.Log(_file.Status == StateFileStatus.UncleanStop ? LogLevel.Warning : LogLevel.Information,
            "state: {Status}", _file.StatusText);
    }

    public PagedState Pages => _file.State;

    /// <summary>Gives the replica the log of its last clean stop, if that is how it stopped.</summary>
    public void RestoreLog(Replica replica)
    {
        if (_file.Status == StateFileStatus.CleanStop && File.Exists(_savedLog))
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
        // From the first message on it is out of date.
        File.Delete(_savedLog);
    }

    /// <summary>A checkpoint became stable: save it if much has changed.</summary>
    public void OnStable(SeqNum stable)
    {
        _stable = stable;
        Try(() => _file.SaveIfLarge(stable, _largeBytes));
    }

    /// <summary>To be called every few seconds: saves the last stable checkpoint once it has stayed the last for a while.</summary>
    public void OnIdleCheck()
    {
        if (_stable == _stableAtIdleCheck && _stable > _file.SavedCheckpoint)
        {
            Try(() => _file.Save(_stable));
        }
        _stableAtIdleCheck = _stable;
    }

    /// <summary>Saves everything that a replica knows; it must not run after that.</summary>
    /// <exception cref="IOException">The disk is full, for example: the next start will be as after a crash.</exception>
    public void SaveForStop(Replica replica)
    {
        using (var log = new MemoryStream())
        {
            replica.SaveLog(log);
            DurableFile.Replace(_savedLog, log.GetBuffer().AsSpan(0, (int)log.Length), secret: true);
        }
        _file.Save(replica.StableCheckpoint, cleanStop: true);
    }

    /// <summary>Saves the state of the unreplicated server, which is all that it has.</summary>
    /// <exception cref="IOException">As above.</exception>
    public void SaveForStop()
    {
        TakeLocalCheckpoint();
        _file.Save(_stable, cleanStop: true);
    }

    /// <summary>The unreplicated server has no checkpoints of its own: now and then its state becomes one.</summary>
    public void SaveUnreplicatedIfLarge()
    {
        if (_file.UnsavedBytes > 4 * StateFile.LargeBytes)
        {
            TakeLocalCheckpoint();
            Try(() => _file.Save(_stable));
        }
    }

    public void Dispose() => _file.Dispose();

    private void TakeLocalCheckpoint()
    {
        _stable = Pages.LastCheckpoint.Next;
        Pages.TakeCheckpoint(_stable);
        Pages.DiscardBefore(_stable);
    }

    /// <summary>A save that fails is tried again at the next checkpoint; what was to be saved stays in memory.</summary>
    private void Try(Action save)
    {
        try
        {
            save();
        }
        catch (StateFileException e)
        {
            _logger.LogError("{Message}; the replica goes on, and tries again at its next checkpoint", e.Message);
        }
    }
}
