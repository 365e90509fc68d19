using System.Net;
using BfsCore.Hosting.Storage;

namespace BfsCore.Hosting;

/// <summary>What a new cluster is to be like; everything else has its default in <see cref="ClusterConfig"/>.</summary>
public sealed record ClusterPlan
{
    /// <summary>3f+1; 1 for <see cref="ClusterMode.NoRep"/>.</summary>
    public int Replicas { get; init; } = 4;

    public ClusterMode Mode { get; init; } = ClusterMode.Bft;

    /// <summary>Where the replicas run, in turn; one name for all, or one for each.</summary>
    public IReadOnlyList<string> Hosts { get; init; } = ["127.0.0.1"];

    /// <summary>The first replica's UDP port; replica i has this plus i, on whatever host.</summary>
    public int BasePort { get; init; } = 7000;

    /// <summary>IPv4 multicast group and port for messages between replicas; null for unicast.</summary>
    public string? MulticastGroup { get; init; }

    /// <summary>How many drives can be mounted at once, each under a key of its own.</summary>
    public int Clients { get; init; } = 8;

    /// <summary>Who owns the root directory of the drive.</summary>
    public uint OwnerUid { get; init; }

    public uint OwnerGid { get; init; }

    /// <summary>Bytes of replicated state; rounded up to whole pages.</summary>
    public long ServiceStateBytes { get; init; } = 16L << 30;
}

/// <summary>Makes a cluster: fresh keys for everybody and the cluster file, last of all.</summary>
public static class ClusterFounder
{
    /// <summary>
    /// Separate transmission (§5.1.5) saves time on the primary's link, and costs each backup one waking more. Where all replicas are on
    /// one machine there is no link to save: an argument of two pages is inlined, as writes of small files have it, and batches of
    /// them still fit into a datagram.
    /// </summary>
    private const int LocalInlineThresholdBytes = 9 * 1024;

    private const int LocalBatchInlineBytes = 48 * 1024;

    /// <summary>Makes the keys and the cluster file in an existing or new directory without a cluster file.</summary>
    /// <exception cref="ClusterFileException">There is a cluster already, or the plan does not fit together.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public static ClusterConfig Create(ClusterDirectory directory, ClusterPlan plan)
    {
        if (File.Exists(directory.ClusterFile))
        {
            throw new ClusterFileException($"{directory.ClusterFile}: there is a cluster already; choose another directory "
                + "with --cluster, or remove this one if nothing in it is needed");
        }
        // Everything that can be wrong is found before the first file is made.
        if (plan.Hosts.Count != 1 && plan.Hosts.Count != plan.Replicas)
        {
            throw new ClusterFileException($"name one host for all replicas or one for each of the {plan.Replicas}, "
                + $"not {plan.Hosts.Count}");
        }
        if (plan.Clients is < 1 or > 1024 || plan.BasePort < 1 || plan.BasePort + plan.Replicas > 65_536)
        {
            throw new ClusterFileException("clients must be from 1 to 1024, and all ports from 1 to 65535");
        }
        if (Describe(plan, static _ => [], static _ => []).FirstProblem() is { } problem)
        {
            throw new ClusterFileException($"this cluster cannot be: {problem}");
        }
        MakePrivate(directory.Path);
        MakePrivate(directory.Keys);
        ClusterConfig config = Describe(plan, id => KeyFiles.Create(directory.ReplicaKey(id)),
            id => KeyFiles.Create(directory.ClientKey(id)));
        ClusterFile.Write(directory.ClusterFile, config);
        for (int i = 0; i < config.N && OperatingSystem.IsLinux() && config.Mode != ClusterMode.NoRep; i++)
        {
            // A replica without a log has lost it, and would have to be silent at first; these have nothing to remember.
            MakePrivate(directory.Replica(new ReplicaId(i)));
            VoteLogFile.Open(directory.Replica(new ReplicaId(i))).Dispose();
        }
        return config;
    }

    private static ClusterConfig Describe(ClusterPlan plan, Func<ReplicaId, byte[]> replicaKey, Func<ClientId, byte[]> clientKey)
    {
        var replicas = new ReplicaInfo[Math.Clamp(plan.Replicas, 0, Limits.MaxReplicas + 1)];
        for (int i = 0; i < replicas.Length; i++)
        {
            var id = new ReplicaId(i);
            replicas[i] = new ReplicaInfo(id, plan.Hosts[i % plan.Hosts.Count], plan.BasePort + i, replicaKey(id));
        }
        var clients = new ClientInfo[Math.Clamp(plan.Clients, 0, 1024)];
        for (int i = 0; i < clients.Length; i++)
        {
            var id = new ClientId(Limits.FirstClientId + i);
            clients[i] = new ClientInfo(id, $"client-{id.Value}", clientKey(id), RootSquash: false, []);
        }
        var defaults = new ClusterConfig { Replicas = replicas, Clients = clients };
        bool local = plan.Hosts.All(IsLoopback);
        return defaults with
        {
            Mode = plan.Mode,
            // Only BFT-PR changes keys and recovers.
            KeyRefreshMillis = plan.Mode == ClusterMode.BftPk ? 0 : defaults.KeyRefreshMillis,
            WatchdogSeconds = plan.Mode == ClusterMode.BftPk ? 0 : defaults.WatchdogSeconds,
            MulticastGroup = plan.MulticastGroup,
            OwnerUid = plan.OwnerUid,
            OwnerGid = plan.OwnerGid,
            InlineThresholdBytes = local ? LocalInlineThresholdBytes : defaults.InlineThresholdBytes,
            MaxBatchInlineBytes = local ? LocalBatchInlineBytes : defaults.MaxBatchInlineBytes,
            ServiceStateBytes = plan.ServiceStateBytes > 1L << 50 ? plan.ServiceStateBytes : (plan.ServiceStateBytes + 4095) & ~4095L,
        };
    }

    private static bool IsLoopback(string host) =>
        host == "localhost" || (IPAddress.TryParse(host, out IPAddress? address) && IPAddress.IsLoopback(address));

    private static void MakePrivate(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(path);
        }
        else
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }
}
