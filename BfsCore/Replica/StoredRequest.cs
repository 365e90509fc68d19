using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// A request that a replica keeps: the whole message in a pooled buffer, shared by the client's slot and by the log
/// entries whose batch names it, and returned to the pool when the last of them lets go.
/// </summary>
public sealed class StoredRequest
{
    internal StoredRequest(byte[] buffer) => Buffer = buffer;

    internal byte[] Buffer { get; }
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
}

/// <summary>Buffers for requests in two sizes; steady state allocates nothing.</summary>
public sealed class RequestPool(int n, int inlineThresholdBytes)
{
    private readonly int _smallBytes = Request.SizeFor(Math.Max(inlineThresholdBytes, 512), n) + Request.SignatureBytes;
    private readonly int _largeBytes = Request.SizeFor(Limits.MaxOperationBytes, n) + Request.SignatureBytes;
    private readonly Stack<StoredRequest> _small = new();
    private readonly Stack<StoredRequest> _large = new();

    /// <summary>Buffers in use, bytes.</summary>
    public long InUseBytes { get; private set; }

    /// <summary>Keeps a copy of a request; the caller holds one reference.</summary>
    public StoredRequest Keep(in Request request, int clientIndex, bool authentic)
    {
        bool small = request.Message.Length <= _smallBytes;
        Stack<StoredRequest> free = small ? _small : _large;
        StoredRequest stored = free.Count > 0 ? free.Pop() : new StoredRequest(new byte[small ? _smallBytes : _largeBytes]);
        InUseBytes += stored.Buffer.Length;
        request.Message.CopyTo(stored.Buffer);
        stored.SizeBytes = request.Message.Length;
        stored.ClientIndex = clientIndex;
        stored.Slot = request.Slot;
        stored.Session = request.Session;
        stored.Timestamp = request.Timestamp;
        stored.Digest = request.Digest;
        stored.OperationBytes = request.OperationBytes;
        stored.Authentic = authentic;
        stored.WantsFullReply = (request.Flags & RequestFlags.Retransmission) != 0;
        stored.Ordered = false;
        stored.RelayedMicros = long.MinValue / 2;
        stored.References = 1;
        return stored;
    }

    public static void AddReference(StoredRequest request) => request.References++;

    public void Release(StoredRequest request)
    {
        BfsAssert.That(request.References > 0);
        if (--request.References == 0)
        {
            BfsAssert.That(!request.Queued);
            InUseBytes -= request.Buffer.Length;
            (request.Buffer.Length == _smallBytes ? _small : _large).Push(request);
        }
    }
}

/// <summary>
/// Requests waiting for execution, first come first served (§2.3.5 fairness, §5.5). The primary orders them from the
/// front, so those not yet ordered are the tail that starts at <see cref="FirstUnordered"/>.
/// </summary>
public sealed class RequestQueue
{
    private StoredRequest? _last;
    private long _arrivals;

    public StoredRequest? First { get; private set; }
    public StoredRequest? FirstUnordered { get; private set; }
    public int Count { get; private set; }

    public void Append(StoredRequest request)
    {
        BfsAssert.That(!request.Queued && !request.Ordered);
        request.Queued = true;
        request.Arrival = ++_arrivals;
        request.Previous = _last;
        request.Next = null;
        if (_last is null)
        {
            First = request;
        }
        else
        {
            _last.Next = request;
        }
        _last = request;
        FirstUnordered ??= request;
        Count++;
    }

    /// <summary>The first unordered request goes into a batch.</summary>
    public void MarkOrdered(StoredRequest request)
    {
        BfsAssert.That(ReferenceEquals(request, FirstUnordered));
        request.Ordered = true;
        FirstUnordered = request.Next;
    }

    /// <summary>A new view orders everything that waits anew; what was executed meanwhile is recognised then.</summary>
    public void ForgetOrder()
    {
        for (StoredRequest? request = First; request is not null; request = request.Next)
        {
            request.Ordered = false;
        }
        FirstUnordered = First;
    }

    public void Remove(StoredRequest request)
    {
        BfsAssert.That(request.Queued);
        if (ReferenceEquals(FirstUnordered, request))
        {
            FirstUnordered = request.Next;
        }
        if (request.Previous is null)
        {
            First = request.Next;
        }
        else
        {
            request.Previous.Next = request.Next;
        }
        if (request.Next is null)
        {
            _last = request.Previous;
        }
        else
        {
            request.Next.Previous = request.Previous;
        }
        request.Next = request.Previous = null;
        request.Queued = false;
        Count--;
    }
}
