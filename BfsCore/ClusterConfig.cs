using BfsCore.Messages;

namespace BfsCore;

/// <summary>How the service is run.</summary>
public enum ClusterMode
{
    /// <summary>BFT: 3f+1 replicas, messages authenticated by MACs (chapter 3).</summary>
    Bft,

    /// <summary>NO-REP: one unreplicated server behind the same transport, the baseline of chapter 8.</summary>
    NoRep,

    /// <summary>BFT-PK: 3f+1 replicas, messages authenticated by signatures (§2.3); no recovery. For comparison (§8.3.3).</summary>
    BftPk,
}

/// <summary>A replica as the cluster file names it.</summary>
/// <param name="PublicKey">P-256 point, uncompressed, 65 bytes: verifies signatures and wraps session keys.</param>
public sealed record ReplicaInfo(ReplicaId Id, string Host, int Port, ReadOnlyMemory<byte> PublicKey);

/// <summary>A client as the cluster file names it, with what it may act as.</summary>
/// <param name="RootSquash">Operations of uid 0 are executed as uid and gid 65534.</param>
/// <param name="AllowedUids">Empty: any. Otherwise operations of other users are refused.</param>
public sealed record ClientInfo(ClientId Id, string Name, ReadOnlyMemory<byte> PublicKey, bool RootSquash,
    IReadOnlyList<uint> AllowedUids);

/// <summary>
/// Everything that all replicas and clients of a cluster must agree on before the first message. Read from the cluster
/// file, never changed.
/// </summary>
public sealed record ClusterConfig
{
    public required IReadOnlyList<ReplicaInfo> Replicas { get; init; }
    public required IReadOnlyList<ClientInfo> Clients { get; init; }

    public ClusterMode Mode { get; init; } = ClusterMode.Bft;

    /// <summary>IP multicast group for replica-to-replica messages, "address:port"; null for unicast.</summary>
    public string? MulticastGroup { get; init; }

    /// <summary>Largest UDP payload sent, bytes; longer messages go in fragments.</summary>
    public int DatagramBytes { get; init; } = 65_507;

    /// <summary>K: a checkpoint is taken after every batch whose number is a multiple of it (§2.3.4).</summary>
    public int CheckpointPeriod { get; init; } = 128;

    /// <summary>L: how many sequence numbers the log holds above the low water mark (§2.3.4). A multiple of K, at least 2K.</summary>
    public int LogSize { get; init; } = 256;

    /// <summary>w of §5.1.4: how many batches the primary runs in parallel.</summary>
    public int WindowSize { get; init; } = 4;

    /// <summary>Requests whose operation is larger are sent by the client to all replicas, not inlined (§5.1.5), bytes.</summary>
    public int InlineThresholdBytes { get; init; } = 255;

    /// <summary>Results up to this size come in full from every replica (§5.1.1), bytes.</summary>
    public int DigestReplyThresholdBytes { get; init; } = 32;

    /// <summary>Most requests in a batch.</summary>
    public int MaxBatchRequests { get; init; } = 64;

    /// <summary>Most bytes of requests inlined in a pre-prepare.</summary>
    public int MaxBatchInlineBytes { get; init; } = 16 * 1024;

    /// <summary>How many requests a client may have outstanding, each in a slot with its own timestamps.</summary>
    public int SlotsPerClient { get; init; } = 64;

    /// <summary>Whether clients may use the read-only optimisation (§5.1.3). On: every reply needs 2f+1 (pitfall 14).</summary>
    public bool ReadOnlyOptimization { get; init; } = true;

    /// <summary>Whether read-only requests go to 2f+1 replicas first, or to all at once as in the thesis.</summary>
    public bool PreferredQuorums { get; init; } = true;

    /// <summary>Whether replicas execute prepared batches before they commit (§5.1.2).</summary>
    public bool TentativeExecution { get; init; } = true;

    /// <summary>Whether commits wait for the next pre-prepare or prepare to travel with (§5.1.2).</summary>
    public bool PiggybackCommits { get; init; } = true;

    /// <summary>Backups refuse a pre-prepare whose time is further from their own clock (§5.4, pitfall 11), milliseconds.</summary>
    public int MaxClockSkewMillis { get; init; } = 10_000;

    /// <summary>Replicated bytes of the service (the drive's size with its tables); sparse on disk.</summary>
    public long ServiceStateBytes { get; init; } = 16L << 30;

    /// <summary>Who owns the root directory of a new drive; nobody else but root can make files on it at first.</summary>
    public uint OwnerUid { get; init; }

    /// <summary>The group of the root directory of a new drive.</summary>
    public uint OwnerGid { get; init; }

    /// <summary>Longest first wait of the view-change timer (§2.3.5), milliseconds; from measured response times down to a quarter.</summary>
    public int ViewChangeTimeoutMillis { get; init; } = 1_000;

    /// <summary>Every so many checkpoints the view changes though nothing is wrong (pitfall 9); 0: never.</summary>
    public int ViewRotationCheckpoints { get; init; } = 4_096;

    /// <summary>Pages of the state compared with their digests in the background, per second (§5.3.3); 0 for none.</summary>
    public int ScrubPagesPerSecond { get; init; } = 800;

    /// <summary>T_k: replicas and clients choose new session keys so often (§4.3.1), milliseconds; 0: only when they start.</summary>
    public int KeyRefreshMillis { get; init; } = 15_000;

    /// <summary>T_w: so often the watchdog of each replica starts a recovery (§4.3.3), staggered, seconds; 0: never.</summary>
    public int WatchdogSeconds { get; init; } = 3_600;

    /// <summary>A recovery that takes longer raises an alarm at all replicas (§4.3.3, pitfall 42), seconds.</summary>
    public int RecoveryAlarmSeconds { get; init; } = 120;

    public int N => Replicas.Count;

    /// <summary>How messages are laid out and authenticated.</summary>
    public MessageFormat Format => Mode == ClusterMode.BftPk ? MessageFormat.Signatures(N) : MessageFormat.Macs(N);

    /// <summary>Whether keys are changed and replicas recovered (BFT-PR, chapter 4).</summary>
    public bool CanRecover => Mode == ClusterMode.Bft;

    /// <summary>How many replicas may be faulty: n = 3f+1.</summary>
    public int F => (N - 1) / 3;

    /// <summary>2f+1: any two such sets share a correct replica.</summary>
    public int Quorum => Mode == ClusterMode.NoRep ? 1 : (2 * F) + 1;

    /// <summary>f+1: at least one correct replica.</summary>
    public int WeakQuorum => F + 1;

    /// <summary>
    /// What tells this cluster from every other: a digest of its replicas' public keys, and whether it signs (§2.3). Hosts, ports and
    /// clients may change.
    /// </summary>
    public Digest Identity()
    {
        using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        foreach (ReplicaInfo replica in Replicas)
        {
            hash.AppendData(replica.PublicKey.Span);
        }
        if (Mode == ClusterMode.BftPk)
        {
            // Its vote logs are of no use to the other mode.
            hash.AppendData("bft-pk"u8);
        }
        return Digest.Read(hash.GetHashAndReset());
    }

    /// <summary>The client of that identifier, or null.</summary>
    public ClientInfo? FindClient(ClientId id)
    {
        int index = ClientIndex(id);
        return index < 0 ? null : Clients[index];
    }

    /// <summary>
    /// The position of a client in <see cref="Clients"/>: identifiers are consecutive from
    /// <see cref="Limits.FirstClientId"/>. Negative when there is none.
    /// </summary>
    public int ClientIndex(ClientId id)
    {
        int index = id.Value - Limits.FirstClientId;
        return index >= 0 && index < Clients.Count ? index : -1;
    }

    /// <summary>How many principals may have requests ordered: the clients, then the replicas, for their recoveries (§4.3.2).</summary>
    public int RequesterCount => Clients.Count + N;

    /// <summary>
    /// The place of who made a request, among clients and then replicas, which have one slot each; negative when there is no such
    /// principal or slot. Where replicas do not recover they make no requests.
    /// </summary>
    public int RequesterIndex(ClientId id, int slot) =>
        id.Value >= 0 && id.Value < N ? (slot == 0 && CanRecover ? Clients.Count + id.Value : -1)
        : slot < SlotsPerClient ? ClientIndex(id) : -1;

    /// <summary>Whose requests have that place.</summary>
    public ClientId RequesterAt(int index) => index < Clients.Count ? Clients[index].Id : new ClientId(index - Clients.Count);

    /// <summary>The first thing that is wrong with the values or their relations, or null.</summary>
    public string? FirstProblem()
    {
        if (Mode == ClusterMode.NoRep ? N != 1 : N < 4 || N % 3 != 1 || N > Limits.MaxReplicas)
        {
            return Mode == ClusterMode.NoRep
                ? "an unreplicated cluster has exactly one server"
                : $"a cluster has 3f+1 replicas (4, 7, 10, ... up to {Limits.MaxReplicas}), not {N}";
        }
        for (int i = 0; i < N; i++)
        {
            if (Replicas[i].Id.Value != i)
            {
                return $"replicas are numbered 0 to {N - 1} in order; found {Replicas[i].Id.Value} at place {i}";
            }
        }
        for (int i = 0; i < Clients.Count; i++)
        {
            if (Clients[i].Id.Value != Limits.FirstClientId + i)
            {
                return $"clients are numbered from {Limits.FirstClientId} in order; found {Clients[i].Id.Value} at place {i}";
            }
        }
        if (MulticastGroup is { } group && !IsMulticastGroup(group))
        {
            return $"multicastGroup \"{group}\" must be an IPv4 multicast address and port, like 239.1.2.3:7777";
        }
        if (CheckpointPeriod < 1 || LogSize < 2 * CheckpointPeriod || LogSize % CheckpointPeriod != 0)
        {
            return $"logSize ({LogSize}) must be a multiple of checkpointPeriod ({CheckpointPeriod}) and at least twice it";
        }
        if (WindowSize < 1 || WindowSize > CheckpointPeriod)
        {
            return $"windowSize ({WindowSize}) must be from 1 to checkpointPeriod ({CheckpointPeriod})";
        }
        if (InlineThresholdBytes < 0 || InlineThresholdBytes > MaxBatchInlineBytes)
        {
            return "inlineThresholdBytes must be from 0 to maxBatchInlineBytes";
        }
        if (MaxBatchInlineBytes > 256 * 1024)
        {
            return "maxBatchInlineBytes must be at most 262144";
        }
        if (DigestReplyThresholdBytes < 0)
        {
            return "digestReplyThresholdBytes must not be negative";
        }
        if (MaxBatchRequests is < 1 or > 1024)
        {
            return "maxBatchRequests must be from 1 to 1024";
        }
        if (SlotsPerClient is < 1 or > 256)
        {
            return "slotsPerClient must be from 1 to 256";
        }
        if (DatagramBytes is < 512 or > 65_507)
        {
            return "datagramBytes must be from 512 to 65507";
        }
        if (ScrubPagesPerSecond is < 0 or > 1_000_000)
        {
            return "scrubPagesPerSecond must be from 0 to 1000000";
        }
        if (KeyRefreshMillis is not 0 and < 100)
        {
            return "keyRefreshMillis must be 0 or at least 100: several times what a message takes (§4.3.3)";
        }
        if (RecoveryAlarmSeconds < 1)
        {
            return "recoveryAlarmSeconds must be positive";
        }
        if (WatchdogSeconds is not 0 and < 10)
        {
            return "watchdogSeconds must be 0 or at least 10: a recovery must end before the next one begins";
        }
        if (Mode == ClusterMode.BftPk && (KeyRefreshMillis != 0 || WatchdogSeconds != 0))
        {
            return "BFT-PK has no recovery: keyRefreshMillis and watchdogSeconds must be 0 with mode \"bft-pk\"";
        }
        if (ViewRotationCheckpoints < 0)
        {
            return "viewRotationCheckpoints must not be negative; 0 means never";
        }
        if (MaxClockSkewMillis < 1 || ViewChangeTimeoutMillis < 1)
        {
            return "maxClockSkewMillis and viewChangeTimeoutMillis must be positive";
        }
        if (ServiceStateBytes < 1 << 20 || ServiceStateBytes % 4096 != 0 || ServiceStateBytes > 1L << 44)
        {
            return "serviceStateBytes must be a multiple of 4096 from 1 MiB to 16 TiB";
        }
        return null;
    }

    private static bool IsMulticastGroup(string text) =>
        System.Net.IPEndPoint.TryParse(text, out System.Net.IPEndPoint? group) && group.Port > 0
        && group.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork
        && group.Address.GetAddressBytes()[0] is >= 224 and <= 239;
}
