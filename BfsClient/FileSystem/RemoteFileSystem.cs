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
    private readonly IInvoker _invoker;
    private readonly FileSystemOptions _options;
    private readonly Func<long> _nowMicros;
    private readonly CallerGroups _groups = new();
    private readonly Stack<OpBuffer> _buffers = new();
    private readonly Dictionary<ulong, Node> _nodes = [];
    private readonly BackgroundWork _work = new();
    private readonly WriteBehind _writes;

    /// <summary>Moves when an operation of ours may have changed attributes that its result does not name.</summary>
    private long _namesEpoch;

    /// <summary>Moves with every change of ours: what a listing fetched before it is outdated.</summary>
    private long _changes;

    /// <param name="nowMicros">A clock that never goes back, microseconds.</param>
    public RemoteFileSystem(IInvoker invoker, FileSystemOptions options, Func<long> nowMicros)
    {
        (_invoker, _options, _nowMicros) = (invoker, options, nowMicros);
        _writes = new WriteBehind(invoker, _work, OnWriteSettled, Ask);
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
        if (_nodes.TryGetValue(file.Packed, out Node? node))
        {
            if (!node.Writes.IsEmpty)
            {
                return DrainedAttributesAsync(caller, node);
            }
            if (node.TryGetFresh(Ask(), _options.AttributeMicros, out FileAttributes fresh))
            {
                return new(fresh);
            }
        }
        return FetchAttributesAsync(caller, file);
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

    public ValueTask<Outcome<FileAttributes>> MknodAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name,
        uint mode, uint rdev)
    {
        WireWriter writer = Begin(caller, FileOp.Mknod, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        writer.U32(mode);
        writer.U32(rdev);
        return NameChangeAsync(buffer.Written(writer), caller.Call);
    }

    public ValueTask<Outcome<FileAttributes>> MkdirAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name,
        uint mode)
    {
        WireWriter writer = Begin(caller, FileOp.Mkdir, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        writer.U32(mode);
        return NameChangeAsync(buffer.Written(writer), caller.Call);
    }

    public ValueTask<Outcome<FileAttributes>> SymlinkAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name,
        ReadOnlySpan<byte> target)
    {
        if (target.Length > FileLimits.MaxSymlinkBytes)
        {
            return new(Errno.ENAMETOOLONG);
        }
        WireWriter writer = Begin(caller, FileOp.Symlink, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        writer.Name(target);
        return NameChangeAsync(buffer.Written(writer), caller.Call);
    }

    public ValueTask<Outcome<FileAttributes>> LinkAsync(in Caller caller, FileHandle file, FileHandle parent,
        ReadOnlySpan<byte> name)
    {
        WireWriter writer = Begin(caller, FileOp.Link, out OpBuffer buffer);
        writer.Handle(file);
        writer.Handle(parent);
        writer.Name(name);
        return NameChangeAsync(buffer.Written(writer), caller.Call);
    }

    public ValueTask<Errno> UnlinkAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name) =>
        RemoveAsync(caller, FileOp.Unlink, parent, name);

    public ValueTask<Errno> RmdirAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name) =>
        RemoveAsync(caller, FileOp.Rmdir, parent, name);

    public ValueTask<Errno> RenameAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name, FileHandle newParent,
        ReadOnlySpan<byte> newName, RenameFlags flags)
    {
        WireWriter writer = Begin(caller, FileOp.Rename, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        writer.Handle(newParent);
        writer.Name(newName);
        writer.U32((uint)flags);
        Operations.WriteHeld(ref writer, _nodes.Keys);
        return NameLossAsync(buffer.Written(writer), caller);
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

    /// <summary>An operation whose result is the attributes of a file.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Outcome<FileAttributes>> AttributesAsync(OpBuffer buffer, bool readOnly, CallToken? call)
    {
        Asked asked = Ask();
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly, buffer.Body, call);
        WireReader reader = buffer.Result(result);
        FileAttributes attributes = reader.Attributes();
        bool whole = reader.Ok;
        _buffers.Push(buffer);
        if (result.Status != Errno.Ok || !whole)
        {
            return result.Status != Errno.Ok ? result.Status : Errno.EIO;
        }
        if (!_nodes.TryGetValue(attributes.Handle.Packed, out Node? node))
        {
            return attributes;
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
        return node.TryGetFresh(Ask(), _options.AttributeMicros, out FileAttributes fresh)
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
        return outcome;
    }

    private void NamesChange()
    {
        _namesEpoch++;
        _changes++;
    }

    private async ValueTask<Outcome<FileAttributes>> NameChangeAsync(OpBuffer buffer, CallToken? call)
    {
        NamesChange();
        Outcome<FileAttributes> outcome = await AttributesAsync(buffer, readOnly: false, call);
        NamesChange();
        return outcome;
    }

    private ValueTask<Errno> RemoveAsync(in Caller caller, FileOp op, FileHandle parent, ReadOnlySpan<byte> name)
    {
        WireWriter writer = Begin(caller, op, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        Operations.WriteHeld(ref writer, _nodes.Keys);
        return NameLossAsync(buffer.Written(writer), caller);
    }

    /// <summary>An operation that may take an inode's last name; the inode then lives on while it is open here.</summary>
    private async ValueTask<Errno> NameLossAsync(OpBuffer buffer, Caller caller)
    {
        NamesChange();
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly: false, buffer.Body, caller.Call);
        NamesChange();
        WireReader reader = buffer.Result(result);
        bool orphaned = reader.U8() != 0;
        FileHandle handle = reader.Handle();
        bool whole = reader.Ok;
        _buffers.Push(buffer);
        if (result.Status != Errno.Ok || !whole)
        {
            return result.Status != Errno.Ok ? result.Status : Errno.EIO;
        }
        if (orphaned)
        {
            if (_nodes.TryGetValue(handle.Packed, out Node? node))
            {
                node.Orphaned = true;
            }
            else
            {
                ReleaseOrphan(handle, caller);
            }
        }
        return Errno.Ok;
    }

    private void ReleaseOrphan(FileHandle handle, in Caller caller)
    {
        WireWriter writer = Begin(caller with { Call = null }, FileOp.ReleaseOrphan, out OpBuffer buffer);
        writer.Handle(handle);
        _work.Start(ForgetStatusAsync(buffer.Written(writer)));
    }

    private async ValueTask ForgetStatusAsync(OpBuffer buffer) => await StatusAsync(buffer, null);
}
