using System.Text;
using BfsCore.FileProtocol;
using Attributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Fuse;

/// <summary>
/// The file protocol over plain dictionaries: enough of it to test the relay with, without permissions. It can be told to
/// fail writes.
/// </summary>
internal sealed class MemoryDrive
{
    private const int MaxFileBytes = 64 << 20;

    private readonly Dictionary<uint, Inode> _inodes = [];
    private uint _nextInode = 2;
    private long _now = 1_700_000_000_000_000_000;

    public MemoryDrive() => _inodes[1] = new Inode(FileHandle.Root, 0x41FF) { Parent = 1, Names = 2 };

    /// <summary>What the next writes answer, before they succeed again.</summary>
    public Queue<Errno> WriteErrors { get; } = new();

    /// <summary>Operations executed, in order.</summary>
    public List<FileOp> Log { get; } = [];

    /// <summary>Offsets and lengths of the writes executed.</summary>
    public List<(ulong Offset, int Length, byte Flags)> Writes { get; } = [];

    public List<FileHandle> Released { get; } = [];

    public Inode this[FileHandle handle] => _inodes[handle.Inode];

    /// <summary>Somebody else changes a file.</summary>
    public void ChangeElsewhere(FileHandle handle, byte[] data)
    {
        Inode inode = _inodes[handle.Inode];
        inode.Data = data;
        inode.Touch(_now += 1000);
    }

    public int Execute(ReadOnlySpan<byte> operation, Span<byte> result)
    {
        WireReader reader = new(operation);
        var op = (FileOp)reader.U16();
        int groups = reader.U16();
        reader.Bytes(8 + (4 * groups));
        Log.Add(op);
        WireWriter body = new(result[4..]);
        Errno status = Run(op, ref reader, ref body);
        status = reader.Ok ? status : Errno.EINVAL;
        WireWriter head = new(result);
        head.I32((int)status);
        return status == Errno.Ok ? 4 + body.Length : 4;
    }

    private Errno Run(FileOp op, ref WireReader reader, ref WireWriter body)
    {
        _now += 1000;
        switch (op)
        {
            case FileOp.ReclaimOrphans:
                return Errno.Ok;
            case FileOp.Statfs:
                WriteStatistics(ref body);
                return Errno.Ok;
            case FileOp.ReleaseOrphan:
                FileHandle released = reader.Handle();
                Released.Add(released);
                _inodes.Remove(released.Inode);
                return Errno.Ok;
        }
        if (!_inodes.TryGetValue(reader.Handle().Inode, out Inode? inode))
        {
            return Errno.ESTALE;
        }
        return op switch
        {
            FileOp.Lookup => Lookup(inode, Text(reader.Name()), ref body),
            FileOp.GetAttr => Put(inode, ref body),
            FileOp.SetAttr => SetAttr(inode, ref reader, ref body),
            FileOp.Create or FileOp.Mknod or FileOp.Mkdir or FileOp.Symlink => Make(op, inode, ref reader, ref body),
            FileOp.Unlink or FileOp.Rmdir => Remove(inode, Text(reader.Name()), ref reader, ref body),
            FileOp.Rename => Rename(inode, ref reader, ref body),
            FileOp.Readlink => ReadData(inode, 0, 4096, ref body),
            FileOp.Read => ReadData(inode, reader.U64(), reader.U32(), ref body),
            FileOp.Open => Open(inode, reader.U32(), ref body),
            FileOp.Write => WriteData(inode, ref reader, ref body),
            FileOp.WriteParts => WriteParts(inode, ref reader, ref body),
            FileOp.Readdir => List(inode, reader.U64(), reader.U32(), ref body),
            FileOp.Fsync or FileOp.Access => Errno.Ok,
            _ => Errno.ENOSYS,
        };
    }

    private Errno Lookup(Inode directory, string name, ref WireWriter body) =>
        directory.Entries.TryGetValue(name, out uint inode) ? Put(_inodes[inode], ref body) : Errno.ENOENT;

    private static Errno Put(Inode inode, ref WireWriter body)
    {
        body.Attributes(inode.Attributes);
        return Errno.Ok;
    }

    private static Errno Open(Inode inode, uint count, ref WireWriter body)
    {
        Put(inode, ref body);
        return (inode.Mode & 0xF000) == 0x8000 && inode.Data.Length <= count ? ReadData(inode, 0, count, ref body) : Errno.Ok;
    }

    private Errno SetAttr(Inode inode, ref WireReader reader, ref WireWriter body)
    {
        var mask = (SetAttrMask)reader.U32();
        uint mode = reader.U32();
        reader.U64();
        ulong size = reader.U64();
        if ((mask & SetAttrMask.Size) != 0)
        {
            if (size > MaxFileBytes)
            {
                return Errno.EFBIG;
            }
            Array.Resize(ref inode.Data, (int)size);
        }
        if ((mask & SetAttrMask.Mode) != 0)
        {
            inode.Mode = (inode.Mode & 0xF000) | mode;
        }
        inode.Touch(_now);
        return Put(inode, ref body);
    }

    private Errno Make(FileOp op, Inode parent, ref WireReader reader, ref WireWriter body)
    {
        string name = Text(reader.Name());
        byte[] target = op == FileOp.Symlink ? reader.Name().ToArray() : [];
        uint mode = op == FileOp.Symlink ? 0xA1FF : reader.U32() | (op == FileOp.Create ? 0x8000u : op == FileOp.Mkdir ? 0x4000u : 0);
        bool exclusive = op != FileOp.Create || reader.U8() != 0;
        bool exists = parent.Entries.TryGetValue(name, out uint old);
        if (exists && exclusive)
        {
            return Errno.EEXIST;
        }
        if (op == FileOp.Create)
        {
            body.U8((byte)(exists ? 1 : 0));
        }
        if (exists)
        {
            Put(_inodes[old], ref body);
            return Put(parent, ref body);
        }
        Inode made = new(new FileHandle(_nextInode++, 7), mode) { Data = target, Parent = parent.Handle.Inode, Names = 1 };
        made.Touch(_now);
        parent.Entries.Add(name, made.Handle.Inode);
        parent.Touch(_now);
        _inodes.Add(made.Handle.Inode, made);
        Put(made, ref body);
        return Put(parent, ref body);
    }

    private Errno Remove(Inode directory, string name, ref WireReader reader, ref WireWriter body)
    {
        if (!directory.Entries.TryGetValue(name, out uint inode))
        {
            return Errno.ENOENT;
        }
        directory.Entries.Remove(name);
        directory.Touch(_now);
        LoseName(_inodes[inode], ref reader, ref body);
        return Put(directory, ref body);
    }

    private void LoseName(Inode inode, ref WireReader reader, ref WireWriter body)
    {
        int count = reader.U16();
        bool held = count == 0xFFFF;
        for (int i = 0; i < count && count != 0xFFFF; i++)
        {
            held |= reader.Handle() == inode.Handle;
        }
        inode.Names--;
        inode.Touch(_now);
        bool orphaned = inode.Names == 0 && held;
        if (inode.Names == 0 && !held)
        {
            _inodes.Remove(inode.Handle.Inode);
        }
        body.U8((byte)(orphaned ? 1 : 0));
        body.Handle(inode.Handle);
    }

    private Errno Rename(Inode from, ref WireReader reader, ref WireWriter body)
    {
        string name = Text(reader.Name());
        bool known = _inodes.TryGetValue(reader.Handle().Inode, out Inode? to);
        string newName = Text(reader.Name());
        reader.U32();
        if (!known || to is null)
        {
            return Errno.ESTALE;
        }
        if (!from.Entries.Remove(name, out uint moved))
        {
            return Errno.ENOENT;
        }
        if (to.Entries.Remove(newName, out uint replaced))
        {
            LoseName(_inodes[replaced], ref reader, ref body);
        }
        else
        {
            body.U8(0);
            body.Handle(default);
        }
        to.Entries.Add(newName, moved);
        _inodes[moved].Touch(_now);
        from.Touch(_now);
        to.Touch(_now);
        Put(from, ref body);
        return Put(to, ref body);
    }

    private static Errno ReadData(Inode inode, ulong offset, uint count, ref WireWriter body)
    {
        int start = (int)Math.Min(offset, (ulong)inode.Data.Length);
        body.Bytes(inode.Data.AsSpan(start, Math.Min((int)count, inode.Data.Length - start)));
        return Errno.Ok;
    }

    private Errno WriteData(Inode inode, ref WireReader reader, ref WireWriter body)
    {
        ulong offset = reader.U64();
        byte flags = reader.U8();
        offset = (flags & 1) != 0 ? (ulong)inode.Data.Length : offset;
        Errno error = WriteAt(inode, offset, reader.ToEnd(), flags);
        return error != Errno.Ok ? error : Put(inode, ref body);
    }

    private Errno WriteParts(Inode inode, ref WireReader reader, ref WireWriter body)
    {
        byte flags = reader.U8();
        var parts = new (ulong Offset, int Bytes)[reader.U8()];
        for (int i = 0; i < parts.Length; i++)
        {
            parts[i] = (reader.U64(), reader.U16());
        }
        ReadOnlySpan<byte> data = reader.ToEnd();
        foreach ((ulong offset, int bytes) in parts)
        {
            Errno error = WriteAt(inode, offset, data[..bytes], flags);
            if (error != Errno.Ok)
            {
                return error;
            }
            data = data[bytes..];
        }
        return Put(inode, ref body);
    }

    private Errno WriteAt(Inode inode, ulong offset, ReadOnlySpan<byte> data, byte flags)
    {
        if (WriteErrors.TryDequeue(out Errno error) && error != Errno.Ok)
        {
            return error;
        }
        if (offset > MaxFileBytes)
        {
            return Errno.EFBIG;
        }
        Writes.Add((offset, data.Length, flags));
        int end = (int)offset + data.Length;
        if (end > inode.Data.Length)
        {
            Array.Resize(ref inode.Data, end);
        }
        data.CopyTo(inode.Data.AsSpan((int)offset));
        inode.Touch(_now);
        return Errno.Ok;
    }

    private Errno List(Inode directory, ulong cookie, uint maxBytes, ref WireWriter body)
    {
        List<(string Name, uint Inode)> entries =
            [(".", directory.Handle.Inode), ("..", directory.Parent), .. directory.Entries.Select(e => (e.Key, e.Value))];
        for (int i = (int)Math.Min(cookie, int.MaxValue); i < entries.Count; i++)
        {
            byte[] name = Encoding.UTF8.GetBytes(entries[i].Name);
            if (body.Length + 8 + Attributes.WireBytes + 2 + name.Length > maxBytes)
            {
                break;
            }
            body.U64(i + 1 == entries.Count ? FileLimits.EndCookie : (ulong)i + 1);
            body.Attributes(_inodes[entries[i].Inode].Attributes);
            body.Name(name);
        }
        return Errno.Ok;
    }

    private static void WriteStatistics(ref WireWriter body)
    {
        body.U32(4096);
        body.U32(255);
        for (ulong i = 1; i <= 5; i++)
        {
            body.U64(i * 1000);
        }
    }

    private static string Text(ReadOnlySpan<byte> name) => Encoding.UTF8.GetString(name);

    internal sealed class Inode(FileHandle handle, uint mode)
    {
        public byte[] Data = [];
        private long _ctime = 1;

        public FileHandle Handle { get; } = handle;
        public uint Mode { get; set; } = mode;
        public uint Parent { get; init; }
        public uint Names { get; set; }
        public SortedDictionary<string, uint> Entries { get; } = new(StringComparer.Ordinal);

        public Attributes Attributes => new()
        {
            Handle = Handle,
            Mode = Mode,
            Nlink = Names,
            SizeBytes = (ulong)Data.Length,
            CtimeNanos = _ctime,
            MtimeNanos = _ctime,
        };

        public void Touch(long now) => _ctime = now;
    }
}
