using BfsCore.FileProtocol;

namespace BfsReplica.Snfsd;

/// <summary>GetAttr, SetAttr, Access.</summary>
public sealed partial class FileService
{
    private Errno GetAttr(ref WireReader reader, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        if (status == Errno.Ok)
        {
            WriteAttributes(number, ref body);
        }
        return status;
    }

    private Errno Access(ref WireReader reader, scoped in Caller caller)
    {
        FileHandle handle = reader.Handle();
        uint mask = reader.U32();
        if (!reader.Ok || mask > 7)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        return status != Errno.Ok ? status : caller.May(_volume.GetInode(number), mask) ? Errno.Ok : Errno.EACCES;
    }

    private Errno SetAttr(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        var mask = (SetAttrMask)reader.U32();
        uint mode = reader.U32();
        uint uid = reader.U32();
        uint gid = reader.U32();
        ulong size = reader.U64();
        long atime = reader.I64();
        long mtime = reader.I64();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode old = ref _volume.GetInode(number);
        status = CheckSetAttr(old, mask, uid, gid, size, caller);
        if (status != Errno.Ok)
        {
            return status;
        }
        if (mask != SetAttrMask.None)
        {
            ref Inode inode = ref _volume.ChangeInode(number);
            long now = ChangeTime(caller);
            if ((mask & SetAttrMask.Size) != 0)
            {
                Resize(ref inode, size);
                inode.MtimeNanos = now;
                ClearSetIds(ref inode, caller);
            }
            SetModeAndOwner(ref inode, mask, mode, uid, gid, caller);
            SetTimes(ref inode, mask, atime, mtime, now);
            inode.CtimeNanos = now;
        }
        WriteAttributes(number, ref body);
        return Errno.Ok;
    }

    private Errno CheckSetAttr(in Inode inode, SetAttrMask mask, uint uid, uint gid, ulong size, scoped in Caller caller)
    {
        if ((mask & SetAttrMask.Mode) != 0 && !caller.Owns(inode))
        {
            return Errno.EPERM;
        }
        if ((mask & SetAttrMask.Uid) != 0 && !caller.IsRoot && !(caller.Uid == inode.Uid && uid == inode.Uid))
        {
            return Errno.EPERM;
        }
        if ((mask & SetAttrMask.Gid) != 0 && !caller.IsRoot
            && !(caller.Uid == inode.Uid && (gid == inode.Gid || caller.InGroup(gid))))
        {
            return Errno.EPERM;
        }
        if ((mask & (SetAttrMask.Atime | SetAttrMask.Mtime)) != 0 && !caller.Owns(inode))
        {
            return Errno.EPERM;
        }
        if ((mask & (SetAttrMask.AtimeNow | SetAttrMask.MtimeNow)) != 0 && !caller.Owns(inode) && !caller.May(inode, 2))
        {
            return Errno.EACCES;
        }
        return (mask & SetAttrMask.Size) != 0 ? CheckResize(inode, size, caller) : Errno.Ok;
    }

    private Errno CheckResize(in Inode inode, ulong size, scoped in Caller caller) =>
        inode.IsDirectory ? Errno.EISDIR
        : !inode.IsRegular ? Errno.EINVAL
        : !caller.MayUseOpen(inode, 2) ? Errno.EACCES
        : size > MaxFileBytes ? Errno.EFBIG
        // A short file that grows leaves its inode: that takes a block.
        : inode.IsInline && size > Inode.InlineBytes && inode.Size > 0 && !_volume.HasBlocks(1 + BlockMap.MaxIndirect)
            ? Errno.ENOSPC
        : Errno.Ok;

    private static void SetModeAndOwner(ref Inode inode, SetAttrMask mask, uint mode, uint uid, uint gid, scoped in Caller caller)
    {
        bool owner = (mask & (SetAttrMask.Uid | SetAttrMask.Gid)) != 0;
        if ((mask & SetAttrMask.Uid) != 0)
        {
            inode.Uid = uid;
        }
        if ((mask & SetAttrMask.Gid) != 0)
        {
            inode.Gid = gid;
        }
        if (owner && !inode.IsDirectory)
        {
            // chown takes setuid away, and setgid where it means an identity and not mandatory locking.
            inode.Mode &= ~FileMode.SetUid;
            if ((inode.Mode & FileMode.GroupExecute) != 0)
            {
                inode.Mode &= ~FileMode.SetGid;
            }
        }
        if ((mask & SetAttrMask.Mode) != 0)
        {
            uint bits = mode & FileMode.Permissions;
            if (!caller.IsRoot && !caller.InGroup(inode.Gid))
            {
                bits &= ~FileMode.SetGid;
            }
            inode.Mode = (inode.Mode & FileMode.TypeMask) | bits;
        }
    }

    private static void SetTimes(ref Inode inode, SetAttrMask mask, long atime, long mtime, long now)
    {
        inode.AtimeNanos = (mask & SetAttrMask.AtimeNow) != 0 ? now : (mask & SetAttrMask.Atime) != 0 ? atime : inode.AtimeNanos;
        inode.MtimeNanos = (mask & SetAttrMask.MtimeNow) != 0 ? now : (mask & SetAttrMask.Mtime) != 0 ? mtime : inode.MtimeNanos;
    }

    /// <summary>Writing by anyone but root takes setuid away, and setgid from what the group may execute.</summary>
    private static void ClearSetIds(ref Inode inode, scoped in Caller caller)
    {
        if (!caller.IsRoot)
        {
            inode.Mode &= ~FileMode.SetUid;
            if ((inode.Mode & FileMode.GroupExecute) != 0)
            {
                inode.Mode &= ~FileMode.SetGid;
            }
        }
    }
}
