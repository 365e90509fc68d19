using System.Globalization;
using System.Text;

namespace BfsReplica.Snfsd;

/// <summary>
/// Finds names of inodes by one walk over the directory tree, breadth first, directories in the order of their entries: of
/// several names, the one nearest to the root. The volume may be damaged: what cannot be read is passed over.
/// </summary>
internal sealed class InodePaths(Volume volume, Directory directories, VolumeLayout layout)
{
    /// <summary>A longer path loses its front, so that a deep tree cannot make the answer huge.</summary>
    private const int MaxPathLength = 4096;

    private const uint Root = 1;

    /// <summary>A directory of the tree: where its own is in the list, and its name in that.</summary>
    private readonly record struct Node(uint Inode, int Parent, byte[] Name);

    private readonly Dictionary<uint, string?> _paths = [];
    private readonly List<Node> _tree = [];
    private readonly HashSet<uint> _entered = [];
    private readonly HashSet<(uint Block, int Level)> _read = [];
    private int _missing;
    private int _at;

    /// <summary>Asks for a path of an inode in use, before <see cref="Find"/>.</summary>
    public void Want(uint number)
    {
        if (_paths.TryAdd(number, number == Root ? "/" : null) && number != Root)
        {
            _missing++;
        }
    }

    /// <summary>A path; null when the walk found none.</summary>
    public string? PathOf(uint number) => _paths[number];

    /// <summary>Walks until everything that was asked for has a path, or to the end.</summary>
    public void Find()
    {
        DirectoryVisitor onBlock = OnBlock;
        _tree.Add(new Node(Root, 0, []));
        _entered.Add(Root);
        for (_at = 0; _at < _tree.Count && _missing > 0; _at++)
        {
            ref readonly Inode directory = ref volume.GetInode(_tree[_at].Inode);
            if (!directory.IsDirectory)
            {
                continue;
            }
            if (directory.IsInline)
            {
                ReadNames(directory.Content);
            }
            else
            {
                directories.VisitBlocks(directory, onBlock);
            }
        }
    }

    private bool OnBlock(uint block, bool isIndex, int level)
    {
        // Damage can make many pointers lead to one block; read as the same thing, it tells nothing new.
        if (!layout.HasBlock(block) || !_read.Add((block, isIndex ? level : -1)))
        {
            return false;
        }
        if (!isIndex)
        {
            ReadNames(volume.Block(block));
        }
        return isIndex;
    }

    private void ReadNames(ReadOnlySpan<byte> leaf)
    {
        for (int at = Leaf.HeaderBytes; Leaf.HasEntry(leaf, at); at = Leaf.Next(leaf, at))
        {
            ReadOnlySpan<byte> name = Leaf.Name(leaf, at);
            if (Leaf.Key(leaf, at) == NameHash.KeyOf(name))
            {
                OnName(Leaf.Inode(leaf, at), name);
            }
        }
    }

    private void OnName(uint number, ReadOnlySpan<byte> name)
    {
        if (number < 1 || number > layout.InodeCount)
        {
            return;
        }
        if (volume.GetInode(number).IsDirectory && _entered.Add(number))
        {
            _tree.Add(new Node(number, _at, name.ToArray()));
        }
        if (_paths.TryGetValue(number, out string? path) && path == null)
        {
            _paths[number] = MakePath(name);
            _missing--;
        }
    }

    /// <summary>The path of a name in the directory that is being read.</summary>
    private string MakePath(ReadOnlySpan<byte> name)
    {
        var parts = new List<string> { Printable(name) };
        int length = parts[0].Length;
        int at = _at;
        for (; at != 0 && length < MaxPathLength; at = _tree[at].Parent)
        {
            parts.Add(Printable(_tree[at].Name));
            length += parts[^1].Length + 1;
        }
        if (at != 0)
        {
            parts.Add("...");
        }
        parts.Reverse();
        return "/" + string.Join('/', parts);
    }

    /// <summary>A name for logs and terminals: what is not printable UTF-8, and the backslash, as <c>\ooo</c> for each byte.</summary>
    private static string Printable(ReadOnlySpan<byte> name)
    {
        var text = new StringBuilder();
        while (name.Length > 0)
        {
            bool valid = Rune.DecodeFromUtf8(name, out Rune rune, out int bytes) == System.Buffers.OperationStatus.Done;
            if (valid && rune.Value is not ('\\' or '/') && IsPrintable(Rune.GetUnicodeCategory(rune)))
            {
                text.Append(rune.ToString());
            }
            else
            {
                foreach (byte value in name[..bytes])
                {
                    text.Append('\\').Append((char)('0' + (value >> 6))).Append((char)('0' + ((value >> 3) & 7)))
                        .Append((char)('0' + (value & 7)));
                }
            }
            name = name[bytes..];
        }
        return text.ToString();
    }

    private static bool IsPrintable(UnicodeCategory category) => category is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate
        or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned);
}
