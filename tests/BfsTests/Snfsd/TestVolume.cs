using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.State;
using BfsReplica.Snfsd;
using ExecutionContext = BfsCore.ExecutionContext;
using FileAttributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Snfsd;

internal readonly record struct Reply(Errno Status, byte[] Body)
{
    public FileAttributes Attributes(int at = 0) => new WireReader(Body.AsSpan(at)).Attributes();

    public FileHandle Handle => Attributes().Handle;

    /// <summary>What follows the attributes at the start.</summary>
    public byte[] Content => Body[FileAttributes.WireBytes..];
}

internal sealed record Entry(string Name, ulong NextCookie, FileAttributes Attributes);

/// <summary>A file service on memory, called as the relay calls it.</summary>
internal sealed class TestVolume : IDisposable
{
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];
    private long _time = 1_700_000_000_000_000_000;

    public TestVolume(long sizeBytes = 16 << 20, bool rootSquash = false, uint ownerUid = 0, uint ownerGid = 0)
    {
        Pages = new PagedState(sizeBytes);
        var clients = Enumerable.Range(0, 2).Select(i => new ClientInfo(new ClientId(Limits.FirstClientId + i), $"c{i}",
            new byte[65], rootSquash, []));
        Service = new FileService(new ClusterConfig
        {
            Replicas = [],
            Clients = [.. clients],
            OwnerUid = ownerUid,
            OwnerGid = ownerGid,
        });
        Service.Open(Pages.Window(0, sizeBytes));
        ResultPages = new ResultPages(Pages, 0);
    }

    public PagedState Pages { get; }
    public FileService Service { get; }
    public ResultPages ResultPages { get; }

    /// <summary>Who the next operations come from.</summary>
    public uint Uid { get; set; }
    public uint Gid { get; set; }
    public uint[] Groups { get; set; } = [];
    public int Client { get; set; }

    /// <summary>The agreed time that the next ordered operation gets.</summary>
    public long NextTime => _time + 1;

    public Reply Call(FileOp op, WriteArguments write) => Execute(Operation(op, write, Uid, Gid, Groups));

    /// <summary>The bytes of an operation.</summary>
    public static byte[] Operation(FileOp op, WriteArguments write, uint uid = 0, uint gid = 0, params uint[] groups)
    {
        byte[] buffer = new byte[Limits.MaxOperationBytes];
        var writer = new WireWriter(buffer);
        writer.U16((ushort)op);
        writer.U16((ushort)groups.Length);
        writer.U32(uid);
        writer.U32(gid);
        foreach (uint group in groups)
        {
            writer.U32(group);
        }
        write(ref writer);
        return buffer[..writer.Length];
    }

    public Reply Execute(ReadOnlySpan<byte> operation)
    {
        bool readOnly = Service.IsReadOnly(operation);
        var context = new ExecutionContext(new ClientId(Limits.FirstClientId + Client), readOnly ? _time : ++_time, readOnly, readOnly ? ResultPages : null);
        Pages.ReadOnlyGuard = readOnly;
        ResultPages.Clear();
        int length = Service.Execute(context, operation, _result);
        Pages.ReadOnlyGuard = false;
        // Whatever the service says of pages in the result, a replica that does not send it has its digest.
        Digest digest = ResultPages.Complete(_result.AsSpan(0, length), whole: false);
        ResultPages.Complete(_result.AsSpan(0, length), whole: true);
        Assert.Equal(ContentDigest.Of(_result.AsSpan(0, length)), digest);
        var reader = new WireReader(_result.AsSpan(0, length));
        return new Reply((Errno)reader.I32(), reader.ToEnd().ToArray());
    }

    public delegate void WriteArguments(ref WireWriter writer);

    public static byte[] Bytes(string text) => System.Text.Encoding.UTF8.GetBytes(text);

    public Reply Lookup(FileHandle parent, string name) => Call(FileOp.Lookup, (ref WireWriter w) =>
    {
        w.Handle(parent);
        w.Name(Bytes(name));
    });

    public Reply GetAttr(FileHandle handle) => Call(FileOp.GetAttr, (ref WireWriter w) => w.Handle(handle));

    public Reply SetAttr(FileHandle handle, SetAttrMask mask, uint mode = 0, uint uid = 0, uint gid = 0, ulong size = 0,
        long atime = 0, long mtime = 0) => Call(FileOp.SetAttr, (ref WireWriter w) =>
    {
        w.Handle(handle);
        w.U32((uint)mask);
        w.U32(mode);
        w.U32(uid);
        w.U32(gid);
        w.U64(size);
        w.I64(atime);
        w.I64(mtime);
    });

    /// <summary>The reply's attributes follow one byte.</summary>
    public Reply Create(FileHandle parent, string name, uint mode = 0x1a4, bool exclusive = false) =>
        Call(FileOp.Create, (ref WireWriter w) =>
        {
            w.Handle(parent);
            w.Name(Bytes(name));
            w.U32(mode);
            w.U8(exclusive ? (byte)1 : (byte)0);
        });

    public FileHandle NewFile(FileHandle parent, string name, uint mode = 0x1a4)
    {
        Reply reply = Create(parent, name, mode, exclusive: true);
        Assert.Equal(Errno.Ok, reply.Status);
        return reply.Attributes(1).Handle;
    }

    public FileHandle NewDirectory(FileHandle parent, string name, uint mode = 0x1ed)
    {
        Reply reply = Mkdir(parent, name, mode);
        Assert.Equal(Errno.Ok, reply.Status);
        return reply.Handle;
    }

    public Reply Mkdir(FileHandle parent, string name, uint mode = 0x1ed) => Call(FileOp.Mkdir, (ref WireWriter w) =>
    {
        w.Handle(parent);
        w.Name(Bytes(name));
        w.U32(mode);
    });

    public Reply Mknod(FileHandle parent, string name, uint mode, uint rdev = 0) => Call(FileOp.Mknod, (ref WireWriter w) =>
    {
        w.Handle(parent);
        w.Name(Bytes(name));
        w.U32(mode);
        w.U32(rdev);
    });

    public Reply Symlink(FileHandle parent, string name, string target) => Call(FileOp.Symlink, (ref WireWriter w) =>
    {
        w.Handle(parent);
        w.Name(Bytes(name));
        w.Name(Bytes(target));
    });

    public Reply Readlink(FileHandle handle) => Call(FileOp.Readlink, (ref WireWriter w) => w.Handle(handle));

    public Reply Remove(FileOp op, FileHandle parent, string name, params FileHandle[] held) => Call(op, (ref WireWriter w) =>
    {
        w.Handle(parent);
        w.Name(Bytes(name));
        WriteHeld(ref w, held);
    });

    public Reply Unlink(FileHandle parent, string name, params FileHandle[] held) => Remove(FileOp.Unlink, parent, name, held);

    public Reply Rmdir(FileHandle parent, string name) => Remove(FileOp.Rmdir, parent, name);

    public Reply Rename(FileHandle from, string name, FileHandle to, string newName, RenameFlags flags = RenameFlags.None,
        params FileHandle[] held) => Call(FileOp.Rename, (ref WireWriter w) =>
    {
        w.Handle(from);
        w.Name(Bytes(name));
        w.Handle(to);
        w.Name(Bytes(newName));
        w.U32((uint)flags);
        WriteHeld(ref w, held);
    });

    private static void WriteHeld(ref WireWriter w, FileHandle[] held)
    {
        w.U16((ushort)held.Length);
        foreach (FileHandle handle in held)
        {
            w.Handle(handle);
        }
    }

    public Reply Link(FileHandle handle, FileHandle parent, string name) => Call(FileOp.Link, (ref WireWriter w) =>
    {
        w.Handle(handle);
        w.Handle(parent);
        w.Name(Bytes(name));
    });

    public Reply Read(FileHandle handle, ulong offset, uint count) => Call(FileOp.Read, (ref WireWriter w) =>
    {
        w.Handle(handle);
        w.U64(offset);
        w.U32(count);
    });

    /// <summary>The content follows the reply's attributes.</summary>
    public Reply Open(FileHandle handle, uint count) => Call(FileOp.Open, (ref WireWriter w) =>
    {
        w.Handle(handle);
        w.U32(count);
    });

    public Reply Write(FileHandle handle, ulong offset, byte[] data, byte flags = 0) => Call(FileOp.Write, (ref WireWriter w) =>
    {
        w.Handle(handle);
        w.U64(offset);
        w.U8(flags);
        w.Bytes(data);
    });

    public Reply WriteParts(FileHandle handle, byte flags, params (ulong Offset, byte[] Data)[] parts) => Call(FileOp.WriteParts, (ref WireWriter w) =>
    {
        w.Handle(handle);
        w.U8(flags);
        w.U8((byte)parts.Length);
        foreach ((ulong offset, byte[] data) in parts)
        {
            w.U64(offset);
            w.U16((ushort)data.Length);
        }
        foreach ((_, byte[] data) in parts)
        {
            w.Bytes(data);
        }
    });

    public Reply Access(FileHandle handle, uint mask) => Call(FileOp.Access, (ref WireWriter w) =>
    {
        w.Handle(handle);
        w.U32(mask);
    });

    public Reply ReleaseOrphan(FileHandle handle) => Call(FileOp.ReleaseOrphan, (ref WireWriter w) => w.Handle(handle));

    public Reply ReclaimOrphans() => Call(FileOp.ReclaimOrphans, (ref WireWriter _) => { });

    public List<Entry> List(FileHandle directory, ulong cookie, uint maxBytes = 4096)
    {
        Reply reply = Call(FileOp.Readdir, (ref WireWriter w) =>
        {
            w.Handle(directory);
            w.U64(cookie);
            w.U32(maxBytes);
        });
        Assert.Equal(Errno.Ok, reply.Status);
        var reader = new WireReader(reply.Body);
        var entries = new List<Entry>();
        while (reader.Remaining > 0)
        {
            ulong next = reader.U64();
            FileAttributes attributes = reader.Attributes();
            entries.Add(new Entry(System.Text.Encoding.UTF8.GetString(reader.Name()), next, attributes));
            Assert.True(reader.Ok);
        }
        return entries;
    }

    public List<Entry> ListAll(FileHandle directory, uint maxBytes = 4096)
    {
        var all = new List<Entry>();
        for (List<Entry> some = List(directory, 0, maxBytes); some.Count > 0; some = List(directory, all[^1].NextCookie, maxBytes))
        {
            all.AddRange(some);
        }
        return all;
    }

    public (ulong BlocksFree, ulong InodesFree) Free()
    {
        Reply reply = Call(FileOp.Statfs, (ref WireWriter w) => w.Handle(FileHandle.Root));
        var reader = new WireReader(reply.Body);
        reader.Bytes(16);
        ulong blocks = reader.U64();
        reader.Bytes(16);
        return (blocks, reader.U64());
    }

    public void Dispose() => Pages.Dispose();
}
