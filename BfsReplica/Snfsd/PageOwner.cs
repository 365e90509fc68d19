using System.Globalization;
using System.Text;

namespace BfsReplica.Snfsd;

/// <summary>What a page of the replicated state is for.</summary>
public enum PageKind
{
    /// <summary>No page of the state, or one that the file system does not use.</summary>
    Outside,

    /// <summary>A page of the library: what it keeps for each client.</summary>
    ReplyTable,
    Superblock,

    /// <summary>The heads of the lists of files that are unlinked but held open.</summary>
    OrphanLists,
    InodeBitmap,
    BlockBitmap,
    InodeTable,

    /// <summary>Content of a file or of a symbolic link.</summary>
    FileBlock,

    /// <summary>Pointers to blocks of a file.</summary>
    IndirectBlock,
    DirectoryIndex,
    DirectoryLeaf,
    FreeBlock,

    /// <summary>A block that is marked used though no inode refers to it: its owner was damaged.</summary>
    LostBlock,
}

/// <summary>An inode that a page holds or belongs to.</summary>
/// <param name="Number">Its number, from 1.</param>
/// <param name="Path">
/// One of its names from the root, special characters as <c>\ooo</c> and a very long one cut at the front; null without a name.
/// </param>
/// <param name="IsDirectory">Whether it says that it is a directory.</param>
/// <param name="IsOpenUnlinked">Whether it has no name because it was unlinked while a mount held it open.</param>
/// <param name="IsUnreadable">Whether its fields are none that an inode can have.</param>
public readonly record struct PageInode(uint Number, string? Path, bool IsDirectory, bool IsOpenUnlinked, bool IsUnreadable)
{
    /// <summary>For people, like <c>inode 17 (/src/main.c)</c>.</summary>
    public override string ToString() =>
        (IsUnreadable ? "unreadable " : "")
        + (IsOpenUnlinked ? IsDirectory ? "open-unlinked directory " : "open-unlinked file " : "")
        + "inode " + Number.ToString(CultureInfo.InvariantCulture)
        + (Path != null ? $" ({Path})" : IsOpenUnlinked ? " (no name)" : " (unreadable path)");
}

/// <summary>What a page belongs to.</summary>
/// <param name="Page">Its number, as it was asked for.</param>
/// <param name="Kind">What it is for.</param>
public sealed record PageOwner(long Page, PageKind Kind)
{
    /// <summary>Most inodes that are named for a page of the inode table.</summary>
    public const int MaxNamed = 3;

    /// <summary>The inode that a block belongs to; of a page of the inode table, the first few that are in use.</summary>
    public IReadOnlyList<PageInode> Inodes { get; init; } = [];

    /// <summary>Inodes in use on a page of the inode table that <see cref="Inodes"/> leaves out.</summary>
    public int MoreInodes { get; init; }

    /// <summary>Of a file's block, its index from 0 in the file; of an indirect block, the first index below it.</summary>
    public long? BlockIndex { get; init; }

    /// <summary>The page does not hold what it is for: it is damaged.</summary>
    public bool IsUnreadable { get; init; }

    /// <summary>The first of <see cref="Inodes"/>; zero when the page belongs to no inode.</summary>
    public uint Inode => Inodes.Count > 0 ? Inodes[0].Number : 0;

    /// <summary>The path of <see cref="Inode"/>, if it has one that can be read.</summary>
    public string? Path => Inodes.Count > 0 ? Inodes[0].Path : null;

    /// <summary>For people, like <c>block 3 of inode 17 (/src/main.c)</c>.</summary>
    public override string ToString() => IsUnreadable ? "unreadable " + Text() : Text();

    private string Text() => Kind switch
    {
        PageKind.ReplyTable => "reply table",
        PageKind.Superblock => "superblock",
        PageKind.OrphanLists => "lists of open-unlinked files",
        PageKind.InodeBitmap => "bitmap of inodes",
        PageKind.BlockBitmap => "bitmap of blocks",
        PageKind.InodeTable => "inode table: " + InodeTableText(),
        PageKind.FileBlock => string.Create(CultureInfo.InvariantCulture, $"block {BlockIndex} of {Inodes[0]}"),
        PageKind.IndirectBlock => $"indirect block of {Inodes[0]}",
        PageKind.DirectoryIndex => $"directory index of {Inodes[0]}",
        PageKind.DirectoryLeaf => $"directory leaf of {Inodes[0]}",
        PageKind.FreeBlock => "free block",
        PageKind.LostBlock => "owner of a block in use",
        _ => "outside the file system",
    };

    private string InodeTableText()
    {
        if (Inodes.Count == 0)
        {
            return "no inode in use";
        }
        var text = new StringBuilder().AppendJoin(", ", Inodes);
        return MoreInodes == 0 ? text.ToString()
            : text.Append(CultureInfo.InvariantCulture, $" and {MoreInodes} more").ToString();
    }
}
