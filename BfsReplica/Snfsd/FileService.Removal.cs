using System.Buffers.Binary;
using BfsCore.FileProtocol;

namespace BfsReplica.Snfsd;

/// <summary>Unlink, Rmdir, and the orphans that stay because a mount holds them open.</summary>
public sealed partial class FileService
{
    private const ushort KeepAny = 0xffff;

    private Errno Unlink(ref WireReader reader, scoped in Caller caller, ref WireWriter body) =>
        Remove(ref reader, caller, wantDirectory: false, ref body);

    private Errno Rmdir(ref WireReader reader, scoped in Caller caller, ref WireWriter body) =>
        Remove(ref reader, caller, wantDirectory: true, ref body);

    private Errno Remove(ref WireReader reader, scoped in Caller caller, bool wantDirectory, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ReadOnlySpan<byte> name = reader.Name();
        if (!TryReadHeld(ref reader, out ReadOnlySpan<byte> held, out bool keepAny))
        {
            return Errno.EINVAL;
        }
        Errno status = ResolveDirectory(handle, caller, 1, out uint parent);
        status = status == Errno.Ok ? CheckName(name) : status;
        if (status != Errno.Ok)
        {
            return status;
        }
        if (IsDots(name))
        {
            return !wantDirectory ? Errno.EISDIR : name.Length == 1 ? Errno.EINVAL : Errno.ENOTEMPTY;
        }
        uint number = _directories.Find(_volume.GetInode(parent), name);
        if (number == 0)
        {
            return Errno.ENOENT;
        }
        status = CheckRemoval(parent, number, wantDirectory, caller);
        if (status != Errno.Ok)
        {
            return status;
        }
        long now = ChangeTime(caller);
        ref Inode directory = ref _volume.ChangeInode(parent);
        _directories.Remove(ref directory, name);
        directory.MtimeNanos = directory.CtimeNanos = now;
        WriteLoss(number, LoseName(parent, number, now, held, keepAny, caller), ref body);
        WriteAttributes(parent, ref body);
        return Errno.Ok;
    }

    private static bool TryReadHeld(scoped ref WireReader reader, out ReadOnlySpan<byte> held, out bool keepAny)
    {
        int count = reader.U16();
        keepAny = count == KeepAny;
        held = reader.Bytes(keepAny ? 0 : count * FileHandle.SizeBytes);
        return reader.Ok && (keepAny || count <= FileLimits.MaxHeldHandles);
    }

    private Errno CheckRemoval(uint parent, uint number, bool wantDirectory, scoped in Caller caller)
    {
        ref readonly Inode directory = ref _volume.GetInode(parent);
        ref readonly Inode victim = ref _volume.GetInode(number);
        return !caller.May(directory, 3) ? Errno.EACCES
            : !caller.MayRemove(directory, victim) ? Errno.EPERM
            : wantDirectory && !victim.IsDirectory ? Errno.ENOTDIR
            : !wantDirectory && victim.IsDirectory ? Errno.EISDIR
            : wantDirectory && victim.Entries > 0 ? Errno.ENOTEMPTY
            : Errno.Ok;
    }

    /// <summary>An inode lost a name (already gone from its directory): freed with the last one, unless held open.</summary>
    /// <returns>Whether it became an orphan.</returns>
    private bool LoseName(uint parent, uint number, long now, scoped ReadOnlySpan<byte> held, bool keepAny, scoped in Caller caller)
    {
        ref Inode inode = ref _volume.ChangeInode(number);
        inode.CtimeNanos = now;
        if (inode.IsDirectory)
        {
            _volume.ChangeInode(parent).Nlink--;
            inode.Nlink = 0;
        }
        else
        {
            inode.Nlink--;
        }
        if (inode.Nlink > 0)
        {
            return false;
        }
        if (keepAny || IsHeld(held, new FileHandle(number, inode.Generation)))
        {
            AddOrphan(number, ref inode, caller.Client);
            return true;
        }
        FreeInode(number, ref inode);
        return false;
    }

    /// <summary>Result body: whether the inode was orphaned, and its handle (still readable here even if it was freed).</summary>
    private void WriteLoss(uint number, bool orphaned, ref WireWriter body)
    {
        body.U8(orphaned ? (byte)1 : (byte)0);
        body.Handle(new FileHandle(number, _volume.GetInode(number).Generation));
    }

    private static bool IsHeld(scoped ReadOnlySpan<byte> held, FileHandle handle)
    {
        for (int i = 0; i < held.Length; i += FileHandle.SizeBytes)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(held[i..]) == handle.Inode
                && BinaryPrimitives.ReadUInt32LittleEndian(held[(i + 4)..]) == handle.Generation)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Frees an inode with its blocks; its generation stays, so that handles to it are known to be stale.</summary>
    private void FreeInode(uint number, ref Inode inode)
    {
        if (inode.IsDirectory)
        {
            _directories.MakeInline(ref inode);
        }
        else if (!inode.IsInline)
        {
            _map.FreeFrom(ref inode, 0);
        }
        BfsCore.BfsAssert.That(inode.Blocks == 0);
        uint generation = inode.Generation;
        inode = default;
        inode.Generation = generation;
        _volume.FreeInode(number);
    }

    private void AddOrphan(uint number, ref Inode inode, int client)
    {
        uint head = _volume.OrphanHead(client);
        inode.OrphanOwner = (uint)client + 1;
        inode.OrphanNext = head;
        inode.OrphanPrevious = 0;
        if (head != 0)
        {
            _volume.ChangeInode(head).OrphanPrevious = number;
        }
        _volume.SetOrphanHead(client, number);
    }

    private Errno ReleaseOrphan(ref WireReader reader, scoped in Caller caller)
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
        if (_volume.GetInode(number).OrphanOwner != caller.Client + 1)
        {
            return Errno.EINVAL;
        }
        FreeOrphan(number);
        return Errno.Ok;
    }

    /// <summary>Orphans freed by one operation: the rest is left for the next, so that none takes long.</summary>
    private const int MaxReclaimed = 1000;

    private Errno ReclaimOrphans(ref WireReader reader, scoped in Caller caller)
    {
        for (int i = 0; i < MaxReclaimed; i++)
        {
            uint number = _volume.OrphanHead(caller.Client);
            if (number == 0)
            {
                return reader.Ok ? Errno.Ok : Errno.EINVAL;
            }
            FreeOrphan(number);
        }
        return Errno.EAGAIN;
    }

    private void FreeOrphan(uint number)
    {
        ref Inode inode = ref _volume.ChangeInode(number);
        if (inode.OrphanPrevious != 0)
        {
            _volume.ChangeInode(inode.OrphanPrevious).OrphanNext = inode.OrphanNext;
        }
        else
        {
            _volume.SetOrphanHead((int)inode.OrphanOwner - 1, inode.OrphanNext);
        }
        if (inode.OrphanNext != 0)
        {
            _volume.ChangeInode(inode.OrphanNext).OrphanPrevious = inode.OrphanPrevious;
        }
        FreeInode(number, ref inode);
    }
}
