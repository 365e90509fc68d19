using System.Runtime.InteropServices;
using System.Text;
using BfsCore.FileProtocol;
using BfsReplica.Snfsd;

namespace BfsTests.Snfsd;

/// <summary>
/// A drive on which content tells whose it is: every block of a file starts with a mark of file and index, every name and
/// every long symbolic link contains a mark of its directory or itself. So owners of pages can be found without any map:
/// content by its mark, then what points to it.
/// </summary>
internal sealed class MarkedDrive : IDisposable
{
    private const int BlockBytes = 4096;
    private const ulong Magic = 0x6b72_616d_2d73_6662;
    private const string LinkMark = "link-of-inode-";
    private const string NameMark = "name-in-inode-";

    private readonly SortedDictionary<uint, string?> _paths = new() { [1] = "/" };

    public TestVolume Volume { get; } = new();

    public void Dispose() => Volume.Dispose();

    /// <summary>Some of everything; the directories have names enough for inline, one leaf, an index.</summary>
    public void Fill()
    {
        FileHandle large = NewDirectory(FileHandle.Root, "large");
        FileHandle medium = NewDirectory(large, "medium");
        FileHandle small = NewDirectory(medium, "small");
        FileHandle deleted = NewFile(medium, "deleted", Enumerable.Range(0, 40).Select(i => (long)i));
        for (int i = 0; i < 500; i++)
        {
            NewFile(large, $"l{i}", i % 50 == 0 ? [0, i] : []);
        }
        for (int i = 0; i < 40; i++)
        {
            NewFile(medium, $"m{i}", Enumerable.Range(0, i).Select(n => (long)n));
        }
        NewFile(small, "sequential", Enumerable.Range(0, 700).Select(i => (long)i));
        NewFile(small, "sparse", [5, 11, 12, 13, 1035, 1036, 1037, 3000, 1_049_611, 1_049_612, 1_049_613, 5_000_000, 900_000_000]);
        NewLink(small, "short", 30);
        NewLink(small, "long", 3000);
        string name = NameIn(medium, "deleted");
        Assert.Equal(Errno.Ok, Volume.Unlink(medium, name).Status);
        _paths.Remove(deleted.Inode);
        FileHandle held = NewFile(medium, "held", [0, 1, 2, 500]);
        Assert.Equal(Errno.Ok, Volume.Unlink(medium, NameIn(medium, "held"), held).Status);
        _paths[held.Inode] = null;
        FileHandle twice = NewFile(small, "twice", [0, 3]);
        string nearer = NameIn(FileHandle.Root, "again");
        Assert.Equal(Errno.Ok, Volume.Link(twice, FileHandle.Root, nearer).Status);
        _paths[twice.Inode] = "/" + nearer;
    }

    private static string NameIn(FileHandle directory, string name) => $"{NameMark}{directory.Inode}:{name}";

    private void Remember(FileHandle handle, FileHandle parent, string name) =>
        _paths[handle.Inode] = _paths[parent.Inode]!.TrimEnd('/') + "/" + name;

    private FileHandle NewDirectory(FileHandle parent, string name)
    {
        FileHandle handle = Volume.NewDirectory(parent, NameIn(parent, name));
        Remember(handle, parent, NameIn(parent, name));
        return handle;
    }

    private FileHandle NewFile(FileHandle parent, string name, IEnumerable<long> blocks)
    {
        FileHandle handle = Volume.NewFile(parent, NameIn(parent, name));
        Remember(handle, parent, NameIn(parent, name));
        byte[] block = new byte[BlockBytes];
        foreach (long index in blocks)
        {
            MemoryMarshal.Cast<byte, ulong>(block.AsSpan()).Fill(Magic);
            MemoryMarshal.Cast<byte, ulong>(block.AsSpan())[1] = ((ulong)handle.Inode << 32) | handle.Generation;
            MemoryMarshal.Cast<byte, long>(block.AsSpan())[2] = index;
            Assert.Equal(Errno.Ok, Volume.Write(handle, (ulong)index * BlockBytes, block).Status);
        }
        return handle;
    }

    private void NewLink(FileHandle parent, string name, int bytes)
    {
        // The number that the link will get shows itself by trying: the lowest free one.
        FileHandle probe = Volume.NewFile(parent, "probe");
        Assert.Equal(Errno.Ok, Volume.Unlink(parent, "probe").Status);
        Reply reply = Volume.Symlink(parent, NameIn(parent, name), $"{LinkMark}{probe.Inode}:".PadRight(bytes, 'x'));
        Assert.Equal(probe.Inode, reply.Handle.Inode);
        Remember(reply.Handle, parent, NameIn(parent, name));
    }

    private string Of(uint inode) => _paths[inode] is string path ? $"inode {inode} ({path})" : $"open-unlinked file inode {inode} (no name)";

    /// <summary>Every data page must have been given to whom its content says.</summary>
    public void CheckBlocks(List<PageOwner> owners)
    {
        Superblock super = Volume.Service.Volume.Super;
        var expected = new Dictionary<uint, (string Text, uint Owner)>();
        for (uint block = 1; block <= super.BlockCount; block++)
        {
            if (Content(Volume.Service.Volume.Block(block)) is (string, uint) owner)
            {
                expected[block] = (owner.Text + Of(owner.Inode), owner.Inode);
            }
        }
        // Indirect blocks of the first, second, third level; index blocks of one level.
        for (int round = 0; round < 3; round++)
        {
            AddPointersTo(expected, super.BlockCount);
        }
        Assert.Equal(super.BlockCount - super.BlocksFree, (uint)expected.Count);
        var kinds = new SortedDictionary<PageKind, int>();
        for (uint block = 1; block <= super.BlockCount; block++)
        {
            PageOwner owner = owners[(int)(super.DataPage + block - 1)];
            Assert.Equal(expected.TryGetValue(block, out var right) ? right.Text : "free block", owner.ToString());
            kinds[owner.Kind] = kinds.GetValueOrDefault(owner.Kind) + 1;
        }
        Assert.Equal([PageKind.FileBlock, PageKind.IndirectBlock, PageKind.DirectoryIndex, PageKind.DirectoryLeaf, PageKind.FreeBlock], kinds.Keys);
        Assert.True(kinds[PageKind.FileBlock] > 1400 && kinds[PageKind.IndirectBlock] > 10 && kinds[PageKind.DirectoryLeaf] > 5);
    }

    /// <summary>What a block's own bytes say; blocks that were freed keep the marks of inodes that are gone.</summary>
    private (string Text, uint Inode)? Content(ReadOnlySpan<byte> block)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(block);
        if (words[0] == Magic)
        {
            uint inode = (uint)(words[1] >> 32);
            bool exists = _paths.ContainsKey(inode) && Volume.Service.Volume.GetInode(inode).Generation == (uint)words[1];
            return exists ? ($"block {words[2]} of ", inode) : null;
        }
        return MarkIn(block[..64], LinkMark) is uint link ? ("block 0 of ", link)
            : MarkIn(block, NameMark) is uint directory ? ("directory leaf of ", directory)
            : null;
    }

    private static uint? MarkIn(ReadOnlySpan<byte> block, string mark)
    {
        int at = block.IndexOf(Encoding.ASCII.GetBytes(mark));
        if (at < 0)
        {
            return null;
        }
        ReadOnlySpan<byte> number = block[(at + mark.Length)..];
        return uint.Parse(number[..number.IndexOf((byte)':')], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>A block of numbers of blocks that all have one owner is an indirect or index block of that owner.</summary>
    private void AddPointersTo(Dictionary<uint, (string Text, uint Owner)> expected, uint blocks)
    {
        var found = new Dictionary<uint, (string, uint)>();
        for (uint block = 1; block <= blocks; block++)
        {
            var targets = new SortedSet<uint>(MemoryMarshal.Cast<byte, uint>(Volume.Service.Volume.Block(block)).ToArray());
            targets.Remove(0);
            if (!expected.ContainsKey(block) && Volume.Service.Volume.BlockUsed(block) && targets.Count > 0
                && targets.All(expected.ContainsKey) && targets.Select(target => expected[target].Owner).Distinct().Count() == 1)
            {
                uint owner = expected[targets.Min].Owner;
                bool isDirectory = Volume.Service.Volume.GetInode(owner).IsDirectory;
                found[block] = ((isDirectory ? "directory index of " : "indirect block of ") + Of(owner), owner);
            }
        }
        foreach ((uint block, (string, uint) owner) in found)
        {
            expected[block] = owner;
        }
    }

    /// <summary>Every inode in use must be on the page where its number puts it, and no other.</summary>
    public void CheckInodeTable(List<PageOwner> owners)
    {
        Superblock super = Volume.Service.Volume.Super;
        for (uint page = super.InodeTablePage; page < super.DataPage; page++)
        {
            uint first = (page - super.InodeTablePage) * 8;
            List<string> here = [.. _paths.Keys.Where(number => number >= first && number < first + 8).Select(Of)];
            string text = here.Count == 0 ? "no inode in use"
                : string.Join(", ", here.Take(3)) + (here.Count > 3 ? $" and {here.Count - 3} more" : "");
            Assert.Equal("inode table: " + text, owners[(int)page].ToString());
        }
    }
}
