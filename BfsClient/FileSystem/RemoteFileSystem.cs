using System.Runtime.CompilerServices;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>How a mount trades freshness for speed.</summary>
/// <param name="AttributeMicros">How old attributes may be that are given out, microseconds; 0: never old.</param>
/// <param name="Strict">Single operations are linearizable: no write-behind, appends at the real end.</param>
/// <param name="Housekeeping">Who operations without a caller run as.</param>
public sealed record FileSystemOptions(long AttributeMicros, bool Strict, Caller Housekeeping);

/// <summary>
/// The replicated file system as a front end sees it: each call becomes operations of the file protocol. One thread uses
/// it; several calls are under way at a time.
/// </summary>
public sealed partial class RemoteFileSystem : IFileOperations
{
    private const uint FileTypeMask = 0xF000;
    private const uint DirectoryType = 0x4000;

    private readonly IInvoker _invoker;
    private readonly FileSystemOptions _options;
    private readonly Func<long> _nowMicros;
    private readonly CallerGroups _groups = new();
    private readonly Stack<OpBuffer> _buffers = new();
    private readonly Dictionary<ulong, Node> _nodes = [];
    private readonly ChangedDirectories _changedDirectories = new();
    private readonly BackgroundWork _work = new();
    private readonly WriteBehind _writes;

    /// <summary>Moves when an operation of ours may have changed attributes that its result does not name.</summary>
    private long _namesEpoch;

    /// <summary>Moves with every change of ours: what a listing fetched before it is outdated.</summary>
    private long _changes;

    /// <param name="nowMicros">A clock that never goes back, microseconds.</param>
    /// <param name="after">Runs an action on the same thread when a time has passed.</param>
    public RemoteFileSystem(IInvoker invoker, FileSystemOptions options, Func<long> nowMicros, Action<TimeSpan, Action> after)
    {
        (_invoker, _options, _nowMicros) = (invoker, options, nowMicros);
        _writes = new WriteBehind(invoker, _work, OnWriteSettled, Ask, after);
    }

    public Action<FileHandle>? SetIdCleared { get; set; }

    /// <summary>Operations that no caller waits for: write-behind, releases.</summary>
    public int BackgroundOperations => _work.Count;

    /// <summary>Bytes acknowledged to writers that the replicas have not executed yet.</summary>
    public long UnwrittenBytes => _writes.OutstandingBytes;

    /// <summary>How many inodes are open or have writes under way.</summary>
    public int NodesInUse => _nodes.Count;

    public void Interrupt(CallToken call)
    {
        call.Interrupted = true;
        _invoker.CancelQueued(call);
    }

    /// <summary>
    /// To be done once before anything else: frees what an earlier session of this client held open. Also shows that the
    /// replicas answer.
    /// </summary>
    public async ValueTask<Errno> StartAsync()
    {
        WireWriter writer = Begin(_options.Housekeeping, FileOp.ReclaimOrphans, out OpBuffer buffer);
        return await StatusAsync(buffer.Written(writer), null);
    }

    public ValueTask<Outcome<FileAttributes>> LookupAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name)
    {
        WireWriter writer = Begin(caller, FileOp.Lookup, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        return AttributesAsync(buffer.Written(writer), readOnly: true, caller.Call);
    }

    public ValueTask<Outcome<FileAttributes>> GetAttrAsync(in Caller caller, FileHandle file)
    {
        if (_nodes.TryGetValue(file.Packed, out Node? node) && !node.Writes.IsEmpty)
        {
            return DrainedAttributesAsync(caller, node);
        }
        if (TryGetFresh(file, node, out FileAttributes fresh))
        {
            return new(fresh);
        }
        return IsAboutToList(caller, node, out OpenFile? directory) ? AttributesWithListingAsync(caller, directory) : FetchAttributesAsync(caller, file);
    }

    public ValueTask<Outcome<FileAttributes>> SetAttrAsync(in Caller caller, FileHandle file, in AttributeChange change)
    {
        WireWriter writer = Begin(caller, FileOp.SetAttr, out OpBuffer buffer);
        writer.Handle(file);
        writer.U32((uint)change.Mask);
        writer.U32(change.Mode);
        writer.U32(change.Uid);
        writer.U32(change.Gid);
        writer.U64(change.SizeBytes);
        writer.I64(change.AtimeNanos);
        writer.I64(change.MtimeNanos);
        buffer.Written(writer);
        return _nodes.TryGetValue(file.Packed, out Node? node) && !node.Writes.IsEmpty
            ? DrainThenAttributesAsync(node, buffer, caller.Call)
            : ChangedAttributesAsync(node, buffer, caller.Call);
    }

    public ValueTask<Outcome<int>> ReadlinkAsync(in Caller caller, FileHandle link, Memory<byte> target)
    {
        WireWriter writer = Begin(caller, FileOp.Readlink, out OpBuffer buffer);
        writer.Handle(link);
        return BytesAsync(buffer.Written(writer), target, caller.Call);
    }

    public ValueTask<Outcome<DriveStatistics>> StatfsAsync(in Caller caller, FileHandle file)
    {
        WireWriter writer = Begin(caller, FileOp.Statfs, out OpBuffer buffer);
        writer.Handle(file);
        return StatisticsAsync(buffer.Written(writer), caller.Call);
    }

    private async ValueTask<Outcome<DriveStatistics>> StatisticsAsync(OpBuffer buffer, CallToken? call)
    {
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly: true, buffer.Body, call);
        WireReader reader = buffer.Result(result);
        DriveStatistics statistics = new(reader.U32(), reader.U32(), reader.U64(), reader.U64(), reader.U64(),
            reader.U64(), reader.U64());
        bool whole = reader.Ok;
        _buffers.Push(buffer);
        return result.Status != Errno.Ok ? result.Status : whole ? statistics : Errno.EIO;
    }

    public ValueTask<Errno> AccessAsync(in Caller caller, FileHandle file, uint mask)
    {
        WireWriter writer = Begin(caller, FileOp.Access, out OpBuffer buffer);
        writer.Handle(file);
        writer.U32(mask);
        return StatusAsync(buffer.Written(writer), caller.Call, readOnly: true);
    }

    /// <param name="node">If the file is in use: what was known before it was opened counts no longer.</param>
    private bool TryGetFresh(FileHandle file, Node? node, out FileAttributes attributes) => node is not null
        ? node.TryGetFresh(_nowMicros(), _namesEpoch, _options.AttributeMicros, out attributes)
        : _changedDirectories.TryGetFresh(file, _nowMicros(), _options.AttributeMicros, out attributes);

    private Asked Ask() => new(_nowMicros(), _namesEpoch);

    private WireWriter Begin(in Caller caller, FileOp op, out OpBuffer buffer) =>
        Begin(caller, _groups.Of(caller, _nowMicros()), op, out buffer);

    private WireWriter Begin(in Caller caller, uint[] groups, FileOp op, out OpBuffer buffer)
    {
        if (!_buffers.TryPop(out OpBuffer? pooled))
        {
            pooled = new OpBuffer();
        }
        buffer = pooled;
        WireWriter writer = new(pooled.Room);
        Operations.WriteCaller(ref writer, op, caller, groups);
        return writer;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Errno> StatusAsync(OpBuffer buffer, CallToken? call, bool readOnly = false)
    {
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly, buffer.Body, call);
        _buffers.Push(buffer);
        return result.Status;
    }

    /// <summary>A read-only operation whose result is bytes: how many there are.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Outcome<int>> BytesAsync(OpBuffer buffer, Memory<byte> destination, CallToken? call)
    {
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly: true, destination, call);
        _buffers.Push(buffer);
        return new Outcome<int>(result.Status, result.BodyBytes);
    }

    /// <summary>An operation whose result is the attributes of a file; if it changes names in a directory, also of that.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Outcome<FileAttributes>> AttributesAsync(OpBuffer buffer, bool readOnly, CallToken? call,
        FileHandle? changedIn = null)
    {
        Asked asked = changedIn is not null ? NamesChange(changedIn) : Ask();
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly, buffer.Body, call);
        WireReader reader = buffer.Result(result);
        FileAttributes attributes = reader.Attributes();
        bool whole = changedIn is not null ? NamesChanged(asked, changedIn, ref reader) : reader.Ok;
        _buffers.Push(buffer);
        if (result.Status != Errno.Ok || !whole)
        {
            return result.Status != Errno.Ok ? result.Status : Errno.EIO;
        }
        FileAttributes newest = _changedDirectories.Learn(attributes, asked);
        if (!_nodes.TryGetValue(attributes.Handle.Packed, out Node? node))
        {
            return newest;
        }
        await _writes.DrainAsync(node);
        return node.Learn(attributes, asked);
    }

    private ValueTask<Outcome<FileAttributes>> FetchAttributesAsync(in Caller caller, FileHandle file)
    {
        WireWriter writer = Begin(caller, FileOp.GetAttr, out OpBuffer buffer);
        writer.Handle(file);
        return AttributesAsync(buffer.Written(writer), readOnly: true, caller.Call);
    }

    private async ValueTask<Outcome<FileAttributes>> DrainedAttributesAsync(Caller caller, Node node)
    {
        await _writes.DrainAsync(node);
        // The last write's result has just brought attributes.
        return TryGetFresh(node.Handle, node, out FileAttributes fresh)
            ? fresh
            : await FetchAttributesAsync(caller, node.Handle);
    }

    private async ValueTask<Outcome<FileAttributes>> DrainThenAttributesAsync(Node node, OpBuffer buffer, CallToken? call)
    {
        await _writes.DrainAsync(node);
        return await ChangedAttributesAsync(node, buffer, call);
    }

    /// <param name="node">Of the file that is changed, if it is in use.</param>
    private async ValueTask<Outcome<FileAttributes>> ChangedAttributesAsync(Node? node, OpBuffer buffer, CallToken? call)
    {
        node?.ContentChanges();
        Outcome<FileAttributes> outcome = await AttributesAsync(buffer, readOnly: false, call);
        node?.ContentChanges();
        _changes++;
        if (outcome.Failed || (outcome.Value.Mode & FileTypeMask) == DirectoryType)
        {
            // An operation on names that is under way may bring what the directory was before.
            _changedDirectories.AllChange(++_namesEpoch);
        }
        return outcome;
    }
}
