using BfsCore.FileProtocol;

namespace BfsTests.Snfsd;

/// <summary>A file of the model.</summary>
internal sealed class ModelNode
{
    public uint Mode { get; set; }
    public uint Nlink { get; set; } = 1;
    public uint Uid { get; set; }
    public uint Gid { get; set; }
    public uint Rdev { get; set; }
    public long Atime { get; set; }
    public long Mtime { get; set; }
    public long Ctime { get; set; }
    public long Btime { get; set; }
    public byte[] Data { get; set; } = [];
    public SortedDictionary<string, ModelNode> Names { get; } = new(StringComparer.Ordinal);
    public ModelNode? Parent { get; set; }

    /// <summary>The client that holds it open after its last name went; -1 for none.</summary>
    public int Orphan { get; set; } = -1;

    /// <summary>Freed: its handle is stale.</summary>
    public bool Gone { get; set; }

    public bool IsDirectory => (Mode & 0xf000) == 0x4000;
    public bool IsRegular => (Mode & 0xf000) == 0x8000;
    public bool IsSymlink => (Mode & 0xf000) == 0xa000;
}

/// <summary>
/// What snfsd is to do, as plainly as it can be said: nodes, dictionaries, byte arrays. It knows no blocks, no inodes and no
/// handles; callers name nodes.
/// </summary>
internal sealed class ModelFileSystem
{
    private readonly List<ModelNode> _all = [];
    private long _last;

    public ModelFileSystem() => _all.Add(Root);

    public ModelNode Root { get; } = new() { Mode = 0x41ed, Nlink = 2 };

    public IReadOnlyList<ModelNode> All => _all;
    public uint Uid { get; set; }
    public uint Gid { get; set; }
    public uint[] Groups { get; set; } = [];
    public int Client { get; set; }

    /// <summary>The agreed time of the operation that comes next.</summary>
    public long AgreedTime { get; set; }

    private long Now() => _last = Math.Max(AgreedTime, _last + 1);

    private bool InGroup(uint gid) => gid == Gid || Groups.Contains(gid);

    private bool May(ModelNode node, uint wanted)
    {
        if (Uid == 0)
        {
            return (wanted & 1) == 0 || node.IsDirectory || (node.Mode & 0x49) != 0;
        }
        uint bits = Uid == node.Uid ? node.Mode >> 6 : InGroup(node.Gid) ? node.Mode >> 3 : node.Mode;
        return (bits & wanted) == wanted;
    }

    private bool Owns(ModelNode node) => Uid == 0 || Uid == node.Uid;

    private bool MayUseOpen(ModelNode node, uint wanted) => Uid == node.Uid || May(node, wanted);

    private bool MayRemove(ModelNode directory, ModelNode victim) =>
        (directory.Mode & 0x200) == 0 || Uid == 0 || Uid == victim.Uid || Uid == directory.Uid;

    private Errno Directory(ModelNode node) =>
        node.Gone ? Errno.ESTALE : !node.IsDirectory ? Errno.ENOTDIR : !May(node, 1) ? Errno.EACCES : Errno.Ok;

    private static Errno Name(string name) => name.Length > 255 ? Errno.ENAMETOOLONG : name.Length == 0 ? Errno.EINVAL : Errno.Ok;

    private static Errno First(params ReadOnlySpan<Errno> checks)
    {
        foreach (Errno check in checks)
        {
            if (check != Errno.Ok)
            {
                return check;
            }
        }
        return Errno.Ok;
    }

    public (Errno, ModelNode?) Lookup(ModelNode parent, string name)
    {
        Errno status = First(Directory(parent), Name(name));
        if (status != Errno.Ok)
        {
            return (status, null);
        }
        ModelNode? found = name == "." ? parent : name == ".." ? parent.Parent ?? parent : parent.Names.GetValueOrDefault(name);
        return found is null ? (Errno.ENOENT, null) : (Errno.Ok, found);
    }

    public Errno GetAttr(ModelNode node) => node.Gone ? Errno.ESTALE : Errno.Ok;

    public Errno Access(ModelNode node, uint mask) => node.Gone ? Errno.ESTALE : May(node, mask) ? Errno.Ok : Errno.EACCES;

    private Errno NewName(ModelNode parent, string name)
    {
        Errno status = Name(name);
        return status != Errno.Ok ? status
            : name is "." or ".." || parent.Names.ContainsKey(name) ? Errno.EEXIST
            : parent.Nlink == 0 ? Errno.ENOENT
            : !May(parent, 3) ? Errno.EACCES
            : Errno.Ok;
    }

    /// <summary>A new file of any type; for Create without O_EXCL an existing one.</summary>
    public (Errno Status, ModelNode? Node, bool Existed) Make(ModelNode parent, string name, uint mode, uint rdev = 0,
        string target = "", bool mayExist = false)
    {
        Errno status = Directory(parent);
        uint type = mode & 0xf000;
        bool device = type is 0x2000 or 0x6000;
        if (status == Errno.Ok && mayExist)
        {
            status = Name(name);
            if (status == Errno.Ok && parent.Names.TryGetValue(name, out ModelNode? existing))
            {
                return (Errno.Ok, existing, true);
            }
        }
        status = status == Errno.Ok && device && Uid != 0 ? Errno.EPERM : status;
        status = status == Errno.Ok ? NewName(parent, name) : status;
        if (status != Errno.Ok)
        {
            return (status, null, false);
        }
        long now = Now();
        var node = new ModelNode
        {
            Mode = mode,
            Uid = Uid,
            Gid = Gid,
            Rdev = device ? rdev : 0,
            Atime = now,
            Mtime = now,
            Ctime = now,
            Btime = now,
            Data = TestVolume.Bytes(target),
        };
        if ((parent.Mode & 0x400) != 0)
        {
            node.Gid = parent.Gid;
            if (node.IsDirectory)
            {
                node.Mode |= 0x400;
            }
            else if ((node.Mode & 8) != 0 && Uid != 0 && !InGroup(parent.Gid))
            {
                node.Mode &= ~0x400u;
            }
        }
        if (node.IsDirectory)
        {
            node.Nlink = 2;
            node.Parent = parent;
            parent.Nlink++;
        }
        parent.Names.Add(name, node);
        parent.Mtime = parent.Ctime = now;
        _all.Add(node);
        return (Errno.Ok, node, false);
    }

    public Errno Link(ModelNode node, ModelNode parent, string name)
    {
        Errno status = First(node.Gone ? Errno.ESTALE : Errno.Ok, Directory(parent));
        status = status == Errno.Ok ? NewName(parent, name) : status;
        status = status == Errno.Ok && node.IsDirectory ? Errno.EPERM : status;
        status = status == Errno.Ok && node.Nlink == 0 ? Errno.ENOENT : status;
        if (status == Errno.Ok)
        {
            parent.Names.Add(name, node);
            node.Nlink++;
            node.Ctime = parent.Mtime = parent.Ctime = Now();
        }
        return status;
    }

    public (Errno Status, bool Orphaned, ModelNode? Lost) Remove(ModelNode parent, string name, bool directory, ModelNode[] held)
    {
        Errno status = First(Directory(parent), Name(name));
        if (status == Errno.Ok && name is "." or "..")
        {
            status = !directory ? Errno.EISDIR : name == "." ? Errno.EINVAL : Errno.ENOTEMPTY;
        }
        ModelNode? victim = null;
        if (status == Errno.Ok && !parent.Names.TryGetValue(name, out victim))
        {
            status = Errno.ENOENT;
        }
        if (status != Errno.Ok)
        {
            return (status, false, null);
        }
        status = !May(parent, 3) ? Errno.EACCES
            : !MayRemove(parent, victim!) ? Errno.EPERM
            : directory && !victim!.IsDirectory ? Errno.ENOTDIR
            : !directory && victim!.IsDirectory ? Errno.EISDIR
            : directory && victim!.Names.Count > 0 ? Errno.ENOTEMPTY
            : Errno.Ok;
        if (status != Errno.Ok)
        {
            return (status, false, null);
        }
        long now = Now();
        parent.Names.Remove(name);
        parent.Mtime = parent.Ctime = now;
        return (Errno.Ok, LoseName(parent, victim!, now, held), victim);
    }

    private bool LoseName(ModelNode parent, ModelNode victim, long now, ModelNode[] held)
    {
        victim.Ctime = now;
        if (victim.IsDirectory)
        {
            parent.Nlink--;
            victim.Nlink = 0;
        }
        else
        {
            victim.Nlink--;
        }
        if (victim.Nlink > 0)
        {
            return false;
        }
        if (held.Contains(victim))
        {
            victim.Orphan = Client;
            return true;
        }
        victim.Gone = true;
        return false;
    }

    public Errno ReleaseOrphan(ModelNode node)
    {
        Errno status = node.Gone ? Errno.ESTALE : node.Orphan != Client ? Errno.EINVAL : Errno.Ok;
        node.Gone |= status == Errno.Ok;
        return status;
    }

    public void ReclaimOrphans()
    {
        foreach (ModelNode node in _all)
        {
            node.Gone |= node.Orphan == Client;
        }
    }

    public (Errno Status, bool Orphaned, ModelNode? Lost) Rename(ModelNode from, string name, ModelNode to, string newName,
        RenameFlags flags, ModelNode[] held)
    {
        Errno status = First(Directory(from), Directory(to), Name(name), Name(newName),
            name is "." or ".." || newName is "." or ".." ? Errno.EBUSY : Errno.Ok);
        if (status != Errno.Ok)
        {
            return (status, false, null);
        }
        ModelNode? source = from.Names.GetValueOrDefault(name);
        ModelNode? target = to.Names.GetValueOrDefault(newName);
        status = CheckRename(from, source, to, target, flags);
        if (status != Errno.Ok || source == target)
        {
            return (status, false, null);
        }
        long now = 0;
        bool orphaned = false;
        if (flags == RenameFlags.Exchange)
        {
            from.Names[name] = target!;
            to.Names[newName] = source!;
            now = Now();
            target!.Ctime = now;
            Reparent(target, to, from);
        }
        else
        {
            from.Names.Remove(name);
            to.Names[newName] = source!;
            now = Now();
        }
        source!.Ctime = from.Mtime = from.Ctime = to.Mtime = to.Ctime = now;
        Reparent(source, from, to);
        if (target is not null && flags != RenameFlags.Exchange)
        {
            orphaned = LoseName(to, target, now, held);
            return (Errno.Ok, orphaned, target);
        }
        return (Errno.Ok, false, null);
    }

    private Errno CheckRename(ModelNode from, ModelNode? source, ModelNode to, ModelNode? target, RenameFlags flags)
    {
        bool exchange = flags == RenameFlags.Exchange;
        if (source is null || (exchange && target is null))
        {
            return Errno.ENOENT;
        }
        if (target is not null && flags == RenameFlags.NoReplace)
        {
            return Errno.EEXIST;
        }
        if (!May(from, 3) || !May(to, 3))
        {
            return Errno.EACCES;
        }
        if (!MayRemove(from, source) || (target is not null && !MayRemove(to, target)))
        {
            return Errno.EPERM;
        }
        if (Inside(to, source) || (exchange && Inside(from, target!)))
        {
            return Errno.EINVAL;
        }
        if (target is not null && !exchange && source != target)
        {
            Errno status = source.IsDirectory && !target.IsDirectory ? Errno.ENOTDIR
                : !source.IsDirectory && target.IsDirectory ? Errno.EISDIR
                : target.IsDirectory && target.Names.Count > 0 ? Errno.ENOTEMPTY
                : Errno.Ok;
            if (status != Errno.Ok)
            {
                return status;
            }
        }
        if (from != to && ((source.IsDirectory && !May(source, 2)) || (exchange && target!.IsDirectory && !May(target, 2))))
        {
            return Errno.EACCES;
        }
        return to.Nlink == 0 ? Errno.ENOENT : Errno.Ok;
    }

    private static bool Inside(ModelNode directory, ModelNode ancestor)
    {
        for (ModelNode? at = directory; at is not null; at = at.Parent)
        {
            if (at == ancestor)
            {
                return true;
            }
        }
        return false;
    }

    private static void Reparent(ModelNode moved, ModelNode from, ModelNode to)
    {
        if (moved.IsDirectory)
        {
            from.Nlink--;
            to.Nlink++;
            moved.Parent = to;
        }
    }

    public (Errno, byte[]) Readlink(ModelNode node) =>
        node.Gone ? (Errno.ESTALE, []) : !node.IsSymlink ? (Errno.EINVAL, []) : (Errno.Ok, node.Data);

    public (Errno, byte[]) Read(ModelNode node, int offset, int count)
    {
        Errno status = node.Gone ? Errno.ESTALE
            : !node.IsRegular ? (node.IsDirectory ? Errno.EISDIR : Errno.EINVAL)
            : !MayUseOpen(node, 4) && !May(node, 1) ? Errno.EACCES
            : Errno.Ok;
        return status != Errno.Ok || offset >= node.Data.Length ? (status, [])
            : (status, node.Data[offset..Math.Min(node.Data.Length, offset + count)]);
    }

    /// <summary>The content: only of a file that is no larger than wanted, and that may be read.</summary>
    public (Errno, byte[]) Open(ModelNode node, int count)
    {
        (Errno mayRead, byte[] data) = Read(node, 0, count);
        return (GetAttr(node), mayRead == Errno.Ok && node.Data.Length <= count ? data : []);
    }

    public Errno Write(ModelNode node, int offset, byte[] data, byte flags)
    {
        Errno status = node.Gone ? Errno.ESTALE
            : !node.IsRegular ? (node.IsDirectory ? Errno.EISDIR : Errno.EINVAL)
            : !MayUseOpen(node, 2) ? Errno.EACCES
            : Errno.Ok;
        if (status != Errno.Ok || data.Length == 0)
        {
            return status;
        }
        offset = (flags & 1) != 0 ? node.Data.Length : offset;
        byte[] grown = new byte[Math.Max(node.Data.Length, offset + data.Length)];
        node.Data.CopyTo(grown, 0);
        data.CopyTo(grown, offset);
        node.Data = grown;
        node.Mtime = node.Ctime = Now();
        if ((flags & 2) == 0)
        {
            DropSetIds(node);
        }
        return Errno.Ok;
    }

    private void DropSetIds(ModelNode node)
    {
        if (Uid != 0)
        {
            node.Mode &= (node.Mode & 8) != 0 ? ~0xc00u : ~0x800u;
        }
    }

    public Errno SetAttr(ModelNode node, SetAttrMask mask, uint mode, uint uid, uint gid, int size, long atime, long mtime)
    {
        bool Has(SetAttrMask bit) => (mask & bit) != 0;
        Errno status = node.Gone ? Errno.ESTALE
            : Has(SetAttrMask.Mode) && !Owns(node) ? Errno.EPERM
            : Has(SetAttrMask.Uid) && Uid != 0 && !(Uid == node.Uid && uid == node.Uid) ? Errno.EPERM
            : Has(SetAttrMask.Gid) && Uid != 0 && !(Uid == node.Uid && (gid == node.Gid || InGroup(gid))) ? Errno.EPERM
            : (Has(SetAttrMask.Atime) || Has(SetAttrMask.Mtime)) && !Owns(node) ? Errno.EPERM
            : (Has(SetAttrMask.AtimeNow) || Has(SetAttrMask.MtimeNow)) && !Owns(node) && !May(node, 2) ? Errno.EACCES
            : !Has(SetAttrMask.Size) ? Errno.Ok
            : node.IsDirectory ? Errno.EISDIR
            : !node.IsRegular ? Errno.EINVAL
            : !MayUseOpen(node, 2) ? Errno.EACCES
            : Errno.Ok;
        if (status != Errno.Ok || mask == SetAttrMask.None)
        {
            return status;
        }
        long now = Now();
        if (Has(SetAttrMask.Size))
        {
            byte[] data = node.Data;
            Array.Resize(ref data, size);
            node.Data = data;
            node.Mtime = now;
            DropSetIds(node);
        }
        node.Uid = Has(SetAttrMask.Uid) ? uid : node.Uid;
        node.Gid = Has(SetAttrMask.Gid) ? gid : node.Gid;
        if ((Has(SetAttrMask.Uid) || Has(SetAttrMask.Gid)) && !node.IsDirectory)
        {
            node.Mode &= (node.Mode & 8) != 0 ? ~0xc00u : ~0x800u;
        }
        if (Has(SetAttrMask.Mode))
        {
            uint bits = mode & 0xfff;
            node.Mode = (node.Mode & 0xf000) | (Uid != 0 && !InGroup(node.Gid) ? bits & ~0x400u : bits);
        }
        node.Atime = Has(SetAttrMask.AtimeNow) ? now : Has(SetAttrMask.Atime) ? atime : node.Atime;
        node.Mtime = Has(SetAttrMask.MtimeNow) ? now : Has(SetAttrMask.Mtime) ? mtime : node.Mtime;
        node.Ctime = now;
        return Errno.Ok;
    }

    public Errno List(ModelNode node) =>
        node.Gone ? Errno.ESTALE : !node.IsDirectory ? Errno.ENOTDIR : !MayUseOpen(node, 4) ? Errno.EACCES : Errno.Ok;
}
