using BfsCore.FileProtocol;

namespace BfsReplica.Snfsd;

/// <summary>
/// Lookup and the operations that make names: Create, Mknod, Mkdir, Symlink, Link; and Readlink. What changes names tells the
/// attributes of the directories too: who did it asks for them next.
/// </summary>
public sealed partial class FileService
{
    private const uint MaxLinks = 65_000;

    private Errno Lookup(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ReadOnlySpan<byte> name = reader.Name();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = ResolveDirectory(handle, caller, 1, out uint parent);
        status = status == Errno.Ok ? CheckName(name) : status;
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode directory = ref _volume.GetInode(parent);
        uint number = name.SequenceEqual("."u8) ? parent
            : name.SequenceEqual(".."u8) ? directory.Parent
            : _directories.Find(directory, name);
        if (number == 0)
        {
            return Errno.ENOENT;
        }
        WriteAttributes(number, ref body);
        return Errno.Ok;
    }

    private Errno Create(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ReadOnlySpan<byte> name = reader.Name();
        uint mode = reader.U32();
        byte exclusive = reader.U8();
        if (!reader.Ok || exclusive > 1)
        {
            return Errno.EINVAL;
        }
        Errno status = ResolveDirectory(handle, caller, 1, out uint parent);
        status = status == Errno.Ok ? CheckName(name) : status;
        if (status != Errno.Ok)
        {
            return status;
        }
        uint existing = _directories.Find(_volume.GetInode(parent), name);
        if (existing != 0 && exclusive == 0)
        {
            body.U8(1);
            WriteAttributes(existing, ref body);
            WriteAttributes(parent, ref body);
            return Errno.Ok;
        }
        body.U8(0);
        return MakeNode(parent, name, FileMode.Regular | (mode & FileMode.Permissions), 0, caller, ref body);
    }

    private Errno Mknod(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ReadOnlySpan<byte> name = reader.Name();
        uint mode = reader.U32();
        uint rdev = reader.U32();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = ResolveDirectory(handle, caller, 1, out uint parent);
        uint type = mode & FileMode.TypeMask;
        type = type == 0 ? FileMode.Regular : type;
        bool device = type is FileMode.CharDevice or FileMode.BlockDevice;
        return status != Errno.Ok ? status
            : !device && type is not (FileMode.Regular or FileMode.Fifo or FileMode.Socket) ? Errno.EINVAL
            : device && !caller.IsRoot ? Errno.EPERM
            : MakeNode(parent, name, type | (mode & FileMode.Permissions), device ? rdev : 0, caller, ref body);
    }

    private Errno Mkdir(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ReadOnlySpan<byte> name = reader.Name();
        uint mode = reader.U32();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = ResolveDirectory(handle, caller, 1, out uint parent);
        return status != Errno.Ok ? status
            : MakeNode(parent, name, FileMode.Directory | (mode & FileMode.Permissions), 0, caller, ref body);
    }

    private Errno Symlink(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ReadOnlySpan<byte> name = reader.Name();
        ReadOnlySpan<byte> target = reader.Name();
        if (!reader.Ok || target.Length == 0)
        {
            return reader.Ok ? Errno.ENOENT : Errno.EINVAL;
        }
        if (target.Length > FileLimits.MaxSymlinkBytes)
        {
            return Errno.ENAMETOOLONG;
        }
        Errno status = ResolveDirectory(handle, caller, 1, out uint parent);
        if (status == Errno.Ok)
        {
            status = MakeNode(parent, name, FileMode.Symlink | 0x1ff, 0, caller, ref body, target);
        }
        return status;
    }

    private Errno Readlink(ref WireReader reader, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode inode = ref _volume.GetInode(number);
        if (!inode.IsSymlink)
        {
            return Errno.EINVAL;
        }
        CopyOut(inode, 0, body.Reserve((int)inode.Size), pages: null, StatusBytes);
        return Errno.Ok;
    }

    /// <summary>What every new name in a directory needs: it is free, the caller may write there, there is room.</summary>
    private Errno CheckNewName(uint parent, scoped ReadOnlySpan<byte> name, scoped in Caller caller, long moreBlocks)
    {
        Errno status = CheckName(name);
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode directory = ref _volume.GetInode(parent);
        return IsDots(name) || _directories.Find(directory, name) != 0 ? Errno.EEXIST
            : directory.Nlink == 0 ? Errno.ENOENT
            : !caller.May(directory, 3) ? Errno.EACCES
            : !_volume.HasBlocks(Directory.MaxNewBlocks + moreBlocks) ? Errno.ENOSPC
            : Errno.Ok;
    }

    private Errno MakeNode(uint parent, scoped ReadOnlySpan<byte> name, uint mode, uint rdev, scoped in Caller caller,
        ref WireWriter body, scoped ReadOnlySpan<byte> target = default)
    {
        Errno status = CheckNewName(parent, name, caller, moreBlocks: 1);
        if (status != Errno.Ok)
        {
            return status;
        }
        uint number = _volume.AllocateInode();
        if (number == 0)
        {
            return Errno.ENOSPC;
        }
        ref Inode directory = ref _volume.ChangeInode(parent);
        if (!_directories.Add(ref directory, name, number))
        {
            _volume.FreeInode(number);
            return Errno.ENOSPC;
        }
        long now = ChangeTime(caller);
        ref Inode inode = ref _volume.ChangeInode(number);
        Initialize(ref inode, directory, mode, caller);
        inode.Rdev = rdev;
        inode.AtimeNanos = inode.MtimeNanos = inode.CtimeNanos = inode.BtimeNanos = now;
        directory.MtimeNanos = directory.CtimeNanos = now;
        if (inode.IsDirectory)
        {
            inode.Nlink = 2;
            inode.Parent = parent;
            directory.Nlink++;
        }
        if (target.Length > 0)
        {
            CopyIn(ref inode, 0, target);
        }
        WriteAttributes(number, ref body);
        WriteAttributes(parent, ref body);
        return Errno.Ok;
    }

    private void Initialize(ref Inode inode, in Inode directory, uint mode, scoped in Caller caller)
    {
        ref Superblock super = ref _volume.ChangeSuper();
        inode = default;
        inode.Generation = super.NextGeneration++;
        inode.Mode = mode;
        inode.Nlink = 1;
        inode.Uid = caller.Uid;
        inode.Gid = caller.Gid;
        inode.Flags = InodeFlags.Inline;
        if ((directory.Mode & FileMode.SetGid) != 0)
        {
            inode.Gid = directory.Gid;
            if (inode.IsDirectory)
            {
                inode.Mode |= FileMode.SetGid;
            }
            else if ((inode.Mode & FileMode.GroupExecute) != 0 && !caller.IsRoot && !caller.InGroup(directory.Gid))
            {
                inode.Mode &= ~FileMode.SetGid;
            }
        }
    }

    private Errno Link(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        FileHandle parentHandle = reader.Handle();
        ReadOnlySpan<byte> name = reader.Name();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        status = status == Errno.Ok ? ResolveDirectory(parentHandle, caller, 1, out uint parent) : Fail(status, out parent);
        status = status == Errno.Ok ? CheckNewName(parent, name, caller, 0) : status;
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode old = ref _volume.GetInode(number);
        if (old.IsDirectory)
        {
            return Errno.EPERM;
        }
        if (old.Nlink == 0)
        {
            return Errno.ENOENT;
        }
        if (old.Nlink >= MaxLinks)
        {
            return Errno.EMLINK;
        }
        ref Inode directory = ref _volume.ChangeInode(parent);
        if (!_directories.Add(ref directory, name, number))
        {
            return Errno.ENOSPC;
        }
        ref Inode inode = ref _volume.ChangeInode(number);
        inode.Nlink++;
        long now = ChangeTime(caller);
        inode.CtimeNanos = directory.MtimeNanos = directory.CtimeNanos = now;
        WriteAttributes(number, ref body);
        WriteAttributes(parent, ref body);
        return Errno.Ok;
    }

    private static Errno Fail(Errno status, out uint number)
    {
        number = 0;
        return status;
    }
}
