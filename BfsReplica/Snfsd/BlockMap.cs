using System.Runtime.InteropServices;

namespace BfsReplica.Snfsd;

/// <summary>Takes the blocks that a file's map names one by one.</summary>
/// <param name="block">A block's number, as it stands in the map: the visitor judges it before it is read.</param>
/// <param name="levels">0 for content, else how many levels of pointers start in this block.</param>
/// <param name="index">Which block of the file it is; for an indirect block, the first one below it.</param>
/// <returns>Whether to read what an indirect block points to.</returns>
internal delegate bool MapVisitor(uint block, int levels, long index);

/// <summary>
/// Where a file's blocks are: 12 direct pointers in the inode, then trees of indirect blocks of 1024 pointers with one, two
/// and three levels. A zero pointer is a hole. A sequential gigabyte costs one pointer per block; a byte at a terabyte
/// costs three indirect blocks.
/// </summary>
internal sealed class BlockMap(Volume volume)
{
    public const int DirectCount = 12;
    public const int PointerCount = DirectCount + 3;
    private const int Fanout = Volume.BlockBytes / sizeof(uint);
    private const int FanoutBits = 10;

    /// <summary>Most indirect blocks that one new data block can need.</summary>
    public const int MaxIndirect = 3;

    /// <summary>Blocks that a file can have.</summary>
    public const long MaxBlocks = DirectCount + Fanout + ((long)Fanout * Fanout) + ((long)Fanout * Fanout * Fanout);

    /// <summary>The block at an index of the file; zero for a hole.</summary>
    public uint Find(in Inode inode, long index)
    {
        if (index < DirectCount)
        {
            return inode.Map[(int)index];
        }
        (int root, int levels, long within) = Locate(index);
        uint block = inode.Map[root];
        for (int level = levels - 1; level >= 0 && block != 0; level--)
        {
            block = Pointers(block)[(int)(within >> (level * FanoutBits)) & (Fanout - 1)];
        }
        return block;
    }

    /// <summary>
    /// The block at an index, allocated if there was a hole; a new one is cleared unless the caller overwrites all of it.
    /// </summary>
    public uint FindOrAdd(ref Inode inode, long index, bool clear)
    {
        if (index < DirectCount)
        {
            return Follow(ref inode.Map[(int)index], ref inode, clear);
        }
        (int root, int levels, long within) = Locate(index);
        uint block = Follow(ref inode.Map[root], ref inode, clear: true);
        for (int level = levels - 1; level >= 0; level--)
        {
            int slot = (int)(within >> (level * FanoutBits)) & (Fanout - 1);
            uint next = Pointers(block)[slot];
            if (next == 0)
            {
                Follow(ref next, ref inode, clear || level > 0);
                ChangePointers(block)[slot] = next;
            }
            block = next;
        }
        return block;
    }

    private uint Follow(ref uint pointer, ref Inode inode, bool clear)
    {
        if (pointer == 0)
        {
            pointer = volume.AllocateBlock();
            inode.Blocks++;
            if (clear)
            {
                volume.ChangeBlock(pointer).Clear();
            }
        }
        return pointer;
    }

    /// <summary>Frees every block from an index on, and indirect blocks that become empty.</summary>
    public void FreeFrom(ref Inode inode, long first)
    {
        for (int i = (int)Math.Min(first, DirectCount); i < DirectCount; i++)
        {
            Free(ref inode.Map[i], ref inode);
        }
        long start = DirectCount;
        long span = Fanout;
        for (int levels = 1; levels <= 3; levels++)
        {
            ref uint root = ref inode.Map[DirectCount + levels - 1];
            if (root != 0 && first < start + span)
            {
                FreeTree(ref root, levels, Math.Max(0, first - start), ref inode);
            }
            start += span;
            span *= Fanout;
        }
    }

    private void FreeTree(ref uint pointer, int levels, long first, ref Inode inode)
    {
        long childSpan = SpanOf(levels - 1);
        int firstChild = (int)(first / childSpan);
        for (int i = firstChild; i < Fanout; i++)
        {
            uint child = Pointers(pointer)[i];
            if (child == 0)
            {
                continue;
            }
            uint before = child;
            if (levels == 1)
            {
                Free(ref child, ref inode);
            }
            else
            {
                FreeTree(ref child, levels - 1, i == firstChild ? first % childSpan : 0, ref inode);
            }
            if (child != before && first > 0)
            {
                ChangePointers(pointer)[i] = child;
            }
        }
        if (first == 0)
        {
            Free(ref pointer, ref inode);
        }
    }

    private void Free(ref uint pointer, ref Inode inode)
    {
        if (pointer != 0)
        {
            volume.FreeBlock(pointer);
            inode.Blocks--;
            pointer = 0;
        }
    }

    /// <summary>Calls back for every block that the map names, indirect ones included (for checks).</summary>
    public void Visit(in Inode inode, MapVisitor visitor)
    {
        long index = 0;
        for (int i = 0; i < PointerCount; i++)
        {
            int levels = Math.Max(0, i - DirectCount + 1);
            VisitTree(inode.Map[i], levels, index, visitor);
            index += SpanOf(levels);
        }
    }

    private void VisitTree(uint block, int levels, long index, MapVisitor visitor)
    {
        if (block == 0 || !visitor(block, levels, index))
        {
            return;
        }
        for (int i = 0; levels > 0 && i < Fanout; i++)
        {
            VisitTree(Pointers(block)[i], levels - 1, index + (i * SpanOf(levels - 1)), visitor);
        }
    }

    /// <summary>Blocks of the file that are reached through a pointer to so many levels.</summary>
    private static long SpanOf(int levels) => 1L << (levels * FanoutBits);

    private static (int Root, int Levels, long Within) Locate(long index)
    {
        index -= DirectCount;
        if (index < Fanout)
        {
            return (DirectCount, 1, index);
        }
        index -= Fanout;
        return index < (long)Fanout * Fanout
            ? (DirectCount + 1, 2, index)
            : (DirectCount + 2, 3, index - ((long)Fanout * Fanout));
    }

    private ReadOnlySpan<uint> Pointers(uint block) => MemoryMarshal.Cast<byte, uint>(volume.Block(block));

    private Span<uint> ChangePointers(uint block) => MemoryMarshal.Cast<byte, uint>(volume.ChangeBlock(block));
}
