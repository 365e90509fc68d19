using System.Text;
using BfsCore;
using BfsCore.Crypto;
using BfsCore.FileProtocol;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;
using BfsReplica.Snfsd;
using BfsSim.Nodes;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsSim.Fuzz;

/// <summary>What takes bytes from outside beside the replicas and clients of the cluster.</summary>
internal static class Parsers
{
    /// <summary>Every parser of messages, with all fields and entries of what parses.</summary>
    public static long All(ReadOnlySpan<byte> m, ClusterConfig config)
    {
        long sum = 0;
        int n = config.N;
        sum += Request.TryParse(m, config.Format, out Request request) ? request.Operation.Length + request.Authenticator.Length + (request.DigestIsRight() ? 1 : 0) : 0;
        sum += Reply.TryParse(m, config.Format, out Reply reply) ? reply.Result.Length + reply.Proof.Length : 0;
        if (PrePrepare.TryParse(m, config.Format, out PrePrepare prePrepare))
        {
            PrePrepare.EntryReader reader = prePrepare.Entries(config.Format);
            while (reader.Next())
            {
                sum += prePrepare.Payload.Slice(reader.InlineOffset, reader.InlineBytes).Length;
            }
        }
        sum += Vote.TryParse(m, MessageTag.Prepare, config.Format, out Vote vote) ? vote.Authenticator.Length : 0;
        sum += Checkpoint.TryParse(m, config.Format, out Checkpoint checkpoint) ? checkpoint.Authenticator.Length : 0;
        sum += StatusActive.TryParse(m, config.LogSize, config.Format, out StatusActive status) ? Walk(status, config) : 0;
        sum += ViewChange.TryParse(m, config, out ViewChange viewChange) ? ViewChangeFacts.From(viewChange).Prepared.Count : 0;
        sum += ViewChangeAck.TryParse(m, config.Format, out ViewChangeAck ack) ? ack.Authenticator.Length : 0;
        sum += NewView.TryParse(m, config, out NewView newView) && newView.BatchCount > 0 ? newView.BatchAt(newView.BatchCount - 1).GetHashCode() : 0;
        sum += StatusPending.TryParse(m, config.Format, out StatusPending pending) ? pending.Authenticator.Length : 0;
        sum += NewKey.TryParse(m, n, out NewKey newKey) ? newKey.WrappedKey(new ReplicaId(n - 1)).Length : 0;
        sum += KeyRequest.TryParse(m, out KeyRequest keyRequest) ? keyRequest.Principal : 0;
        sum += Fetch.TryParse(m, n, out Fetch fetch) ? fetch.Mac.Length : 0;
        sum += MetaData.TryParse(m, n, out MetaData metaData) ? metaData.Children.Length : 0;
        sum += Data.TryParse(m, out Data data) ? data.Page(System.Numerics.BitOperations.PopCount(data.Mask) - 1).Length : 0;
        if (BatchMessage.TryParse(m, out SeqNum seq, out ReadOnlySpan<byte> parts))
        {
            sum += new OldBatches(config).TryKeep(seq, default, parts) ? 1 : 0;
        }
        sum += Relay.TryParse(m, n, out Relay relay) ? relay.Request.Length + (relay.DigestIsRight() ? 1 : 0) : 0;
        sum += VoteRecord.TryParse(m, out VoteRecord record) ? record.Parts.Length : 0;
        sum += MonitorProtocol.TryReadQuery(m, out ulong nonce) || MonitorProtocol.TryReadAnswer(m, nonce, out _) ? 1 : 0;
        return sum;
    }

    private static long Walk(in StatusActive status, ClusterConfig config)
    {
        long sum = 0;
        for (int i = 0; i < config.LogSize; i++)
        {
            sum += status.Prepared(i) || status.Committed(i) ? 1 : 0;
        }
        for (int i = 0; i < status.MissingCount; i++)
        {
            sum += status.MissingClient(i).Value + status.MissingSlot(i) + status.MissingDigest(i).GetHashCode();
        }
        return sum + status.Authenticator.Length;
    }
}

/// <summary>Fragments and bundles as they come from anywhere.</summary>
internal sealed class TransportTarget(SimRandom random)
{
    private readonly Reassembler _reassembler = new();

    /// <summary>Makes a datagram of the transport from a message; mostly one that makes some sense.</summary>
    public void Prepare(Mutator mutator)
    {
        byte[] message = mutator.Message.ToArray();
        Span<byte> room = mutator.Room;
        if (random.PerMille(500))
        {
            int total = random.PerMille(900) ? Math.Max(1, message.Length) : (int)mutator.Extreme();
            int offset = random.PerMille(900) ? random.Below(8) * 100 : (int)mutator.Extreme();
            int count = Math.Min(random.PerMille(900) ? 100 : random.Below(2_000), Mutator.MaxBytes - Fragment.HeaderBytes);
            mutator.SetLength(Fragment.HeaderBytes + Math.Min(count, message.Length));
            Fragment.WriteHeader(room, (uint)random.Below(20), total, offset);
            message.AsSpan(0, Math.Min(count, message.Length)).CopyTo(room[Fragment.HeaderBytes..]);
            return;
        }
        int length = Bundle.PrefixBytes;
        for (int i = random.Below(5); i >= 0 && length + message.Length <= Bundle.MaxBytes; i--)
        {
            message.CopyTo(room[length..]);
            length += message.Length;
        }
        BitConverter.TryWriteBytes(room, (uint)Bundle.Tag);
        mutator.SetLength(length);
    }

    public void Take(ReadOnlySpan<byte> datagram, int source)
    {
        if (Fragment.Is(datagram))
        {
            ReadOnlySpan<byte> whole = _reassembler.Add(datagram, new SourceAddress((ulong)source));
            SimulationException.Require(whole.Length <= Limits.MaxMessageBytes, "a reassembled message is too long");
        }
        if (Bundle.Is(datagram))
        {
            ReadOnlySpan<byte> rest = datagram[Bundle.PrefixBytes..];
            while (Bundle.TryTake(ref rest, out ReadOnlySpan<byte> message))
            {
                SimulationException.Require(message.Length >= 8, "a bundle gave a message that is too short");
            }
        }
    }
}

/// <summary>snfsd under operations of no sense; its volume must stay one without contradictions.</summary>
internal sealed class FileTarget : IDisposable
{
    private const long StateBytes = 2 << 20;

    private readonly PagedState _pages = new(StateBytes);
    private readonly FileService _service;
    private readonly FileWorkload _workload;
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];
    private readonly ClusterConfig _config;
    private long _nanos = 1_700_000_000_000_000_000;

    public FileTarget(ClusterConfig config, SimRandom random)
    {
        _config = config;
        _service = new FileService(config);
        _service.Open(_pages.Window(0, StateBytes));
        _workload = new FileWorkload(SimOptions.Draw(random.Fork()) with { Operations = int.MaxValue, LargeValuesPerMille = 30, Keys = 5 }, random.Fork());
    }

    /// <summary>A right operation, executed too, for what comes after it.</summary>
    public byte[] Next()
    {
        (byte[] operation, _) = _workload.Next();
        int length = Execute(operation, readOnly: false);
        _workload.Completed(operation, _result.AsSpan(0, length));
        return operation;
    }

    public int Execute(ReadOnlySpan<byte> operation, bool readOnly)
    {
        var context = new ExecutionContext(_config.Clients[0].Id, ++_nanos, readOnly);
        _pages.ReadOnlyGuard = readOnly;
        int length = _service.Execute(context, operation[..Math.Min(operation.Length, Limits.MaxOperationBytes)], _result);
        _pages.ReadOnlyGuard = false;
        SimulationException.Require(length >= 4 && length <= Limits.MaxResultBytes, $"a result of {length} bytes");
        return length;
    }

    public void Check()
    {
        IReadOnlyList<string> problems = ConsistencyCheck.Run(_service);
        SimulationException.Require(problems.Count == 0, $"the volume contradicts itself: {string.Join("; ", problems.Take(5))}");
    }

    public void Dispose() => _pages.Dispose();
}

/// <summary>A cluster file with damage: only the exception that says what is wrong with it.</summary>
internal sealed class ClusterFileTarget : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"bfs-fuzz-{Guid.NewGuid():N}.json");
    private readonly byte[] _good;

    public ClusterFileTarget()
    {
        ReadOnlyMemory<byte> key = PublicKeys.ToPoint(NewPublicKey());
        var config = new ClusterConfig
        {
            Replicas = [.. Enumerable.Range(0, 4).Select(i => new ReplicaInfo(new ReplicaId(i), "127.0.0.1", 7000 + i, key))],
            Clients = [new ClientInfo(new ClientId(Limits.FirstClientId), "client", key, true, [0, 1000])],
        };
        ClusterFile.Write(_path, config);
        _good = File.ReadAllBytes(_path);
    }

    private static System.Security.Cryptography.ECPoint NewPublicKey()
    {
        using var key = System.Security.Cryptography.ECDsa.Create(System.Security.Cryptography.ECCurve.NamedCurves.nistP256);
        return key.ExportParameters(false).Q;
    }

    public ReadOnlySpan<byte> Good => _good;

    /// <summary>Values that JSON parsers stumble over.</summary>
    public static byte[] Fragments(SimRandom random) => Encoding.UTF8.GetBytes(random.Choose(
        "null", "-1", "1e400", "\"\\ud800\"", "[[[[[[[[[[", "{}", "9223372036854775808", "\"\\u0000\"", "0x10", "true", "\"port\": 65536"));

    public void Take(ReadOnlySpan<byte> bytes)
    {
        File.WriteAllBytes(_path, bytes.ToArray());
        try
        {
            ClusterFile.Read(_path);
        }
        catch (ClusterFileException)
        {
            // What it is for.
        }
    }

    public void Dispose() => File.Delete(_path);
}

/// <summary>The start of a replica whose log has records of no sense: it passes them over, and takes messages then.</summary>
internal sealed class RestoreTarget(ClusterConfig config, SimRandom random)
{
    /// <summary>The records of a log, one of them changed.</summary>
    private sealed class DamagedLog(IReadOnlyList<byte[]> records) : IVoteLog
    {
        private byte[] _reserved = [];

        public long Bytes { get; private set; }
        public Span<byte> Reserve(int bytes) => _reserved = new byte[bytes];
        public void Append() => Bytes += _reserved.Length;
        public void Begin() => Bytes = 0;
        public void KeepBoth() { }
        public void Switch() { }
        public void Abandon() { }

        public void Read(LogRecordHandler handler)
        {
            foreach (byte[] record in records)
            {
                handler(record);
            }
        }
    }

    private sealed class Nowhere : INetwork
    {
        public void SendToReplica(ReplicaId to, ReadOnlySpan<byte> message) { }
        public void MulticastToReplicas(ReadOnlySpan<byte> message) { }
        public void SendToClient(ClientId to, ReadOnlySpan<byte> message) { }
        public void Answer(SourceAddress to, ReadOnlySpan<byte> message) { }
        public void BindClient(ClientId client, SourceAddress address) { }
    }

    public void Take(int id, IReadOnlyList<byte[]> records, Instant now, IKeyExchange exchange)
    {
        using var pages = new PagedState(Replica.StateBytes(config));
        var replica = new Replica(new ReplicaId(id), config, pages, new Services.KeyValueService(), new Nowhere(), random.Fork(),
            exchange, new Network.SimStableStore(), new DamagedLog(records));
        replica.RestoreLog();
        replica.Start(now);
        for (int i = 1; i <= 3; i++)
        {
            replica.Tick(new Instant(now.MonotonicMicros + (i * 400_000), now.WallNanos + (i * 400_000_000)));
        }
    }
}
