using BfsCore;
using BfsCore.Replication;
using BfsCore.State;
using BfsSim.Network;

namespace BfsSim.Nodes;

/// <summary>A replica process: the engine as it is compiled, its memory, its service and its files. It may end and start again.</summary>
public sealed class ReplicaNode : SimNode, IDisposable
{
    private readonly ClusterConfig _config;
    private readonly SimRandom _random;
    private readonly VirtualNetwork _network;
    private readonly IKeyExchange _keys;
    private readonly Func<IService> _service;
    private readonly IReplicaObserver _observer;
    private readonly int _savesPerMille;
    private NodePort _port = null!;

    /// <param name="savesPerMille">How many of its stable checkpoints the replica saves as an image.</param>
    public ReplicaNode(int address, ClusterConfig config, EventQueue events, SimRandom random, SimOptions options,
        VirtualNetwork network, IKeyExchange keys, Func<IService> service, IReplicaObserver observer)
        : base(address, events, random, options.ClockSkewMillis)
    {
        (_config, _random, _network, _keys, _service, _observer) = (config, random.Fork(), network, keys, service, observer);
        _savesPerMille = options.ImageSavesPerMille;
        Begin();
    }

    public Replica Replica { get; private set; } = null!;

    /// <summary>It was started to recover and has not ended that.</summary>
    public bool IsRecovering => Replica.Recovery.Phase is not (RecoveryPhase.None or RecoveryPhase.Recovered);

    public PagedState State { get; private set; } = null!;

    public SimDisk Disk { get; } = new();

    /// <summary>Another process with the same identity, in which nothing has happened yet.</summary>
    public ReplicaNode Twin(EventQueue events, SimOptions options) =>
        new(Address, _config, events, _random.Fork(), options, _network, _keys, _service, _observer);

    /// <summary>Views that this replica left, in all its lives.</summary>
    public long ViewChanges => _earlierViewChanges + Replica.Counters.ViewChanges;

    private long _earlierViewChanges;

    public void Start()
    {
        Replica.Start(Now);
        WakeUpSoon();
    }

    /// <summary>Starts again with what its files hold, after <see cref="SimNode.Crash"/>.</summary>
    /// <param name="recover">Its monitor starts it, to recover (§4.3.2).</param>
    public void Restart(bool recover = false)
    {
        SimulationException.Require(Crashed, "a replica was started twice");
        _earlierViewChanges += Replica.Counters.ViewChanges;
        State.Dispose();
        Disk.ForgetSave();
        try
        {
            Begin();
        }
        catch (BfsAssertException) when (recover)
        {
            Disk.LoseAll();
            State.Dispose();
            Begin();
        }
        (_observer as IRestartObserver)?.OnRestarted(Replica.Id, Disk.SavedCheckpoint);
        if (recover)
        {
            if (Disk.VotesLost)
            {
                Disk.VotesLost = false;
                Replica.RejoinSilently();
            }
            Replica.BeginRecovery();
        }
        string? problem = Replica.RestoreLog();
        SimulationException.Require(problem is null, $"replica {Address}: {problem}");
        Revive();
        if (Disk.SavedCheckpoint == Replica.StableCheckpoint)
        {
            Replica.RestartLog();
        }
        Start();
    }

    protected override long NextDeadlineMicros => Replica.NextDeadlineMicros;

    protected override void Step(byte[] message, SourceAddress source)
    {
        _port.HandlingBytes = message.Length;
        Guard(() => Replica.Step(message, source));
    }

    protected override void Tick(Instant now)
    {
        _port.HandlingBytes = 0;
        Guard(() => Replica.Tick(now));
    }

    /// <summary>
    /// A state that an attacker left may be such that its service cannot go on. Then the monitor puts it aside and starts the replica
    /// with nothing.
    /// </summary>
    private void Guard(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (IsRecovering && e is not SimulationException)
        {
            Crash();
            Disk.LoseAll();
            Restart(recover: true);
        }
    }

    public void Dispose() => State.Dispose();

    private void Begin()
    {
        _port = new NodePort(_network, this, _config.N);
        State = Disk.Load(Replica.StateBytes(_config));
        Replica = new Replica(new ReplicaId(Address), _config, State, _service(), _port, _random.Fork(), _keys,
            Disk.Counters, Disk.Votes, _observer)
        {
            CheckpointBecameStable = OnStable,
        };
    }

    /// <summary>Every other save takes until the next checkpoint is stable, or for ever if the process ends before that.</summary>
    private void OnStable(SeqNum stable)
    {
        if (Disk.IsSaving)
        {
            Disk.EndSave(State);
            Replica.EndLog(saved: true);
        }
        bool wanted = _random.PerMille(_savesPerMille);
        if (Replica.ImageNeeded)
        {
            Disk.Save(State, stable);
            Replica.RestartLog();
        }
        else if (wanted)
        {
            Disk.BeginSave(State, stable);
            Replica.BeginLog();
            if (stable.Value / _config.CheckpointPeriod % 2 == 0)
            {
                Disk.EndSave(State);
                Replica.EndLog(saved: true);
            }
        }
    }
}

/// <summary>Told when a replica's process starts again.</summary>
public interface IRestartObserver
{
    /// <param name="image">The checkpoint that its memory holds at first.</param>
    void OnRestarted(ReplicaId replica, SeqNum image);
}
