using System.Security.Cryptography;
using System.Text.Json;
using BfsCore.Crypto;

namespace BfsCore.Hosting;

/// <summary>
/// The cluster file: everything that all replicas and clients of a cluster must agree on, as JSON. The same file is
/// copied to every machine. It holds no secret; whoever can change it can take over the machine's view of the cluster.
/// </summary>
public static class ClusterFile
{
    /// <summary>
    /// The version of the file's layout, and of what the programs of the cluster say to each other and keep on disk, which have no
    /// numbers of their own; another one is refused. 2: digests of operations and results are made of those of pages.
    /// </summary>
    public const int Format = 2;

    private const int MaxFileBytes = 1 << 20;

    private static readonly JsonDocumentOptions Options = new()
    {
        CommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        MaxDepth = 8,
    };

    /// <summary>Reads and checks a cluster file.</summary>
    /// <exception cref="ClusterFileException">It is missing or damaged, or its values do not fit together.</exception>
    public static ClusterConfig Read(string path)
    {
        byte[] bytes = ReadBytes(path);
        try
        {
            return Parse(bytes);
        }
        catch (Exception e) when (e is FormatException or JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string whose bytes or escapes are no Unicode.
            throw new ClusterFileException(
                $"{path}: {e.Message}; correct the file, or copy it again from another machine of the cluster", e);
        }
    }

    /// <summary>Writes a cluster file; the values must be without a problem.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, ClusterConfig config)
    {
        BfsAssert.That(FirstProblem(config) == null);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            WriteConfig(json, config);
        }
        stream.WriteByte((byte)'\n');
        DurableFile.Replace(path, stream.ToArray());
    }

    private static byte[] ReadBytes(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                throw new ClusterFileException($"{path}: no such cluster file; make a cluster with: bfs cluster init --cluster "
                    + Path.GetDirectoryName(path));
            }
            return new FileInfo(path).Length <= MaxFileBytes
                ? File.ReadAllBytes(path)
                : throw new ClusterFileException($"{path}: larger than {MaxFileBytes} bytes; this is not a cluster file");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ClusterFileException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    internal static ClusterConfig Parse(ReadOnlyMemory<byte> bytes)
    {
        using JsonDocument document = JsonDocument.Parse(bytes, Options);
        var fields = new JsonFields(document.RootElement, "");
        int format = fields.Number("format");
        if (format != Format)
        {
            throw fields.Invalid("format", $"is {format}, and this version of BFS reads format {Format}");
        }
        var defaults = new ClusterConfig { Replicas = [], Clients = [] };
        var config = new ClusterConfig
        {
            Mode = ReadMode(fields),
            Replicas = fields.Objects("replicas", ReadReplica),
            Clients = fields.Objects("clients", ReadClient),
            MulticastGroup = fields.OptionalText("multicastGroup"),
            DatagramBytes = fields.Number("datagramBytes", defaults.DatagramBytes),
            CheckpointPeriod = fields.Number("checkpointPeriod", defaults.CheckpointPeriod),
            LogSize = fields.Number("logSize", defaults.LogSize),
            WindowSize = fields.Number("windowSize", defaults.WindowSize),
            InlineThresholdBytes = fields.Number("inlineThresholdBytes", defaults.InlineThresholdBytes),
            DigestReplyThresholdBytes = fields.Number("digestReplyThresholdBytes", defaults.DigestReplyThresholdBytes),
            MaxBatchRequests = fields.Number("maxBatchRequests", defaults.MaxBatchRequests),
            MaxBatchInlineBytes = fields.Number("maxBatchInlineBytes", defaults.MaxBatchInlineBytes),
            SlotsPerClient = fields.Number("slotsPerClient", defaults.SlotsPerClient),
            ReadOnlyOptimization = fields.Flag("readOnlyOptimization", defaults.ReadOnlyOptimization),
            PreferredQuorums = fields.Flag("preferredQuorums", defaults.PreferredQuorums),
            TentativeExecution = fields.Flag("tentativeExecution", defaults.TentativeExecution),
            PiggybackCommits = fields.Flag("piggybackCommits", defaults.PiggybackCommits),
            MaxClockSkewMillis = fields.Number("maxClockSkewMillis", defaults.MaxClockSkewMillis),
            ServiceStateBytes = fields.LongNumber("serviceStateBytes", defaults.ServiceStateBytes),
            OwnerUid = fields.UnsignedNumber("ownerUid", defaults.OwnerUid),
            OwnerGid = fields.UnsignedNumber("ownerGid", defaults.OwnerGid),
            ViewChangeTimeoutMillis = fields.Number("viewChangeTimeoutMillis", defaults.ViewChangeTimeoutMillis),
            ViewRotationCheckpoints = fields.Number("viewRotationCheckpoints", defaults.ViewRotationCheckpoints),
            ScrubPagesPerSecond = fields.Number("scrubPagesPerSecond", defaults.ScrubPagesPerSecond),
            KeyRefreshMillis = fields.Number("keyRefreshMillis", defaults.KeyRefreshMillis),
            WatchdogSeconds = fields.Number("watchdogSeconds", defaults.WatchdogSeconds),
            RecoveryAlarmSeconds = fields.Number("recoveryAlarmSeconds", defaults.RecoveryAlarmSeconds),
        };
        fields.End();
        return FirstProblem(config) is { } problem ? throw new FormatException(problem) : config;
    }

    private static ClusterMode ReadMode(JsonFields fields) => fields.Text("mode") switch
    {
        "bft" => ClusterMode.Bft,
        "bft-pk" => ClusterMode.BftPk,
        "no-rep" => ClusterMode.NoRep,
        string other => throw fields.Invalid("mode", $"must be \"bft\", \"bft-pk\" or \"no-rep\", not \"{other}\""),
    };

    private static ReplicaInfo ReadReplica(JsonFields fields)
    {
        var replica = new ReplicaInfo(new ReplicaId(fields.Number("id")), fields.Text("host"), fields.Number("port"),
            ReadPublicKey(fields));
        return replica.Port is < 1 or > 65_535
            ? throw fields.Invalid("port", $"must be from 1 to 65535, not {replica.Port}")
            : string.IsNullOrWhiteSpace(replica.Host) ? throw fields.Invalid("host", "must name a machine") : replica;
    }

    private static ClientInfo ReadClient(JsonFields fields) => new(new ClientId(fields.Number("id")), fields.Text("name"),
        ReadPublicKey(fields), fields.Flag("rootSquash", false), fields.Numbers("allowedUids"));

    private static byte[] ReadPublicKey(JsonFields fields)
    {
        byte[] point = fields.Base64("publicKey");
        try
        {
            if (PublicKeys.ParsePoint(point) is { } parameters)
            {
                ECDsa.Create(parameters).Dispose();
                return point;
            }
        }
        catch (CryptographicException)
        {
            // Not on the curve: the same message as for other bytes.
        }
        throw fields.Invalid("publicKey", $"must be a P-256 public key: an uncompressed point of {PublicKeys.PointBytes} bytes");
    }

    /// <summary>What <see cref="ClusterConfig.FirstProblem"/> finds, and what only a file can have wrong.</summary>
    private static string? FirstProblem(ClusterConfig config)
    {
        if (config.FirstProblem() is { } problem)
        {
            return problem;
        }
        var addresses = new HashSet<(string, int)>();
        foreach (ReplicaInfo replica in config.Replicas)
        {
            if (!addresses.Add((replica.Host, replica.Port)))
            {
                return $"two replicas have the address {replica.Host}, port {replica.Port}";
            }
        }
        return config.Clients.Count == 0 ? "there must be at least one client" : null;
    }

    private static void WriteConfig(Utf8JsonWriter json, ClusterConfig config)
    {
        json.WriteStartObject();
        json.WriteNumber("format", Format);
        json.WriteString("mode", config.Mode switch
        {
            ClusterMode.NoRep => "no-rep",
            ClusterMode.BftPk => "bft-pk",
            _ => "bft",
        });
        json.WriteNumber("serviceStateBytes", config.ServiceStateBytes);
        json.WriteNumber("ownerUid", config.OwnerUid);
        json.WriteNumber("ownerGid", config.OwnerGid);
        json.WriteNumber("checkpointPeriod", config.CheckpointPeriod);
        json.WriteNumber("logSize", config.LogSize);
        json.WriteNumber("windowSize", config.WindowSize);
        json.WriteNumber("slotsPerClient", config.SlotsPerClient);
        json.WriteNumber("inlineThresholdBytes", config.InlineThresholdBytes);
        json.WriteNumber("digestReplyThresholdBytes", config.DigestReplyThresholdBytes);
        json.WriteNumber("maxBatchRequests", config.MaxBatchRequests);
        json.WriteNumber("maxBatchInlineBytes", config.MaxBatchInlineBytes);
        json.WriteBoolean("readOnlyOptimization", config.ReadOnlyOptimization);
        json.WriteBoolean("preferredQuorums", config.PreferredQuorums);
        json.WriteBoolean("tentativeExecution", config.TentativeExecution);
        json.WriteBoolean("piggybackCommits", config.PiggybackCommits);
        json.WriteNumber("viewChangeTimeoutMillis", config.ViewChangeTimeoutMillis);
        json.WriteNumber("viewRotationCheckpoints", config.ViewRotationCheckpoints);
        json.WriteNumber("scrubPagesPerSecond", config.ScrubPagesPerSecond);
        json.WriteNumber("keyRefreshMillis", config.KeyRefreshMillis);
        json.WriteNumber("watchdogSeconds", config.WatchdogSeconds);
        json.WriteNumber("recoveryAlarmSeconds", config.RecoveryAlarmSeconds);
        json.WriteNumber("maxClockSkewMillis", config.MaxClockSkewMillis);
        json.WriteNumber("datagramBytes", config.DatagramBytes);
        json.WriteString("multicastGroup", config.MulticastGroup);
        WriteReplicas(json, config);
        WriteClients(json, config);
        json.WriteEndObject();
    }

    private static void WriteReplicas(Utf8JsonWriter json, ClusterConfig config)
    {
        json.WriteStartArray("replicas");
        foreach (ReplicaInfo replica in config.Replicas)
        {
            json.WriteStartObject();
            json.WriteNumber("id", replica.Id.Value);
            json.WriteString("host", replica.Host);
            json.WriteNumber("port", replica.Port);
            json.WriteBase64String("publicKey", replica.PublicKey.Span);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteClients(Utf8JsonWriter json, ClusterConfig config)
    {
        json.WriteStartArray("clients");
        foreach (ClientInfo client in config.Clients)
        {
            json.WriteStartObject();
            json.WriteNumber("id", client.Id.Value);
            json.WriteString("name", client.Name);
            json.WriteBoolean("rootSquash", client.RootSquash);
            json.WriteStartArray("allowedUids");
            foreach (uint uid in client.AllowedUids)
            {
                json.WriteNumberValue(uid);
            }
            json.WriteEndArray();
            json.WriteBase64String("publicKey", client.PublicKey.Span);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
