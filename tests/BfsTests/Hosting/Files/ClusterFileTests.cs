using System.Text.Json.Nodes;
using BfsCore;
using BfsCore.Hosting;

namespace BfsTests.Hosting.Files;

/// <summary>The cluster file: what is written is read back, and every damage is refused with its place and name.</summary>
public sealed class ClusterFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly ClusterDirectory _directory;

    public ClusterFileTests() => _directory = new ClusterDirectory(_temp.File("cluster"));

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void A_new_cluster_is_read_back_as_it_was_made()
    {
        ClusterConfig made = ClusterFounder.Create(_directory, new ClusterPlan { Replicas = 7, BasePort = 9000, Clients = 3 });
        ClusterConfig read = ClusterFile.Read(_directory.ClusterFile);
        Assert.Equal((7, 2, 5), (read.N, read.F, read.Quorum));
        for (int i = 0; i < 7; i++)
        {
            Assert.Equal((i, "127.0.0.1", 9000 + i), (read.Replicas[i].Id.Value, read.Replicas[i].Host, read.Replicas[i].Port));
            Assert.Equal(made.Replicas[i].PublicKey.ToArray(), read.Replicas[i].PublicKey.ToArray());
        }
        Assert.Equal([1024, 1025, 1026], read.Clients.Select(c => c.Id.Value));
        var lists = new ClusterConfig { Replicas = [], Clients = [] };
        Assert.Equal(
            made with { Replicas = lists.Replicas, Clients = lists.Clients },
            read with { Replicas = lists.Replicas, Clients = lists.Clients });
    }

    [Fact]
    public void A_cluster_that_signs_is_made_without_what_only_recovery_needs()
    {
        ClusterConfig made = ClusterFounder.Create(_directory, new ClusterPlan { Mode = ClusterMode.BftPk });
        Assert.Equal((0, 0), (made.KeyRefreshMillis, made.WatchdogSeconds));
        Assert.Equal(ClusterMode.BftPk, ClusterFile.Read(_directory.ClusterFile).Mode);
        string text = File.ReadAllText(_directory.ClusterFile);
        File.WriteAllText(_directory.ClusterFile, text.Replace("\"watchdogSeconds\": 0", "\"watchdogSeconds\": 60", StringComparison.Ordinal));
        ClusterFileException refused = Assert.Throws<ClusterFileException>(() => ClusterFile.Read(_directory.ClusterFile));
        Assert.Contains("BFT-PK has no recovery", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>Clients send arguments to all replicas only where the primary has a link to spare (§5.1.5).</summary>
    [Theory]
    [InlineData(9 * 1024, "127.0.0.1")]
    [InlineData(9 * 1024, "localhost", "127.0.0.2", "::1", "127.0.0.1")]
    [InlineData(255, "10.1.2.3")]
    [InlineData(255, "127.0.0.1", "127.0.0.1", "127.0.0.1", "elsewhere.example")]
    public void Small_writes_are_inlined_on_one_machine(int threshold, params string[] hosts)
    {
        ClusterConfig made = ClusterFounder.Create(_directory, new ClusterPlan { Hosts = hosts });
        Assert.Equal(threshold, made.InlineThresholdBytes);
        // A full batch with one request more, and their digests, is one datagram.
        Assert.True(made.MaxBatchInlineBytes + made.InlineThresholdBytes + (made.MaxBatchRequests * 80) <= made.DatagramBytes);
    }

    [Fact]
    public void Values_other_than_the_defaults_are_kept()
    {
        ClusterConfig made = ClusterFounder.Create(_directory, new ClusterPlan { Replicas = 1, Mode = ClusterMode.NoRep }) with
        {
            MulticastGroup = "239.1.2.3:7100",
            DatagramBytes = 1400,
            CheckpointPeriod = 64,
            LogSize = 192,
            WindowSize = 2,
            InlineThresholdBytes = 100,
            DigestReplyThresholdBytes = 16,
            MaxBatchRequests = 5,
            MaxBatchInlineBytes = 1000,
            SlotsPerClient = 3,
            ReadOnlyOptimization = false,
            PreferredQuorums = false,
            TentativeExecution = false,
            PiggybackCommits = false,
            OwnerUid = 1000,
            OwnerGid = uint.MaxValue,
            MaxClockSkewMillis = 77,
            ServiceStateBytes = 2 << 20,
            ViewChangeTimeoutMillis = 99,
            ViewRotationCheckpoints = 7,
            ScrubPagesPerSecond = 11,
            KeyRefreshMillis = 12_000,
            WatchdogSeconds = 13,
            RecoveryAlarmSeconds = 14,
        };
        ClusterFile.Write(_directory.ClusterFile, made);
        ClusterConfig read = ClusterFile.Read(_directory.ClusterFile);
        Assert.Equal(made with { Replicas = [], Clients = [] } with { Replicas = read.Replicas, Clients = read.Clients }, read);
    }

    [Fact]
    public void An_existing_cluster_is_never_overwritten()
    {
        ClusterFounder.Create(_directory, new ClusterPlan());
        byte[] before = File.ReadAllBytes(_directory.ReplicaKey(new ReplicaId(0)));
        var e = Assert.Throws<ClusterFileException>(() => ClusterFounder.Create(_directory, new ClusterPlan()));
        Assert.Contains("there is a cluster already", e.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(_directory.ReplicaKey(new ReplicaId(0))));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(67)]
    [InlineData(int.MaxValue)]
    public void A_cluster_has_3f_plus_1_replicas(int replicas)
    {
        Assert.Throws<ClusterFileException>(() => ClusterFounder.Create(_directory, new ClusterPlan { Replicas = replicas }));
        Assert.False(Directory.Exists(_directory.Path));
    }

    public static TheoryData<string, Action<JsonObject>> Damages => new()
    {
        { "viewChangeTimeotMillis is not a known field", f => f["viewChangeTimeotMillis"] = 5 },
        { "replicas[1].prot is not a known field", f => f["replicas"]![1]!["prot"] = 5 },
        { "format is 3", f => f["format"] = 3 },
        { "format is 1", f => f["format"] = 1 },
        { "ownerUid must be a whole number from 0", f => f["ownerUid"] = -1 },
        { "format is missing", f => f.Remove("format") },
        { "replicas is missing", f => f.Remove("replicas") },
        { "replicas must be a list", f => f["replicas"] = 4 },
        { "replicas[0] must be an object", f => f["replicas"]![0] = 4 },
        { "replicas[2].port must be from 1 to 65535", f => f["replicas"]![2]!["port"] = 65536 },
        { "replicas[2].port must be a whole number", f => f["replicas"]![2]!["port"] = 1.5 },
        { "replicas[2].port must be a whole number", f => f["replicas"]![2]!["port"] = "7000" },
        { "replicas[3].host must name a machine", f => f["replicas"]![3]!["host"] = " " },
        { "replicas[3].publicKey must be a P-256 public key", f => f["replicas"]![3]!["publicKey"] = "AAAA" },
        { "replicas[3].publicKey must be a string of base64", f => f["replicas"]![3]!["publicKey"] = "?" },
        { "clients[0].allowedUids[1] must be a whole number", f => f["clients"]![0]!["allowedUids"] = new JsonArray(1, -1) },
        { "clients[0].rootSquash must be true or false", f => f["clients"]![0]!["rootSquash"] = 1 },
        { "two replicas have the address", f => f["replicas"]![1]!["port"] = f["replicas"]![0]!["port"]!.GetValue<int>() },
        { "replicas are numbered 0 to 3", f => f["replicas"]![1]!["id"] = 2 },
        { "3f+1 replicas", f => f["replicas"]!.AsArray().RemoveAt(3) },
        { "at least one client", f => f["clients"] = new JsonArray() },
        { "logSize (100) must be a multiple", f => f["logSize"] = 100 },
        { "mode must be \"bft\", \"bft-pk\" or \"no-rep\"", f => f["mode"] = "pk" },
        { "serviceStateBytes must be a multiple of 4096", f => f["serviceStateBytes"] = 5_000_000 },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public void Damage_is_refused_with_its_name(string message, Action<JsonObject> damage)
    {
        ClusterFounder.Create(_directory, new ClusterPlan());
        JsonObject file = JsonNode.Parse(File.ReadAllText(_directory.ClusterFile))!.AsObject();
        damage(file);
        File.WriteAllText(_directory.ClusterFile, file.ToJsonString());
        var e = Assert.Throws<ClusterFileException>(() => ClusterFile.Read(_directory.ClusterFile));
        Assert.Contains(_directory.ClusterFile, e.Message, StringComparison.Ordinal);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_of_another_curve_point_is_refused()
    {
        ClusterFounder.Create(_directory, new ClusterPlan());
        JsonObject file = JsonNode.Parse(File.ReadAllText(_directory.ClusterFile))!.AsObject();
        byte[] point = new byte[65];
        point[0] = 4;
        point[64] = 1;
        file["replicas"]![0]!["publicKey"] = Convert.ToBase64String(point);
        File.WriteAllText(_directory.ClusterFile, file.ToJsonString());
        Assert.Contains("must be a P-256 public key",
            Assert.Throws<ClusterFileException>(() => ClusterFile.Read(_directory.ClusterFile)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_field_that_is_there_twice_is_refused()
    {
        ClusterFounder.Create(_directory, new ClusterPlan());
        string text = File.ReadAllText(_directory.ClusterFile);
        File.WriteAllText(_directory.ClusterFile, text.Replace("\"logSize\"", "\"windowSize\"", StringComparison.Ordinal));
        Assert.Contains("windowSize is there twice",
            Assert.Throws<ClusterFileException>(() => ClusterFile.Read(_directory.ClusterFile)).Message, StringComparison.Ordinal);
    }

    /// <summary>Any bytes give a cluster or a message, never another exception (pitfall 25's rule for files).</summary>
    [Fact]
    public void Any_bytes_are_a_cluster_or_a_message()
    {
        ClusterFounder.Create(_directory, new ClusterPlan());
        byte[] original = File.ReadAllBytes(_directory.ClusterFile);
        var random = new Random(12);
        for (int i = 0; i < 2000; i++)
        {
            byte[] bytes = [.. original.AsSpan(0, i % 3 == 0 ? random.Next(original.Length) : original.Length)];
            for (int k = random.Next(4); k >= 0 && bytes.Length > 0; k--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }
            File.WriteAllBytes(_directory.ClusterFile, bytes);
            try
            {
                Assert.Null(ClusterFile.Read(_directory.ClusterFile).FirstProblem());
            }
            catch (ClusterFileException e)
            {
                Assert.Contains(_directory.ClusterFile, e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void A_missing_file_says_how_to_make_one()
    {
        var e = Assert.Throws<ClusterFileException>(() => ClusterFile.Read(_directory.ClusterFile));
        Assert.Contains("bfs cluster init", e.Message, StringComparison.Ordinal);
    }
}
