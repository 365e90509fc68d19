using BfsCore;
using BfsCore.Crypto;
using BfsCore.Hosting;
using BfsCore.Hosting.KeyHolding;
using BfsCore.Hosting.Net;
using BfsCore.Hosting.Recovery;
using BfsCore.Replication;
using Microsoft.Extensions.Logging;

namespace BfsReplica;

/// <summary>
/// A replica process: the engine, its service, its files and its socket around one event loop. Also answers monitors,
/// which the engine never sees.
/// </summary>
internal sealed partial class ReplicaHost : IMessageHandler, ILoopClient, IDisposable
{
    /// <summary>"1": links between replicas can be cut by whoever reaches the port. For tests only.</summary>
    public const string TestFaultsVariable = "BFS_TEST_FAULTS";

    private const long PeerSilenceMicros = 3_500_000;

    private static readonly TimeSpan KeyHolderPatience = TimeSpan.FromSeconds(20);

    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly ClusterConfig _config;
    private readonly ReplicaId _id;
    private readonly ILogger _logger;
    private readonly EventLoop _loop = new();
    private readonly ProcessLock _lock;
    private readonly ReplicaStorage _storage;
    private readonly KeyHolderClient? _signer;
    private readonly FileSigner? _ownSigner;
    private readonly ControlChannel? _channel;
    private readonly UdpTransport _transport;
    private readonly IServerEngine _engine;
    private readonly Replica? _replica;
    private readonly ReplicaCounters _counters;
    private readonly SourceAddress[] _peers;
    private readonly long[] _heardMicros;
    private readonly byte[] _answer = new byte[MonitorProtocol.AnswerBytes];
    private readonly long _startMicros;
    private readonly bool _testFaults = Environment.GetEnvironmentVariable(TestFaultsVariable) == "1";
    private (ulong From, ulong To) _cut;
    private long _nowMicros;

    /// <summary>Opens everything: afterwards the replica can run.</summary>
    /// <param name="channel">To the recovery monitor; null when none started this process.</param>
    /// <param name="recover">It was started to recover (§4.3.2).</param>
    /// <exception cref="ClusterFileException">The cluster file or a key cannot be used.</exception>
    /// <exception cref="ReplicaStartException">Another process is this replica, or its state cannot be used.</exception>
    /// <exception cref="TransportException">The port is in use, or a host is unknown.</exception>
    /// <exception cref="KeyHolderException">There is no key holder for this process.</exception>
    /// <exception cref="IOException">Files cannot be made or read.</exception>
    public ReplicaHost(ClusterDirectory directory, ReplicaId id, Func<ClusterConfig, IService> service, ILogger logger,
        ControlChannel? channel = null, bool recover = false)
    {
        (_id, _logger, _channel) = (id, logger, channel);
        _config = ClusterFile.Read(directory.ClusterFile);
        if (id.Value >= _config.N)
        {
            throw new ReplicaStartException(
                $"{directory.ClusterFile}: there is no replica {id.Value}; they are 0 to {_config.N - 1}");
        }
        Directory.CreateDirectory(directory.Replica(id));
        _lock = ProcessLock.TryTake(directory.PidFile(id)) ?? throw new ReplicaStartException(
            $"replica {id.Value} runs already as process {ProcessLock.HolderOf(directory.PidFile(id))} ({directory.PidFile(id)})");
        try
        {
            // Multicast goes to all: links cannot be cut.
            _transport = UdpTransport.ForReplica(_testFaults ? _config with { MulticastGroup = null } : _config, id);
            _storage = new ReplicaStorage(directory, _config, id, logger, _loop.Post);
            if (_config.Mode == ClusterMode.NoRep)
            {
                var server = new NoRepServer(_config, _storage.Pages, service(_config), _transport);
                (_engine, _counters) = (server, server.Counters);
            }
            else
            {
                // BFT-PK signs every message and does not recover: a key holder would cost time and keep nothing.
                ISigner signer = _config.CanRecover
                    ? _signer = KeyHolderClient.Connect(directory.KeyHolderSocket(id), _config.Replicas[id.Value].PublicKey.Span,
                        KeyHolderPatience)
                    : _ownSigner = FileSigner.ForReplica(directory, _config, id);
                _replica = new Replica(id, _config, _storage.Pages, service(_config), _transport, new SystemEntropy(),
                    new KeyExchange(_config, signer), new FileStableStore(directory.AcceptedCounters(id)), _storage.Votes)
                {
                    CheckpointBecameStable = _storage.OnStable,
                    StateTransferred = OnTransferred,
                    DamagedPageFound = OnDamagedPage,
                    StateDistrusted = _storage.OnDistrusted,
                };
                (_engine, _counters) = (_replica, _replica.Counters);
                _evidenceDirectory = directory.Evidence(id);
                _storage.Pages.BeforeInstall = OnPageReplaced;
                if (recover)
                {
                    _replica.BeginRecovery();
                }
                _storage.RestoreLog(_replica);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
        _peers = [.. Enumerable.Range(0, _config.N).Select(i => _transport.AddressOf(new ReplicaId(i)))];
        _heardMicros = new long[_config.N];
        _startMicros = _nowMicros = _loop.Now.MonotonicMicros;
        Array.Fill(_heardMicros, _startMicros);
    }

    /// <summary>Runs until <see cref="Stop"/>, then saves.</summary>
    /// <exception cref="IOException">The state or the log could not be saved.</exception>
    public void Run()
    {
        if (_transport.ReplicaDescriptor >= 0)
        {
            _loop.AddReader(_transport.ReplicaDescriptor, () => _transport.ReceiveFromReplicas(this));
        }
        _loop.AddReader(_transport.Descriptor, () => _transport.ReceiveFromAnybody(this));
        if (_transport.MulticastDescriptor >= 0)
        {
            _loop.AddReader(_transport.MulticastDescriptor, () => _transport.ReceiveFromReplicas(this));
        }
        else if (_config.MulticastGroup is { } group && !_testFaults)
        {
            _logger.LogWarning("cannot join the multicast group {Group}; messages go by unicast", group);
        }
        if (_testFaults)
        {
            _logger.LogWarning("{Variable} is set: whoever reaches this port can cut links to other replicas", TestFaultsVariable);
        }
        if (_signer is not null)
        {
            _loop.AddReader(_signer.Descriptor, () => throw new KeyHolderException(
                "the key holder has gone: a replica that cannot sign is of no use"));
        }
        _channel?.Attach(_loop, OnControl);
        _loop.AddClient(this);
        _loop.AddTimer(Second, OnSecond);
        _engine.Start(_loop.Now);
        _logger.LogInformation("replica {Id} of {N} runs on {Address} as process {Pid}", _id.Value, _config.N,
            _transport.LocalEndPoint, Environment.ProcessId);
        _channel?.Send(new ControlLine { Kind = ControlLine.Running, PagesChecked = _storage.PagesChecked });
        _loop.Run();
        if (_saving)
        {
            CheckMemory();
        }
        if (_replica is null)
        {
            _storage.SaveForStop();
        }
        else
        {
            _storage.SaveForStop(_replica);
        }
        _logger.LogInformation("stopped; state and log are saved");
        if (_saving)
        {
            _channel!.Send(_found with { Kind = ControlLine.Saved });
        }
    }

    /// <summary>Ends <see cref="Run"/>; from any thread.</summary>
    public void Stop() => _loop.Stop();

    public void Receive(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (MonitorProtocol.IsMonitor(message))
        {
            AnswerMonitor(message, source);
            return;
        }
        for (int i = 0; i < _peers.Length; i++)
        {
            if (_peers[i] == source)
            {
                _heardMicros[i] = _nowMicros;
                break;
            }
        }
        _engine.Step(message, source);
    }

    public void Tick(Instant now)
    {
        _nowMicros = now.MonotonicMicros;
        _engine.Tick(now);
    }

    public long NextDeadlineMicros => _engine.NextDeadlineMicros;

    public bool ExpectsInput => _engine.ExpectsMessages;

    public void Flush() => _transport.Flush();

    public void Dispose()
    {
        // Some are missing when the constructor failed half way.
        _transport?.Dispose();
        _storage?.Dispose();
        _signer?.Dispose();
        _ownSigner?.Dispose();
        _loop.Dispose();
        _lock.Dispose();
    }

    private void OnSecond()
    {
        if (_replica is null)
        {
            _storage.OnSecond(_counters.RequestsExecuted);
        }
        else
        {
            _storage.OnSecond(_replica);
            ReportDamage();
        }
        _loop.AddTimer(Second, OnSecond);
    }

    private void AnswerMonitor(ReadOnlySpan<byte> message, SourceAddress source)
    {
        bool isQuery = MonitorProtocol.TryReadQuery(message, out ulong nonce);
        if (!isQuery && _testFaults && MonitorProtocol.TryReadCut(message, out nonce, out ulong from, out ulong to))
        {
            CutLinks(from, to);
            isQuery = true;
        }
        if (isQuery)
        {
            MonitorProtocol.WriteAnswer(_answer, nonce, Describe());
            _transport.Answer(source, _answer);
        }
    }

    private void CutLinks(ulong from, ulong to)
    {
        // A command that was sent again changes nothing.
        if (_cut != (from, to))
        {
            _cut = (from, to);
            _transport.CutLinks(from, to);
            _logger.LogWarning("a test cuts the links from {From:x} and to {To:x} (one bit for each replica)", from, to);
        }
    }

    private MonitorAnswer Describe()
    {
        var common = new MonitorAnswer
        {
            Id = _id.Value,
            Pid = Environment.ProcessId,
            Activity = ReplicaActivity.Active,
            IsPrimary = true,
            RequestsExecuted = _counters.RequestsExecuted + _counters.ReadOnlyExecuted,
            UptimeMicros = _nowMicros - _startMicros,
            LastExecuted = _counters.RequestsExecuted,
            LastCommitted = _counters.RequestsExecuted,
            CutFrom = _cut.From,
            CutTo = _cut.To,
        };
        return _replica is null ? common : Describe(_replica, common);
    }

    private MonitorAnswer Describe(Replica replica, in MonitorAnswer common)
    {
        ViewChangeSummary change = replica.LastViewChange;
        return common with
        {
            Activity = replica.TransferTarget.Value > 0 ? ReplicaActivity.Fetching
                : replica.Diverged ? ReplicaActivity.Diverged : ReplicaActivity.Active,
            IsPrimary = replica.IsPrimary,
            View = replica.View.Value,
            LastExecuted = replica.LastExecuted.Value,
            LastCommitted = replica.LastCommitted.Value,
            StableCheckpoint = replica.StableCheckpoint.Value,
            StableDigest = replica.StableDigest,
            MissingPeers = MissingPeers(),
            TransferTarget = replica.TransferTarget.Value,
            TransferPages = replica.TransferPages,
            TransferMissing = replica.TransferPagesMissing,
            TransferUnknown = (int)Math.Min(replica.TransferPartsUnknown, int.MaxValue),
            PagesChecked = _storage.PagesChecked,
            PagesScrubbed = replica.Counters.PagesScrubbed,
            PagesDamaged = replica.Counters.PagesDamaged,
            PagesFetched = replica.Counters.PagesFetched,
            FilesWereDamaged = _storage.WasDamaged,
            ViewChanging = !replica.ViewActive,
            ViewChanges = replica.Counters.ViewChanges,
            ViewChangeReason = change.Reason,
            ViewChangeFrom = change.From.Value,
            ViewChangeTo = change.To.Value,
            ViewChangeAgoMicros = _nowMicros - change.LeftMicros,
            ViewChangeTookMicros = (change.EnteredMicros > 0 ? change.EnteredMicros : _nowMicros) - change.LeftMicros,
            Recovery = replica.Recovery,
            SlowRecoveries = replica.SlowRecoveries,
            RecoveryAlarm = replica.Recovery.Phase is not (RecoveryPhase.None or RecoveryPhase.Recovered)
                && _nowMicros - _startMicros > _config.RecoveryAlarmSeconds * 1_000_000L,
        };
    }

    private ulong MissingPeers()
    {
        ulong missing = 0;
        for (int i = 0; i < _peers.Length; i++)
        {
            bool silent = _nowMicros - _heardMicros[i] > PeerSilenceMicros;
            missing |= i != _id.Value && silent ? 1UL << i : 0;
        }
        return missing;
    }
}
