using BfsCore.FileProtocol;

namespace BfsReplica.Snfsd;

/// <summary>Rename, with RENAME_NOREPLACE and RENAME_EXCHANGE of renameat2(2).</summary>
public sealed partial class FileService
{
    private ref struct RenameArguments
    {
        public uint From;
        public ReadOnlySpan<byte> Name;
        public uint To;
        public ReadOnlySpan<byte> NewName;
        public RenameFlags Flags;
        public ReadOnlySpan<byte> Held;
        public bool KeepAny;

        /// <summary>What the names stand for; a target of zero does not exist.</summary>
        public uint Source;
        public uint Target;
    }

    private Errno Rename(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        RenameArguments a = default;
        FileHandle from = reader.Handle();
        a.Name = reader.Name();
        FileHandle to = reader.Handle();
        a.NewName = reader.Name();
        a.Flags = (RenameFlags)reader.U32();
        if (!TryReadHeld(ref reader, out a.Held, out a.KeepAny)
            || a.Flags is not (RenameFlags.None or RenameFlags.NoReplace or RenameFlags.Exchange))
        {
            return Errno.EINVAL;
        }
        Errno status = ResolveDirectory(from, caller, 1, out a.From);
        status = status == Errno.Ok ? ResolveDirectory(to, caller, 1, out a.To) : status;
        status = status == Errno.Ok ? CheckName(a.Name) : status;
        status = status == Errno.Ok ? CheckName(a.NewName) : status;
        if (status != Errno.Ok)
        {
            return status;
        }
        if (IsDots(a.Name) || IsDots(a.NewName))
        {
            return Errno.EBUSY;
        }
        a.Source = _directories.Find(_volume.GetInode(a.From), a.Name);
        a.Target = _directories.Find(_volume.GetInode(a.To), a.NewName);
        status = CheckRename(a, caller);
        if (status != Errno.Ok)
        {
            return status;
        }
        if (a.Source == a.Target)
        {
            // Two names of one file: POSIX wants nothing done.
            WriteNothingLost(ref body);
        }
        else
        {
            status = (a.Flags & RenameFlags.Exchange) != 0 ? Exchange(a, caller, ref body) : Move(a, caller, ref body);
        }
        WriteAttributes(a.From, ref body);
        WriteAttributes(a.To, ref body);
        return status;
    }

    private static void WriteNothingLost(ref WireWriter body)
    {
        body.U8(0);
        body.Handle(default);
    }

    private Errno CheckRename(in RenameArguments a, scoped in Caller caller)
    {
        if (a.Source == 0)
        {
            return Errno.ENOENT;
        }
        bool exchange = (a.Flags & RenameFlags.Exchange) != 0;
        if (exchange && a.Target == 0)
        {
            return Errno.ENOENT;
        }
        if (a.Target != 0 && (a.Flags & RenameFlags.NoReplace) != 0)
        {
            return Errno.EEXIST;
        }
        ref readonly Inode from = ref _volume.GetInode(a.From);
        ref readonly Inode to = ref _volume.GetInode(a.To);
        ref readonly Inode source = ref _volume.GetInode(a.Source);
        if (!caller.May(from, 3) || !caller.May(to, 3))
        {
            return Errno.EACCES;
        }
        if (!caller.MayRemove(from, source) || (a.Target != 0 && !caller.MayRemove(to, _volume.GetInode(a.Target))))
        {
            return Errno.EPERM;
        }
        if (IsInside(a.To, a.Source) || (exchange && IsInside(a.From, a.Target)))
        {
            return Errno.EINVAL;
        }
        if (a.Target != 0 && !exchange && a.Source != a.Target)
        {
            Errno status = CheckReplaced(a, source);
            if (status != Errno.Ok)
            {
                return status;
            }
        }
        return CheckMovedDirectories(a, exchange, caller);
    }

    private Errno CheckReplaced(in RenameArguments a, in Inode source)
    {
        ref readonly Inode target = ref _volume.GetInode(a.Target);
        return source.IsDirectory && !target.IsDirectory ? Errno.ENOTDIR
            : !source.IsDirectory && target.IsDirectory ? Errno.EISDIR
            // The target contains the source: it cannot be empty.
            : target.IsDirectory && target.Entries > 0 ? Errno.ENOTEMPTY
            : Errno.Ok;
    }

    /// <summary>A directory that gets another parent is written to (its <c>..</c>); and a new name needs room.</summary>
    private Errno CheckMovedDirectories(in RenameArguments a, bool exchange, scoped in Caller caller)
    {
        if (a.From != a.To)
        {
            ref readonly Inode source = ref _volume.GetInode(a.Source);
            if (source.IsDirectory && !caller.May(source, 2))
            {
                return Errno.EACCES;
            }
            if (exchange && _volume.GetInode(a.Target).IsDirectory && !caller.May(_volume.GetInode(a.Target), 2))
            {
                return Errno.EACCES;
            }
        }
        ref readonly Inode to = ref _volume.GetInode(a.To);
        return to.Nlink == 0 ? Errno.ENOENT
            : a.Target == 0 && !_volume.HasBlocks(Directory.MaxNewBlocks) ? Errno.ENOSPC
            : Errno.Ok;
    }

    /// <summary>Whether a directory is another one or lies below it.</summary>
    private bool IsInside(uint directory, uint ancestor)
    {
        if (!_volume.GetInode(ancestor).IsDirectory)
        {
            return false;
        }
        for (uint at = directory; ; at = _volume.GetInode(at).Parent)
        {
            if (at == ancestor)
            {
                return true;
            }
            if (at == FileHandle.Root.Inode)
            {
                return false;
            }
        }
    }

    private Errno Move(in RenameArguments a, scoped in Caller caller, ref WireWriter body)
    {
        ref Inode from = ref _volume.ChangeInode(a.From);
        ref Inode to = ref _volume.ChangeInode(a.To);
        if (a.Target != 0)
        {
            _directories.Replace(ref to, a.NewName, a.Source);
        }
        else if (!_directories.Add(ref to, a.NewName, a.Source))
        {
            return Errno.ENOSPC;
        }
        _directories.Remove(ref from, a.Name);
        long now = ChangeTime(caller);
        ref Inode source = ref _volume.ChangeInode(a.Source);
        source.CtimeNanos = from.MtimeNanos = from.CtimeNanos = to.MtimeNanos = to.CtimeNanos = now;
        SetParent(ref source, ref from, ref to, a.To);
        if (a.Target == 0)
        {
            WriteNothingLost(ref body);
        }
        else
        {
            WriteLoss(a.Target, LoseName(a.To, a.Target, now, a.Held, a.KeepAny, caller), ref body);
        }
        return Errno.Ok;
    }

    private Errno Exchange(in RenameArguments a, scoped in Caller caller, ref WireWriter body)
    {
        ref Inode from = ref _volume.ChangeInode(a.From);
        ref Inode to = ref _volume.ChangeInode(a.To);
        _directories.Replace(ref from, a.Name, a.Target);
        _directories.Replace(ref to, a.NewName, a.Source);
        long now = ChangeTime(caller);
        ref Inode source = ref _volume.ChangeInode(a.Source);
        ref Inode target = ref _volume.ChangeInode(a.Target);
        source.CtimeNanos = target.CtimeNanos = now;
        from.MtimeNanos = from.CtimeNanos = to.MtimeNanos = to.CtimeNanos = now;
        SetParent(ref source, ref from, ref to, a.To);
        SetParent(ref target, ref to, ref from, a.From);
        WriteNothingLost(ref body);
        return Errno.Ok;
    }

    /// <summary>A directory's <c>..</c> follows it, and is a link to its parent.</summary>
    private static void SetParent(ref Inode moved, ref Inode oldParent, ref Inode newParent, uint newParentNumber)
    {
        if (moved.IsDirectory)
        {
            oldParent.Nlink--;
            newParent.Nlink++;
            moved.Parent = newParentNumber;
        }
    }
}
