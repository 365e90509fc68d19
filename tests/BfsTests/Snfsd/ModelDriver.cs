using BfsCore.FileProtocol;
using FileAttributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Snfsd;

/// <summary>One random operation; what the numbers mean depends on it.</summary>
public readonly record struct Step(int Op, int A, int B, int C, int D);

/// <summary>
/// Carries out the same operations on snfsd (twice) and on the model, and compares every result. Handles of snfsd stand for
/// nodes of the model from the moment they are made.
/// </summary>
internal sealed class ModelDriver : IDisposable
{
    private static readonly string[] Names = ["a", "b", "c", "dd", "e-with-a-longer-name", ".", "..", new('n', 255), new('o', 256)];
    private static readonly (uint Uid, uint Gid, uint[] Groups)[] Users = [(0, 0, []), (0, 0, []), (1000, 1000, [50]), (1001, 1001, [])];
    private static readonly int[] Offsets = [0, 0, 5, 300, 415, 416, 417, 4_000, 4_095, 4_096, 9_000, 49_151, 49_152, 70_000];
    private static readonly int[] Sizes = [0, 1, 10, 100, 416, 417, 4_096, 5_000, 20_000];

    private readonly TestVolume _volume;
    private readonly TestVolume _twin;
    private readonly ModelFileSystem _model = new();
    private readonly Dictionary<ModelNode, FileHandle> _handles = [];

    public ModelDriver(long sizeBytes = 8 << 20)
    {
        _volume = new TestVolume(sizeBytes);
        _twin = new TestVolume(sizeBytes);
        _handles[_model.Root] = FileHandle.Root;
        FileAttributes root = _volume.GetAttr(FileHandle.Root).Attributes();
        Assert.Equal((_model.Root.Mode, _model.Root.Nlink), (root.Mode, root.Nlink));
    }

    public TestVolume Volume => _volume;

    public void Run(IEnumerable<Step> steps)
    {
        foreach (Step step in steps)
        {
            BecomeSomebody(step);
            Carry(step);
        }
        CompareEverything();
        CompareTwins();
    }

    private void BecomeSomebody(Step step)
    {
        (uint uid, uint gid, uint[] groups) = Users[step.D % Users.Length];
        foreach (TestVolume volume in new[] { _volume, _twin })
        {
            (volume.Uid, volume.Gid, volume.Groups) = (uid, gid, groups);
            volume.Client = step.D / 16 % 2;
        }
        (_model.Uid, _model.Gid, _model.Groups) = (uid, gid, groups);
        _model.Client = step.D / 16 % 2;
        _model.AgreedTime = _volume.NextTime;
    }

    private ModelNode Node(int number) => _model.All[number % _model.All.Count];

    /// <summary>Mostly a directory, so that most operations get somewhere.</summary>
    private ModelNode Directory(int number)
    {
        List<ModelNode> directories = [.. _model.All.Where(n => n.IsDirectory)];
        return number % 13 == 12 ? Node(number) : directories[number % directories.Count];
    }

    private FileHandle H(ModelNode node) => _handles[node];

    private Reply Both(Func<TestVolume, Reply> call)
    {
        Reply reply = call(_volume);
        Reply twin = call(_twin);
        Assert.Equal(reply.Status, twin.Status);
        Assert.Equal(reply.Body, twin.Body);
        return reply;
    }

    private void Carry(Step s)
    {
        string name = Names[s.B % Names.Length];
        switch (s.Op % 20)
        {
            case 0 or 1:
                Create(Directory(s.A), name, (uint)s.C % 0x1000, exclusive: s.D % 3 == 0);
                break;
            case 2 or 3:
                Make(Directory(s.A), name, 0x4000 | ((uint)s.C % 0x1000), (v, h, m) => v.Mkdir(h, name, m & 0xfff));
                break;
            case 4:
                uint type = new uint[] { 0x1000, 0x2000, 0x6000, 0xc000, 0x8000 }[s.C % 5];
                Make(Directory(s.A), name, type | ((uint)s.C % 0x1000), (v, h, m) => v.Mknod(h, name, m, 77), rdev: 77);
                break;
            case 5:
                string target = new('t', 1 + (s.C % 3000));
                Make(Directory(s.A), name, 0xa1ff, (v, h, _) => v.Symlink(h, name, target), target: target);
                break;
            case 6:
                Link(Node(s.C), Directory(s.A), name);
                break;
            case 7 or 8:
                Remove(Directory(s.A), name, directory: s.Op % 20 == 8, s.C);
                break;
            case 9 or 10:
                Rename(Directory(s.A), name, Directory(s.C), Names[s.D % Names.Length], s.C);
                break;
            case 11 or 12:
                Write(Node(s.A), Offsets[s.B % Offsets.Length], Sizes[s.C % Sizes.Length], (byte)(s.D % 4), s.C);
                break;
            case 13:
                WriteParts(Node(s.A), [.. Enumerable.Range(0, 1 + (s.D % 4)).Select(i => Offsets[(s.B + (i * s.D)) % Offsets.Length])],
                    [.. Enumerable.Range(0, 1 + (s.D % 4)).Select(i => Sizes[(s.C + i) % (Sizes.Length - 1)])], (byte)(s.B % 4), s.C);
                break;
            case 14:
                Read(Node(s.A), Offsets[s.B % Offsets.Length], Sizes[s.C % Sizes.Length]);
                Open(Node(s.A), Sizes[s.C % Sizes.Length] + (s.D % 2));
                break;
            case 15 or 16:
                SetAttr(Node(s.A), (SetAttrMask)(s.B % 256), (uint)s.C, Offsets[s.D % Offsets.Length]);
                break;
            case 17:
                Look(Directory(s.A), name, Node(s.C), (uint)s.B % 8);
                break;
            case 18:
                List(Directory(s.A));
                break;
            default:
                Orphans(Node(s.A), s.B);
                break;
        }
    }

    private void Compare(ModelNode node, in FileAttributes actual, string what)
    {
        Assert.Equal((what, H(node)), (what, actual.Handle));
        Assert.Equal((what, node.Mode, node.Nlink, node.Uid, node.Gid, node.Rdev),
            (what, actual.Mode, actual.Nlink, actual.Uid, actual.Gid, actual.Rdev));
        Assert.Equal((what, node.Atime, node.Mtime, node.Ctime, node.Btime),
            (what, actual.AtimeNanos, actual.MtimeNanos, actual.CtimeNanos, actual.BtimeNanos));
        if (!node.IsDirectory)
        {
            Assert.Equal((what, (ulong)node.Data.Length), (what, actual.SizeBytes));
        }
    }

    private void Create(ModelNode parent, string name, uint mode, bool exclusive)
    {
        (Errno status, ModelNode? node, bool existed) = _model.Make(parent, name, 0x8000 | mode, mayExist: !exclusive);
        Reply reply = Both(v => v.Create(H(parent), name, mode, exclusive));
        Assert.Equal(("create", status), ("create", reply.Status));
        if (status == Errno.Ok)
        {
            Assert.Equal(existed ? 1 : 0, reply.Body[0]);
            _handles.TryAdd(node!, reply.Attributes(1).Handle);
            Compare(node!, reply.Attributes(1), "create");
            CompareParents("create", reply, 1 + FileAttributes.WireBytes, parent);
        }
    }

    private void Make(ModelNode parent, string name, uint mode, Func<TestVolume, FileHandle, uint, Reply> call, uint rdev = 0,
        string target = "")
    {
        (Errno status, ModelNode? node, _) = _model.Make(parent, name, mode, rdev, target);
        Reply reply = Both(v => call(v, H(parent), mode));
        Assert.Equal(("make", status), ("make", reply.Status));
        if (status == Errno.Ok)
        {
            Assert.True(_handles.TryAdd(node!, reply.Handle));
            Compare(node!, reply.Attributes(), "make");
            CompareParents("make", reply, FileAttributes.WireBytes, parent);
        }
    }

    private void Link(ModelNode node, ModelNode parent, string name)
    {
        Errno status = _model.Link(node, parent, name);
        Reply reply = Both(v => v.Link(H(node), H(parent), name));
        Assert.Equal(("link", status), ("link", reply.Status));
        if (status == Errno.Ok)
        {
            Compare(node, reply.Attributes(), "link");
            CompareParents("link", reply, FileAttributes.WireBytes, parent);
        }
    }

    private ModelNode[] Held(int number) => number % 3 == 0 ? [] : [.. _model.All.Where((_, i) => (i + number) % 2 == 0).Take(64)];

    private void Remove(ModelNode parent, string name, bool directory, int number)
    {
        ModelNode[] held = Held(number);
        (Errno status, bool orphaned, ModelNode? lost) = _model.Remove(parent, name, directory, held);
        Reply reply = Both(v => v.Remove(directory ? FileOp.Rmdir : FileOp.Unlink, H(parent), name, [.. held.Select(H)]));
        CompareLoss("remove", status, orphaned, lost, reply, parent);
    }

    private void Rename(ModelNode from, string name, ModelNode to, string newName, int number)
    {
        RenameFlags flags = (RenameFlags)(number % 5 % 3);
        ModelNode[] held = Held(number);
        (Errno status, bool orphaned, ModelNode? lost) = _model.Rename(from, name, to, newName, flags, held);
        Reply reply = Both(v => v.Rename(H(from), name, H(to), newName, flags, [.. held.Select(H)]));
        CompareLoss("rename", status, orphaned, lost, reply, from, to);
    }

    private void CompareLoss(string what, Errno status, bool orphaned, ModelNode? lost, Reply reply, params ModelNode[] parents)
    {
        Assert.Equal((what, status), (what, reply.Status));
        if (status == Errno.Ok)
        {
            Assert.Equal(orphaned, reply.Body[0] == 1);
            Assert.Equal(lost is null ? default : H(lost), new WireReader(reply.Body.AsSpan(1)).Handle());
            CompareParents(what, reply, 1 + FileHandle.SizeBytes, parents);
        }
    }

    /// <summary>The attributes of the directories in which names changed end the result.</summary>
    private void CompareParents(string what, Reply reply, int at, params ModelNode[] parents)
    {
        foreach (ModelNode parent in parents)
        {
            Compare(parent, reply.Attributes(at), what);
            at += FileAttributes.WireBytes;
        }
        Assert.Equal((what, at), (what, reply.Body.Length));
    }

    private void Write(ModelNode node, int offset, int size, byte flags, int seed)
    {
        byte[] data = [.. Enumerable.Range(0, size).Select(i => (byte)((i * 7) + seed + 1))];
        Errno status = _model.Write(node, offset, data, flags);
        Reply reply = Both(v => v.Write(H(node), (ulong)offset, data, flags));
        Assert.Equal(("write", status), ("write", reply.Status));
        if (status == Errno.Ok)
        {
            Compare(node, reply.Attributes(), "write");
        }
    }

    /// <summary>As so many writes, and not at all with a flag that only a write has.</summary>
    private void WriteParts(ModelNode node, int[] offsets, int[] sizes, byte flags, int seed)
    {
        (ulong Offset, byte[] Data)[] parts = [.. offsets.Zip(sizes, (offset, size) =>
            ((ulong)offset, (byte[])[.. Enumerable.Range(0, size).Select(i => (byte)((i * 5) + offset + seed + 1))]))];
        Errno status = (flags & 1) != 0 ? Errno.EINVAL : Errno.Ok;
        foreach ((ulong offset, byte[] data) in parts)
        {
            status = status != Errno.Ok ? status : _model.Write(node, (int)offset, data, flags);
        }
        Reply reply = Both(v => v.WriteParts(H(node), flags, parts));
        Assert.Equal(("write parts", status), ("write parts", reply.Status));
        if (status == Errno.Ok)
        {
            Compare(node, reply.Attributes(), "write parts");
        }
    }

    private void Read(ModelNode node, int offset, int size)
    {
        (Errno status, byte[] data) = _model.Read(node, offset, size);
        Reply reply = Both(v => v.Read(H(node), (ulong)offset, (uint)size));
        Assert.Equal(("read", status), ("read", reply.Status));
        Assert.Equal(data, reply.Body);
    }

    private void Open(ModelNode node, int count)
    {
        (Errno status, byte[] data) = _model.Open(node, count);
        Reply reply = Both(v => v.Open(H(node), (uint)count));
        Assert.Equal(("open", status), ("open", reply.Status));
        if (status == Errno.Ok)
        {
            Compare(node, reply.Attributes(), "open");
            Assert.Equal(data, reply.Content);
        }
    }

    private void SetAttr(ModelNode node, SetAttrMask mask, uint mode, int size)
    {
        uint uid = 1000 + (mode % 2), gid = new uint[] { 50, 1000, 1001 }[mode % 3];
        Errno status = _model.SetAttr(node, mask, mode, uid, gid, size, 12_345, 67_890);
        Reply reply = Both(v => v.SetAttr(H(node), mask, mode, uid, gid, (ulong)size, 12_345, 67_890));
        Assert.Equal(("setattr", status), ("setattr", reply.Status));
        if (status == Errno.Ok)
        {
            Compare(node, reply.Attributes(), "setattr");
        }
    }

    private void Look(ModelNode parent, string name, ModelNode node, uint mask)
    {
        (Errno status, ModelNode? found) = _model.Lookup(parent, name);
        Reply reply = Both(v => v.Lookup(H(parent), name));
        Assert.Equal(("lookup", status), ("lookup", reply.Status));
        if (status == Errno.Ok)
        {
            Compare(found!, reply.Attributes(), "lookup");
        }
        Assert.Equal(_model.Access(node, mask), Both(v => v.Access(H(node), mask)).Status);
        (Errno linkStatus, byte[] target) = _model.Readlink(node);
        Reply link = Both(v => v.Readlink(H(node)));
        Assert.Equal(("readlink", linkStatus), ("readlink", link.Status));
        Assert.Equal(target, link.Body);
    }

    private void List(ModelNode directory)
    {
        if (_model.List(directory) != Errno.Ok)
        {
            return;
        }
        List<Entry> entries = _volume.ListAll(H(directory), 2_000);
        Assert.Equal(directory.Names.Keys.Concat([".", ".."]).Order(StringComparer.Ordinal),
            entries.Select(e => e.Name).Order(StringComparer.Ordinal));
        foreach (Entry entry in entries)
        {
            ModelNode node = entry.Name == "." ? directory : entry.Name == ".." ? directory.Parent ?? directory : directory.Names[entry.Name];
            Compare(node, entry.Attributes, "list");
        }
    }

    private void Orphans(ModelNode node, int number)
    {
        if (number % 4 == 0)
        {
            _model.ReclaimOrphans();
            Assert.Equal(Errno.Ok, Both(v => v.ReclaimOrphans()).Status);
            return;
        }
        Assert.Equal(_model.ReleaseOrphan(node), Both(v => v.ReleaseOrphan(H(node))).Status);
    }

    private void CompareEverything()
    {
        BecomeSomebody(default);
        foreach (ModelNode node in _model.All)
        {
            Reply reply = _volume.GetAttr(H(node));
            Assert.Equal(("at the end", _model.GetAttr(node)), ("at the end", reply.Status));
            if (reply.Status != Errno.Ok)
            {
                continue;
            }
            Compare(node, reply.Attributes(), "at the end");
            if (node.IsDirectory)
            {
                List(node);
            }
            if (node.IsRegular)
            {
                Read(node, 0, 61_440);
                Open(node, 61_440);
            }
        }
    }

    private void CompareTwins()
    {
        foreach (TestVolume volume in new[] { _volume, _twin })
        {
            volume.Pages.TakeCheckpoint(volume.Pages.LastCheckpoint.Next);
        }
        Assert.Equal(_volume.Pages.CheckpointDigest(_volume.Pages.LastCheckpoint), _twin.Pages.CheckpointDigest(_twin.Pages.LastCheckpoint));
    }

    public void Dispose()
    {
        _volume.Dispose();
        _twin.Dispose();
    }
}
