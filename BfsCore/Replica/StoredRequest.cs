using System.Numerics;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>
/// A request that a replica keeps: the whole message in a pooled buffer, shared by the client's slot and by the log
/// entries whose batch names it, and returned to the pool when the last of them lets go.
/// </summary>
public sealed class StoredRequest
{
    internal StoredRequest(byte[] buffer) => Buffer = buffer;

    internal byte[] Buffer { get; }

    /// <summary>The digests of the operation's blocks, if they are known.</summary>
    internal Digest[] Blocks { get; private set; } = [];

    internal int BlockCount { get; private set; }

    internal int References { get; set; }

    public int SizeBytes { get; internal set; }
    public int ClientIndex { get; internal set; }
    public int Slot { get; internal set; }
    public ulong Session { get; internal set; }
    public ulong Timestamp { get; internal set; }
    public Digest Digest { get; internal set; }
    public int OperationBytes { get; internal set; }

    /// <summary>Condition 1 of §3.2.2 held: the MAC for this replica was right.</summary>
    public bool Authentic { get; internal set; }

    /// <summary>A signature came with it; whether it is right is checked when that matters.</summary>
    public bool Signed { get; internal set; }

    /// <summary>The signature was checked and is right: no correct replica can refuse this request.</summary>
    public bool Proven { get; internal set; }

    /// <summary>Waits among the requests of suspected clients.</summary>
    internal bool OfSuspect { get; set; }

    /// <summary>The client sent it again: the reply is to be in full (§5.1.1).</summary>
    public bool WantsFullReply { get; internal set; }

    /// <summary>In a batch whose pre-prepare this replica, as primary, has sent in the present view.</summary>
    public bool Ordered { get; internal set; }

    /// <summary>Place in the order of arrival: buffers are used again, this number is not.</summary>
    internal long Arrival { get; set; }

    /// <summary>When it was queued, on the monotonic clock.</summary>
    internal long ArrivedMicros { get; set; }

    /// <summary>When it was last passed on to the primary.</summary>
    internal long RelayedMicros { get; set; }
    internal StoredRequest? Next { get; set; }
    internal StoredRequest? Previous { get; set; }
    internal bool Queued { get; set; }

    public ReadOnlySpan<byte> Message => Buffer.AsSpan(0, SizeBytes);

    public ReadOnlySpan<byte> Operation => Buffer.AsSpan(Request.HeaderBytes, OperationBytes);

    internal void KeepBlocks(ReadOnlySpan<Digest> blocks)
    {
        if (Blocks.Length < blocks.Length)
        {
            Blocks = new Digest[Buffer.Length / ContentDigest.BlockBytes];
        }
        blocks.CopyTo(Blocks);
        BlockCount = blocks.Length;
    }
}

/// <summary>
/// Buffers for requests, in sizes of which four lie between a power of two and the next; steady state allocates nothing. A log holds
/// thousands of requests: in buffers of the largest size, those of 4 KB would take as much memory as the drive has in use.
/// </summary>
public sealed class RequestPool(MessageFormat format)
{
    private const int SmallestBits = 9;

    /// <summary>What is kept for later; more than the log of a busy replica lets go of at a checkpoint.</summary>
    private const long MaxSpareBytes = 128L << 20;

    private readonly Stack<StoredRequest>[] _spare = [.. Enumerable
        .Range(0, ClassOf(Request.SizeFor(Limits.MaxOperationBytes, format) + Request.SignatureBytes) + 1).Select(_ => new Stack<StoredRequest>())];

    private long _spareBytes;

    /// <summary>Buffers in use, bytes.</summary>
    public long InUseBytes { get; private set; }

    /// <summary>Keeps a copy of a request; the caller holds one reference.</summary>
    public StoredRequest Keep(in Request request, int clientIndex, bool authentic, bool proven = false)
    {
        // With room for its signature: the signed copy of it may take its place.
        StoredRequest stored = Take(ClassOf(Request.SizeFor(request.OperationBytes, format) + Request.SignatureBytes));
        Fill(stored, request, proven);
        stored.ClientIndex = clientIndex;
        stored.Slot = request.Slot;
        stored.Session = request.Session;
        stored.Timestamp = request.Timestamp;
        stored.Digest = request.Digest;
        stored.OperationBytes = request.OperationBytes;
        stored.Authentic = authentic;
        stored.OfSuspect = false;
        stored.WantsFullReply = (request.Flags & RequestFlags.Retransmission) != 0;
        stored.Ordered = false;
        stored.RelayedMicros = long.MinValue / 2;
        stored.References = 1;
        return stored;
    }

    /// <summary>The same request came again, signed this time: keeps that copy of it instead.</summary>
    public static void Replace(StoredRequest stored, in Request request, bool proven)
    {
        BfsAssert.That(stored.Digest == request.Digest && request.Signed && !stored.Proven);
        Fill(stored, request, proven);
    }

    private static void Fill(StoredRequest stored, in Request request, bool proven)
    {
        request.Message.CopyTo(stored.Buffer);
        stored.SizeBytes = request.Message.Length;
        stored.KeepBlocks(request.Blocks);
        stored.Signed = request.Signed || proven;
        stored.Proven = proven;
    }

    public static void AddReference(StoredRequest request) => request.References++;

    public void Release(StoredRequest request)
    {
        BfsAssert.That(request.References > 0);
        if (--request.References == 0)
        {
            BfsAssert.That(!request.Queued);
            int bytes = request.Buffer.Length;
            InUseBytes -= bytes;
            if (_spareBytes + bytes <= MaxSpareBytes)
            {
                _spareBytes += bytes;
                _spare[ClassOf(bytes)].Push(request);
            }
        }
    }

    private StoredRequest Take(int sizeClass)
    {
        int bytes = BytesOf(sizeClass);
        InUseBytes += bytes;
        if (!_spare[sizeClass].TryPop(out StoredRequest? stored))
        {
            return new StoredRequest(GC.AllocateUninitializedArray<byte>(bytes));
        }
        _spareBytes -= bytes;
        return stored;
    }

    /// <summary>The class of the smallest buffers that so many bytes fit in.</summary>
    private static int ClassOf(int bytes)
    {
        int last = Math.Max(bytes - 1, 1 << SmallestBits);
        int bits = BitOperations.Log2((uint)last);
        return ((bits - SmallestBits) * 4) + ((last >> (bits - 2)) & 3);
    }

    private static int BytesOf(int sizeClass) => (5 + (sizeClass & 3)) << (SmallestBits - 2 + (sizeClass >> 2));
}
