using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;
using FileAttributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsReplica.Snfsd;

/// <summary>
/// snfsd (§6.3): the file service. Executes the operations of <c>docs/file-protocol.md</c> on a <see cref="StateRegion"/>;
/// same operations, same bytes. Any bytes are a valid operation: what is not understood gets EINVAL or ENOSYS.
/// </summary>
public sealed partial class FileService(ClusterConfig config) : IService
{
    private const int StatusBytes = 4;

    private Volume _volume = null!;
    private BlockMap _map = null!;
    private Directory _directories = null!;

    internal Volume Volume => _volume;
    internal BlockMap Map => _map;
    internal Directory Directories => _directories;

    /// <summary>Formats a blank region.</summary>
    public void Open(StateRegion state)
    {
        BfsAssert.That(config.Clients.Count <= Volume.MaxClients);
        _volume = new Volume(state, config.OwnerUid, config.OwnerGid);
        _map = new BlockMap(_volume);
        _directories = new Directory(_volume);
    }

    /// <summary>Nothing is kept outside the region but its layout, which never changes.</summary>
    public void StateReplaced()
    {
    }

    public bool IsReadOnly(ReadOnlySpan<byte> operation) =>
        (FileOp)new WireReader(operation).U16() is FileOp.Lookup or FileOp.GetAttr or FileOp.Readlink or FileOp.Read
            or FileOp.Readdir or FileOp.Statfs or FileOp.Access or FileOp.Open;

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        var reader = new WireReader(operation);
        var op = (FileOp)reader.U16();
        int groupCount = reader.U16();
        var body = new WireWriter(result[StatusBytes..]);
        Errno status = Caller.Read(ref reader, config, context, groupCount, out Caller caller);
        if (status == Errno.Ok)
        {
            status = context.ReadOnly && !IsReadOnly(operation) ? Errno.EROFS : Dispatch(op, ref reader, caller, context.ResultPages, ref body);
        }
        var head = new WireWriter(result);
        head.I32((int)status);
        return StatusBytes + (status == Errno.Ok ? body.Length : 0);
    }

    private Errno Dispatch(FileOp op, ref WireReader reader, scoped in Caller caller, ResultPages? pages, ref WireWriter body) => op switch
    {
        FileOp.Lookup => Lookup(ref reader, caller, ref body),
        FileOp.GetAttr => GetAttr(ref reader, ref body),
        FileOp.SetAttr => SetAttr(ref reader, caller, ref body),
        FileOp.Create => Create(ref reader, caller, ref body),
        FileOp.Mknod => Mknod(ref reader, caller, ref body),
        FileOp.Mkdir => Mkdir(ref reader, caller, ref body),
        FileOp.Symlink => Symlink(ref reader, caller, ref body),
        FileOp.Unlink => Unlink(ref reader, caller, ref body),
        FileOp.Rmdir => Rmdir(ref reader, caller, ref body),
        FileOp.Rename => Rename(ref reader, caller, ref body),
        FileOp.Link => Link(ref reader, caller, ref body),
        FileOp.Readlink => Readlink(ref reader, ref body),
        FileOp.Read => Read(ref reader, caller, pages, ref body),
        FileOp.Write => Write(ref reader, caller, ref body),
        FileOp.WriteParts => WriteParts(ref reader, caller, ref body),
        FileOp.Readdir => Readdir(ref reader, caller, ref body),
        FileOp.Statfs => Statfs(ref reader, ref body),
        FileOp.Fsync => Fsync(ref reader),
        FileOp.Access => Access(ref reader, caller),
        FileOp.ReleaseOrphan => ReleaseOrphan(ref reader, caller),
        FileOp.ReclaimOrphans => ReclaimOrphans(ref reader, caller),
        FileOp.Open => OpenFile(ref reader, caller, pages, ref body),
        _ => Errno.ENOSYS,
    };

    /// <summary>The inode of a handle, if it is still that file.</summary>
    private Errno Resolve(FileHandle handle, out uint number)
    {
        number = handle.Inode;
        if (!_volume.InodeExists(number))
        {
            return Errno.ESTALE;
        }
        ref readonly Inode inode = ref _volume.GetInode(number);
        return inode.Mode != 0 && inode.Generation == handle.Generation ? Errno.Ok : Errno.ESTALE;
    }

    /// <summary>A directory that the caller may search.</summary>
    private Errno ResolveDirectory(FileHandle handle, scoped in Caller caller, uint wanted, out uint number)
    {
        Errno status = Resolve(handle, out number);
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode inode = ref _volume.GetInode(number);
        return !inode.IsDirectory ? Errno.ENOTDIR : caller.May(inode, wanted) ? Errno.Ok : Errno.EACCES;
    }

    private static Errno CheckName(scoped ReadOnlySpan<byte> name) =>
        name.Length > FileLimits.MaxNameBytes ? Errno.ENAMETOOLONG
        : name.Length == 0 || name.IndexOfAny((byte)'/', (byte)0) >= 0 ? Errno.EINVAL
        : Errno.Ok;

    private static bool IsDots(scoped ReadOnlySpan<byte> name) => name.SequenceEqual("."u8) || name.SequenceEqual(".."u8);

    /// <summary>The time of a change: the agreed one, and later than every change before.</summary>
    private long ChangeTime(scoped in Caller caller)
    {
        ref Superblock super = ref _volume.ChangeSuper();
        super.LastChangeNanos = Math.Max(caller.TimeNanos, super.LastChangeNanos + 1);
        return super.LastChangeNanos;
    }

    private void WriteAttributes(uint number, ref WireWriter body)
    {
        ref readonly Inode inode = ref _volume.GetInode(number);
        body.Attributes(AttributesOf(number, inode));
    }

    private static FileAttributes AttributesOf(uint number, in Inode inode) => new()
    {
        Handle = new FileHandle(number, inode.Generation),
        SizeBytes = inode.IsDirectory ? Math.Max(1, (ulong)inode.Blocks) * Volume.BlockBytes : inode.Size,
        Blocks512 = (ulong)inode.Blocks * (Volume.BlockBytes / 512),
        AtimeNanos = inode.AtimeNanos,
        MtimeNanos = inode.MtimeNanos,
        CtimeNanos = inode.CtimeNanos,
        BtimeNanos = inode.BtimeNanos,
        Mode = inode.Mode,
        Nlink = inode.Nlink,
        Uid = inode.Uid,
        Gid = inode.Gid,
        Rdev = inode.Rdev,
    };

    private Errno Statfs(ref WireReader reader, ref WireWriter body)
    {
        Errno status = Resolve(reader.Handle(), out _);
        if (!reader.Ok || status != Errno.Ok)
        {
            return reader.Ok ? status : Errno.EINVAL;
        }
        ref readonly Superblock super = ref _volume.Super;
        body.U32(Volume.BlockBytes);
        body.U32(FileLimits.MaxNameBytes);
        body.U64(super.BlockCount);
        body.U64(super.BlocksFree);
        body.U64(super.BlocksFree - Math.Min(super.BlocksFree, Volume.ReservedBlocks));
        body.U64(super.InodeCount);
        body.U64(super.InodesFree);
        return Errno.Ok;
    }

    /// <summary>What a replica executed is held by a quorum when the client has its replies; a later issue adds the disk.</summary>
    private Errno Fsync(ref WireReader reader)
    {
        FileHandle handle = reader.Handle();
        return reader.Ok ? Resolve(handle, out _) : Errno.EINVAL;
    }
}
