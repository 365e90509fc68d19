using System.Numerics;
using System.Runtime.InteropServices;

namespace BfsReplica.Snfsd;

/// <summary>Takes the entries of a directory one by one; false stops the walk.</summary>
internal delegate bool EntryVisitor<TState>(ref TState state, ulong key, uint inode, scoped ReadOnlySpan<byte> name)
    where TState : allows ref struct;

/// <summary>Takes the blocks of a directory one by one.</summary>
/// <param name="block">A block's number, as it stands in the directory: the visitor judges it before it is read.</param>
/// <param name="isIndex">Whether it is an index block, not a leaf.</param>
/// <param name="level">0 for the root, then one more for each index block on the way.</param>
/// <returns>Whether to read what an index block points to.</returns>
internal delegate bool DirectoryVisitor(uint block, bool isIndex, int level);

/// <summary>
/// Directories: names by hash (extendible hashing in a trie). A small one is one leaf inside the inode, then one leaf
/// block; a larger one has index blocks of 1024 pointers, each level using ten more bits of the key. Runs of pointers
/// (always a power of two, aligned) share a leaf; a full leaf is split in two, and its run with it; a run of one becomes an
/// index block of the next level. So finding, adding and removing a name touches two or three blocks in any directory, and
/// the order of listing, by key, is not disturbed by other names coming and going.
/// </summary>
internal sealed class Directory(Volume volume)
{
    /// <summary>More blocks than this are never needed to add a name.</summary>
    public const int MaxNewBlocks = 10;

    private const int Slots = Volume.BlockBytes / sizeof(uint);
    private const int SlotBits = 10;
    private const int MaxLevels = 6;
    private const uint IndexMark = 1u << 31;
    private const ulong EndOfKeys = 1UL << NameHash.Bits;

    /// <summary>The way from the root index to a leaf.</summary>
    private struct Path
    {
        public InlineArrayOfLevels Blocks;
        public int Levels;
        public int Slot;
        public uint Leaf;
    }

    [System.Runtime.CompilerServices.InlineArray(MaxLevels)]
    private struct InlineArrayOfLevels
    {
        private uint _first;
    }

    /// <summary>The inode that a name stands for; zero when there is no such name.</summary>
    public uint Find(in Inode directory, ReadOnlySpan<byte> name)
    {
        ulong key = NameHash.KeyOf(name);
        ReadOnlySpan<byte> leaf = LeafFor(directory, key);
        return leaf.Length > 0 && Leaf.Find(leaf, key, name, out int at) ? Leaf.Inode(leaf, at) : 0;
    }

    private ReadOnlySpan<byte> LeafFor(in Inode directory, ulong key)
    {
        if (directory.IsInline)
        {
            return directory.Content;
        }
        uint block = directory.Map[0];
        if ((directory.Flags & InodeFlags.Indexed) != 0)
        {
            block = Walk(block, key).Leaf;
        }
        return block == 0 ? default : volume.Block(block);
    }

    private Path Walk(uint root, ulong key)
    {
        Path path = default;
        uint block = root;
        while (true)
        {
            path.Blocks[path.Levels] = block;
            path.Slot = SlotOf(key, path.Levels++);
            uint pointer = Pointers(block)[path.Slot];
            if ((pointer & IndexMark) == 0)
            {
                path.Leaf = pointer;
                return path;
            }
            block = pointer & ~IndexMark;
        }
    }

    private static int SlotOf(ulong key, int level) => (int)(key >> ShiftOf(level)) & (Slots - 1);

    /// <summary>Bits of the key below those that a level uses.</summary>
    private static int ShiftOf(int level) => NameHash.Bits - (SlotBits * (level + 1));

    /// <summary>
    /// Adds a name that is not there; the caller made sure of the room. False when names cannot be told apart by their keys
    /// (which takes more names of one 60-bit hash than a leaf holds).
    /// </summary>
    public bool Add(ref Inode directory, ReadOnlySpan<byte> name, uint inode)
    {
        ulong key = NameHash.KeyOf(name);
        if (directory.IsInline)
        {
            Span<byte> content = directory.Content;
            if (Leaf.HasRoom(content, name.Length))
            {
                InsertInto(content, key, name, inode, ref directory);
                return true;
            }
            MoveOut(ref directory);
        }
        if ((directory.Flags & InodeFlags.Indexed) == 0)
        {
            if (Leaf.HasRoom(volume.Block(directory.Map[0]), name.Length))
            {
                InsertInto(volume.ChangeBlock(directory.Map[0]), key, name, inode, ref directory);
                return true;
            }
            directory.Map[0] = NewIndex(directory.Map[0], ref directory);
            directory.Flags |= InodeFlags.Indexed;
        }
        return AddIndexed(ref directory, key, name, inode);
    }

    private bool AddIndexed(ref Inode directory, ulong key, ReadOnlySpan<byte> name, uint inode)
    {
        while (true)
        {
            Path path = Walk(directory.Map[0], key);
            if (path.Leaf == 0)
            {
                NewLeaf(path, ref directory);
            }
            else if (Leaf.HasRoom(volume.Block(path.Leaf), name.Length))
            {
                InsertInto(volume.ChangeBlock(path.Leaf), key, name, inode, ref directory);
                return true;
            }
            else if (!Split(path, key, ref directory))
            {
                return false;
            }
        }
    }

    private static void InsertInto(Span<byte> leaf, ulong key, ReadOnlySpan<byte> name, uint inode, ref Inode directory)
    {
        BfsCore.BfsAssert.That(!Leaf.Find(leaf, key, name, out int at));
        Leaf.Insert(leaf, at, key, inode, name);
        directory.Entries++;
    }

    private void MoveOut(ref Inode directory)
    {
        uint block = NewBlock(ref directory);
        Span<byte> content = directory.Content;
        content.CopyTo(volume.ChangeBlock(block));
        content.Clear();
        directory.Flags &= ~InodeFlags.Inline;
        directory.Map[0] = block;
    }

    private uint NewBlock(ref Inode directory)
    {
        uint block = volume.AllocateBlock();
        volume.ChangeBlock(block).Clear();
        directory.Blocks++;
        return block;
    }

    private void FreeBlock(uint block, ref Inode directory)
    {
        volume.FreeBlock(block);
        directory.Blocks--;
    }

    private uint NewIndex(uint everyPointer, ref Inode directory)
    {
        uint block = NewBlock(ref directory);
        ChangePointers(block).Fill(everyPointer);
        return block;
    }

    /// <summary>A leaf for the largest aligned run of empty slots around the wanted one.</summary>
    private void NewLeaf(in Path path, ref Inode directory)
    {
        uint index = path.Blocks[path.Levels - 1];
        ReadOnlySpan<uint> pointers = Pointers(index);
        int size = 1;
        while (size < Slots && !pointers.Slice(path.Slot & ~((size * 2) - 1), size * 2).ContainsAnyExcept(0u))
        {
            size *= 2;
        }
        uint leaf = NewBlock(ref directory);
        ChangePointers(index).Slice(path.Slot & ~(size - 1), size).Fill(leaf);
    }

    private bool Split(in Path path, ulong key, ref Inode directory)
    {
        uint index = path.Blocks[path.Levels - 1];
        (int start, int size) = RunOf(Pointers(index), path.Slot);
        if (size == 1)
        {
            if (path.Levels == MaxLevels)
            {
                return false;
            }
            uint child = NewIndex(path.Leaf, ref directory);
            ChangePointers(index)[path.Slot] = child | IndexMark;
            return true;
        }
        int middle = start + (size / 2);
        uint upper = NewBlock(ref directory);
        Leaf.Split(volume.ChangeBlock(path.Leaf), KeyAt(key, path.Levels - 1, middle), volume.ChangeBlock(upper));
        ChangePointers(index).Slice(middle, size / 2).Fill(upper);
        return true;
    }

    /// <summary>The slots that share a slot's leaf.</summary>
    private static (int Start, int Size) RunOf(ReadOnlySpan<uint> pointers, int slot)
    {
        uint leaf = pointers[slot];
        int start = slot;
        int end = slot + 1;
        while (start > 0 && pointers[start - 1] == leaf)
        {
            start--;
        }
        while (end < Slots && pointers[end] == leaf)
        {
            end++;
        }
        BfsCore.BfsAssert.That(BitOperations.IsPow2(end - start));
        return (start, end - start);
    }

    /// <summary>The lowest key of a slot (or, past the last one, of what follows the whole index block).</summary>
    private static ulong KeyAt(ulong key, int level, int slot)
    {
        int shift = ShiftOf(level);
        ulong prefix = key >> (shift + SlotBits) << (shift + SlotBits);
        return prefix + ((ulong)slot << shift);
    }

    /// <summary>Lets a name that is there stand for another inode.</summary>
    public void Replace(ref Inode directory, ReadOnlySpan<byte> name, uint inode)
    {
        ulong key = NameHash.KeyOf(name);
        Span<byte> leaf = ChangeLeafFor(ref directory, key);
        BfsCore.BfsAssert.That(Leaf.Find(leaf, key, name, out int at));
        Leaf.SetInode(leaf, at, inode);
    }

    private Span<byte> ChangeLeafFor(ref Inode directory, ulong key) =>
        directory.IsInline ? directory.Content
        : volume.ChangeBlock((directory.Flags & InodeFlags.Indexed) == 0 ? directory.Map[0] : Walk(directory.Map[0], key).Leaf);

    /// <summary>Removes a name that is there; blocks that become empty are freed.</summary>
    public void Remove(ref Inode directory, ReadOnlySpan<byte> name)
    {
        ulong key = NameHash.KeyOf(name);
        Span<byte> leaf = ChangeLeafFor(ref directory, key);
        BfsCore.BfsAssert.That(Leaf.Find(leaf, key, name, out int at));
        Leaf.Remove(leaf, at);
        directory.Entries--;
        if (directory.Entries == 0)
        {
            MakeInline(ref directory);
        }
        else if (Leaf.Count(leaf) == 0)
        {
            FreeLeaf(ref directory, key);
        }
    }

    private void FreeLeaf(ref Inode directory, ulong key)
    {
        Path path = Walk(directory.Map[0], key);
        FreeBlock(path.Leaf, ref directory);
        uint index = path.Blocks[path.Levels - 1];
        (int start, int size) = RunOf(Pointers(index), path.Slot);
        ChangePointers(index).Slice(start, size).Clear();
        for (int level = path.Levels - 1; level > 0 && !Pointers(path.Blocks[level]).ContainsAnyExcept(0u); level--)
        {
            FreeBlock(path.Blocks[level], ref directory);
            ChangePointers(path.Blocks[level - 1])[SlotOf(key, level - 1)] = 0;
        }
    }

    /// <summary>An empty directory holds no block.</summary>
    public void MakeInline(ref Inode directory)
    {
        if (!directory.IsInline)
        {
            FreeTree(directory.Map[0], (directory.Flags & InodeFlags.Indexed) != 0, ref directory);
            Span<byte> content = directory.Content;
            content.Clear();
            directory.Flags = (directory.Flags & ~InodeFlags.Indexed) | InodeFlags.Inline;
        }
    }

    private void FreeTree(uint block, bool index, ref Inode directory)
    {
        uint previous = 0;
        for (int i = 0; index && i < Slots; i++)
        {
            uint pointer = Pointers(block)[i];
            if (pointer != 0 && pointer != previous)
            {
                FreeTree(pointer & ~IndexMark, (pointer & IndexMark) != 0, ref directory);
            }
            previous = pointer;
        }
        FreeBlock(block, ref directory);
    }

    /// <summary>Walks the entries with keys from <paramref name="from"/> on, in ascending order.</summary>
    public void Visit<TState>(in Inode directory, ulong from, ref TState state, EntryVisitor<TState> visitor)
        where TState : allows ref struct
    {
        if ((directory.Flags & InodeFlags.Indexed) == 0)
        {
            VisitLeaf(LeafFor(directory, from), from, ref state, visitor);
            return;
        }
        for (ulong key = from; key < EndOfKeys;)
        {
            Path path = Walk(directory.Map[0], key);
            int level = path.Levels - 1;
            (int start, int size) = path.Leaf == 0 ? (path.Slot, 1) : RunOf(Pointers(path.Blocks[level]), path.Slot);
            if (path.Leaf != 0 && !VisitLeaf(volume.Block(path.Leaf), key, ref state, visitor))
            {
                return;
            }
            key = KeyAt(key, level, start + size);
        }
    }

    private static bool VisitLeaf<TState>(scoped ReadOnlySpan<byte> leaf, ulong from, ref TState state, EntryVisitor<TState> visitor)
        where TState : allows ref struct
    {
        int used = Leaf.Used(leaf);
        for (int at = Leaf.HeaderBytes; at < used; at = Leaf.Next(leaf, at))
        {
            ulong key = Leaf.Key(leaf, at);
            if (key >= from && !visitor(ref state, key, Leaf.Inode(leaf, at), Leaf.Name(leaf, at)))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Calls back for every block of the directory (for checks); index blocks too deep to be right are not read.</summary>
    public void VisitBlocks(in Inode directory, DirectoryVisitor visitor)
    {
        if (!directory.IsInline)
        {
            VisitTree(directory.Map[0], (directory.Flags & InodeFlags.Indexed) != 0, 0, visitor);
        }
    }

    private void VisitTree(uint block, bool isIndex, int level, DirectoryVisitor visitor)
    {
        bool below = visitor(block, isIndex, level) && isIndex && level < MaxLevels;
        uint previous = 0;
        for (int i = 0; below && i < Slots; i++)
        {
            uint pointer = Pointers(block)[i];
            if (pointer != 0 && pointer != previous)
            {
                VisitTree(BlockOf(pointer), (pointer & IndexMark) != 0, level + 1, visitor);
            }
            previous = pointer;
        }
    }

    /// <summary>The block that a pointer of an index block leads to, be it an index block or a leaf.</summary>
    public static uint BlockOf(uint pointer) => pointer & ~IndexMark;

    private ReadOnlySpan<uint> Pointers(uint block) => MemoryMarshal.Cast<byte, uint>(volume.Block(block));

    private Span<uint> ChangePointers(uint block) => MemoryMarshal.Cast<byte, uint>(volume.ChangeBlock(block));
}
