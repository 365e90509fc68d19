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
        return NameChangeAsync(parent, buffer.Written(writer), caller.Call);
    }

    public ValueTask<Outcome<FileAttributes>> MkdirAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name,
        uint mode)
    {
        WireWriter writer = Begin(caller, FileOp.Mkdir, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        writer.U32(mode);
        return NameChangeAsync(parent, buffer.Written(writer), caller.Call);
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
        return NameChangeAsync(parent, buffer.Written(writer), caller.Call);
    }

    public ValueTask<Outcome<FileAttributes>> LinkAsync(in Caller caller, FileHandle file, FileHandle parent,
        ReadOnlySpan<byte> name)
    {
        WireWriter writer = Begin(caller, FileOp.Link, out OpBuffer buffer);
        writer.Handle(file);
        writer.Handle(parent);
        writer.Name(name);
        return NameChangeAsync(parent, buffer.Written(writer), caller.Call);
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
        return NameLossAsync(null, buffer.Written(writer), caller);
    }

    /// <summary>An operation on names begins: what is known of inodes counts no longer.</summary>
    /// <param name="directory">The only one that it may change; null if that is not sure.</param>
    private Asked NamesChange(FileHandle? directory)
    {
        _namesEpoch++;
        _changes++;
        NoteChange(directory);
        return Ask();
    }

    private void NoteChange(FileHandle? directory)
    {
        if (directory is { } one)
        {
            _changedDirectories.Changes(one, _namesEpoch);
        }
        else
        {
            _changedDirectories.AllChange(_namesEpoch);
        }
    }

    /// <summary>
    /// An operation on names has its result, which ends with the attributes of the directories. They are new, unless another
    /// operation there began or ended meanwhile: that may have been executed after this one.
    /// </summary>
    /// <param name="begun">What <see cref="NamesChange"/> returned when it began.</param>
    /// <param name="directory">As then.</param>
    /// <param name="rest">What comes in the result after all else; nothing if the operation failed.</param>
    /// <returns>Whether the result was whole.</returns>
    private bool NamesChanged(Asked begun, FileHandle? directory, ref WireReader rest)
    {
        bool alone = _namesEpoch == begun.Epoch;
        _namesEpoch++;
        _changes++;
        Asked ended = begun with { Epoch = _namesEpoch };
        while (rest.Remaining > 0)
        {
            FileAttributes changed = rest.Attributes();
            if (rest.Ok)
            {
                long before = _changedDirectories.LastChange(changed.Handle);
                // A rename within a directory brings it twice.
                if (before != _namesEpoch)
                {
                    _changedDirectories.Changes(changed.Handle, _namesEpoch);
                    _changedDirectories.Learn(changed, before == begun.Epoch ? ended : begun);
                }
                _nodes.GetValueOrDefault(changed.Handle.Packed)?.Learn(changed, alone ? ended : begun);
            }
        }
        NoteChange(directory);
        return rest.Ok;
    }

    private ValueTask<Outcome<FileAttributes>> NameChangeAsync(FileHandle parent, OpBuffer buffer, CallToken? call) =>
        AttributesAsync(buffer, readOnly: false, call, changedIn: parent);

    private ValueTask<Errno> RemoveAsync(in Caller caller, FileOp op, FileHandle parent, ReadOnlySpan<byte> name)
    {
        WireWriter writer = Begin(caller, op, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        Operations.WriteHeld(ref writer, _nodes.Keys);
        // Removing a directory changes two.
        return NameLossAsync(op == FileOp.Unlink ? parent : null, buffer.Written(writer), caller);
    }

    /// <summary>An operation that may take an inode's last name; the inode then lives on while it is open here.</summary>
    /// <param name="directory">The only one that it may change; null if that is not sure.</param>
    private async ValueTask<Errno> NameLossAsync(FileHandle? directory, OpBuffer buffer, Caller caller)
    {
        Asked asked = NamesChange(directory);
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly: false, buffer.Body, caller.Call);
        WireReader reader = buffer.Result(result);
        bool orphaned = reader.U8() != 0;
        FileHandle handle = reader.Handle();
        bool whole = NamesChanged(asked, directory, ref reader);
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
