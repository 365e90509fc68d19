namespace BfsCore.Hosting;

/// <summary>
/// Where things are in a cluster directory. On a machine that runs only some of the replicas or clients, only their
/// parts are there.
/// </summary>
/// <param name="path">The directory; made absolute.</param>
public sealed class ClusterDirectory(string path)
{
    /// <summary>The directory that is used when none is named: $BFS_HOME or ~/.bfs.</summary>
    public static string DefaultPath
    {
        get
        {
            string? home = Environment.GetEnvironmentVariable("BFS_HOME");
            return string.IsNullOrEmpty(home)
                ? System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".bfs")
                : home;
        }
    }

    public string Path { get; } = System.IO.Path.GetFullPath(path);

    public string ClusterFile => In("cluster.json");

    /// <summary>Private keys of the replicas and clients of this machine.</summary>
    public string Keys => In("keys");

    public string ReplicaKey(ReplicaId id) => In("keys", $"replica-{id.Value}.key");

    public string ClientKey(ClientId id) => In("keys", $"client-{id.Value}.key");

    /// <summary>Everything that one replica writes; its state files are directly in it.</summary>
    public string Replica(ReplicaId id) => In($"replica-{id.Value}");

    /// <summary>What the replica writes for people.</summary>
    public string LogFile(ReplicaId id) => In($"replica-{id.Value}", "replica.log");

    /// <summary>Locked by the running replica.</summary>
    public string PidFile(ReplicaId id) => In($"replica-{id.Value}", "replica.pid");

    /// <summary>Locked by the replica's recovery monitor.</summary>
    public string MonitorLock(ReplicaId id) => In($"replica-{id.Value}", "monitor.pid");

    /// <summary>Where the recovery monitor takes commands.</summary>
    public string MonitorSocket(ReplicaId id) => In($"replica-{id.Value}", "monitor.sock");

    /// <summary>Locked by the replica's key holder.</summary>
    public string KeyHolderLock(ReplicaId id) => In($"replica-{id.Value}", "keyholder.pid");

    /// <summary>Where the key holder serves the replica.</summary>
    public string KeyHolderSocket(ReplicaId id) => In($"replica-{id.Value}", "keyholder.sock");

    /// <summary>What recoveries found, one line of JSON each.</summary>
    public string Recoveries(ReplicaId id) => In($"replica-{id.Value}", "recoveries.jsonl");

    /// <summary>There while a recovery is under way: one that was cut short is taken up by the next start.</summary>
    public string RecoveryMark(ReplicaId id) => In($"replica-{id.Value}", "recovery.pending");

    /// <summary>Damaged pages and program files, kept for analysis.</summary>
    public string Evidence(ReplicaId id) => In($"replica-{id.Value}", "evidence");

    /// <summary>Locked by the recovery monitor of this machine that recovers its replica.</summary>
    public string RecoveryLock => In("run", "recovery.lock");

    /// <summary>Counters of NEW-KEY messages accepted (pitfall 36).</summary>
    public string AcceptedCounters(ReplicaId id) => In($"replica-{id.Value}", "accepted.counters");

    /// <summary>The counter of the replica's own signatures.</summary>
    public string SignerCounter(ReplicaId id) => In($"replica-{id.Value}", "signer.counter");

    /// <summary>Everything that the clients of this machine write.</summary>
    public string Clients => In("client");

    /// <summary>Locked by the relay that acts as this client.</summary>
    public string ClientLock(ClientId id) => In("client", $"{id.Value}.lock");

    /// <summary>The counter of the client's own signatures.</summary>
    public string SignerCounter(ClientId id) => In("client", $"{id.Value}.counter");

    /// <summary>What the relay of this client writes for people.</summary>
    public string RelayLog(ClientId id) => In("client", $"{id.Value}.log");

    /// <summary>What lasts as long as processes run.</summary>
    public string Run => In("run");

    private string In(params ReadOnlySpan<string> names) => System.IO.Path.Combine([Path, .. names]);
}
