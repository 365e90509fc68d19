using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

// Operations that change names.
public sealed partial class RemoteFileSystem
{
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

    /// <summary>An operation on names begins: what is known of inodes counts no longer.</summary>
    private Asked NamesChange()
    {
        _namesEpoch++;
        _changes++;
        return Ask();
    }

    /// <summary>
    /// An operation on names has its result, which ends with the attributes of the directories. They are new, unless another
    /// operation began or ended meanwhile: that may have been executed after this one.
    /// </summary>
    /// <param name="begun">What <see cref="NamesChange"/> returned when it began.</param>
    /// <param name="rest">What comes in the result after all else; nothing if the operation failed.</param>
    /// <returns>Whether the result was whole.</returns>
    private bool NamesChanged(Asked begun, ref WireReader rest)
    {
        bool alone = _namesEpoch == begun.Epoch;
        NamesChange();
        Asked asked = alone ? begun with { Epoch = _namesEpoch } : begun;
        while (rest.Remaining > 0)
        {
            FileAttributes directory = rest.Attributes();
            if (rest.Ok)
            {
                _changedDirectories.Learn(directory, asked);
                _nodes.GetValueOrDefault(directory.Handle.Packed)?.Learn(directory, asked);
            }
        }
        return rest.Ok;
    }

    private ValueTask<Outcome<FileAttributes>> NameChangeAsync(OpBuffer buffer, CallToken? call) =>
        AttributesAsync(buffer, readOnly: false, call, changesNames: true);

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
        Asked asked = NamesChange();
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly: false, buffer.Body, caller.Call);
        WireReader reader = buffer.Result(result);
        bool orphaned = reader.U8() != 0;
        FileHandle handle = reader.Handle();
        bool whole = NamesChanged(asked, ref reader);
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
