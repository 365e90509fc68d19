using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>
/// Writes are acknowledged when they are queued and sent up to 60 KiB in an operation, several at a time (§6.2 has the relay
/// of BFS do the same with NFS's block daemons). What is outstanding is bounded: beyond that, an acknowledgement waits.
/// </summary>
/// <param name="invoker">Executes the operations.</param>
/// <param name="work">Counts what is under way.</param>
/// <param name="settled">Told when an operation has its result: the file, the new attributes if it succeeded, when it was sent.</param>
/// <param name="ask">Notes when an operation is sent.</param>
/// <param name="after">Runs an action when a time has passed.</param>
internal sealed class WriteBehind(IInvoker invoker, BackgroundWork work, WriteSettled settled, Func<Asked> ask, Action<TimeSpan, Action> after)
{
    /// <summary>How long data waits for more to join it.</summary>
    private static readonly TimeSpan GatherTime = TimeSpan.FromMilliseconds(2);

    /// <summary>How long it waits when a file is written out of order, and nothing needs it at the replicas.</summary>
    private static readonly TimeSpan LongGatherTime = TimeSpan.FromMilliseconds(100);

    /// <summary>Most bytes acknowledged and not yet executed, over all files.</summary>
    public const int MaxOutstandingBytes = 16 << 20;

    private readonly Stack<WritePiece> _pool = new();
    private readonly Stack<WriteBundle> _bundles = new();
    private readonly Queue<Signal> _waitingForRoom = new();
    private readonly HashSet<Node> _held = [];
    private readonly HashSet<Node> _heldLong = [];

    public long OutstandingBytes { get; private set; }

    /// <summary>Takes a copy of the data and sends what can be sent.</summary>
    /// <param name="mayWait">Nothing needs the data at the replicas soon.</param>
    public void Add(OpenFile file, ulong offset, byte flags, ReadOnlySpan<byte> data, bool mayWait)
    {
        WriteQueue queue = file.Node.Writes;
        while (data.Length > 0)
        {
            int toFrameEnd = FileLimits.MaxTransferBytes - (int)(offset % FileLimits.MaxTransferBytes);
            int count = Math.Min(data.Length, toFrameEnd);
            OutstandingBytes += queue.Add(file, offset, flags, data[..count], mayWait, _pool);
            data = data[count..];
            offset += (ulong)count;
            Send(file.Node);
        }
        if (mayWait)
        {
            HoldLong(file.Node);
        }
        else
        {
            Hold(file.Node);
        }
    }

    private void Hold(Node node)
    {
        if (node.Writes.IsHeld && _held.Add(node) && _held.Count == 1)
        {
            after(GatherTime, SendHeld);
        }
    }

    private void HoldLong(Node node)
    {
        if (_heldLong.Add(node) && _heldLong.Count == 1)
        {
            after(LongGatherTime, SendHeldLong);
        }
    }

    /// <summary>What was written to the node waits for nothing any more.</summary>
    public void Urge(Node node)
    {
        if (!node.Writes.IsEmpty)
        {
            node.Writes.Urge();
            Send(node);
        }
    }

    /// <summary>Waits until the outstanding data is within its bound.</summary>
    public ValueTask WhenRoomAsync()
    {
        if (OutstandingBytes <= MaxOutstandingBytes && _waitingForRoom.Count == 0)
        {
            return default;
        }
        // Held data does not go by itself.
        SendHeldLong();
        var signal = Signal.Rent();
        _waitingForRoom.Enqueue(signal);
        return signal.Task;
    }

    /// <summary>Waits until everything written to the node so far has its result, sending the rest at once.</summary>
    public ValueTask DrainAsync(Node node)
    {
        Signal? signal = node.Writes.WhenDone();
        if (signal is null)
        {
            return default;
        }
        ValueTask done = signal.Task;
        Urge(node);
        return done;
    }

    private void SendHeld()
    {
        Node[] nodes = [.. _held];
        _held.Clear();
        Array.ForEach(nodes, Urge);
    }

    private void SendHeldLong()
    {
        Node[] nodes = [.. _heldLong];
        _heldLong.Clear();
        Array.ForEach(nodes, Urge);
    }

    private void Send(Node node)
    {
        WriteBundle bundle = Bundle();
        while (node.Writes.TryNext(bundle))
        {
            work.Start(SendAsync(node, bundle));
            bundle = Bundle();
        }
        _bundles.Push(bundle);
    }

    private WriteBundle Bundle() => _bundles.TryPop(out WriteBundle? bundle) ? bundle : new WriteBundle();

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendAsync(Node node, WriteBundle bundle)
    {
        Asked asked = ask();
        InvokeResult result = await invoker.InvokeAsync(bundle.Encode(), readOnly: false, bundle.Body);
        bool whole = result.BodyBytes == FileAttributes.WireBytes;
        Errno error = result.Status == Errno.Ok && !whole ? Errno.EIO : result.Status;
        node.Writes.Remove(bundle, error);
        OutstandingBytes -= bundle.DataBytes;
        OpenFile file = bundle.File;
        FileAttributes? attributes = error == Errno.Ok ? MemoryMarshal.Read<FileAttributes>(bundle.Body) : null;
        bundle.Recycle(_pool);
        _bundles.Push(bundle);
        Send(node);
        Hold(node);
        settled(file, attributes, asked);
        while (node.Writes.TryTakeDue(out Signal due))
        {
            due.Set();
        }
        while (OutstandingBytes <= MaxOutstandingBytes && _waitingForRoom.TryDequeue(out Signal? room))
        {
            room.Set();
        }
    }
}

/// <param name="attributes">Null if the write failed.</param>
internal delegate void WriteSettled(OpenFile file, FileAttributes? attributes, Asked asked);
