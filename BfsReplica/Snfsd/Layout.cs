using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsCore.State;

namespace BfsReplica.Snfsd;

/// <summary>Page 0 of the volume. Numbers of pages are relative to the service's region.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Superblock
{
    public const ulong RightMagic = 0x3144_5346_4e53_4642;
    public const uint RightVersion = 1;

    public ulong Magic;
    public uint Version;
    public uint InodeCount;
    public uint BlockCount;
    public uint InodesFree;
    public uint BlocksFree;

    /// <summary>No inode below this one is free.</summary>
    public uint InodeHint;

    /// <summary>Where the search for a free block starts (next fit).</summary>
    public uint BlockHint;
    public uint InodeBitmapPage;
    public uint BlockBitmapPage;
    public uint InodeTablePage;
    public uint DataPage;

    /// <summary>The generation of the next inode that is used again.</summary>
    public uint NextGeneration;

    /// <summary>The time of the last change to any inode: times are strictly increasing per change.</summary>
    public long LastChangeNanos;
}

[Flags]
internal enum InodeFlags : uint
{
    None = 0,

    /// <summary>Content (file, symbolic link, leaf of a small directory) is in the inode itself.</summary>
    Inline = 1,

    /// <summary>The directory's root is an index block; otherwise, unless inline, one leaf.</summary>
    Indexed = 2,
}

/// <summary>The block map in an inode: 12 direct blocks, then one single, double and triple indirect block.</summary>
[InlineArray(BlockMap.PointerCount)]
internal struct Pointers
{
    private uint _first;
}

[InlineArray(Inode.InlineBytes)]
internal struct InlineContent
{
    private byte _first;
}

/// <summary>An inode: 512 bytes, eight to a page. A mode of zero means that it is free.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct Inode
{
    public const int SizeBytes = 512;
    private const int ContentAt = 96;

    /// <summary>Bytes of content that fit in the inode itself.</summary>
    public const int InlineBytes = SizeBytes - ContentAt;

    [FieldOffset(0)] public uint Mode;
    [FieldOffset(4)] public uint Nlink;
    [FieldOffset(8)] public uint Uid;
    [FieldOffset(12)] public uint Gid;
    [FieldOffset(16)] public ulong Size;
    [FieldOffset(24)] public long AtimeNanos;
    [FieldOffset(32)] public long MtimeNanos;
    [FieldOffset(40)] public long CtimeNanos;
    [FieldOffset(48)] public long BtimeNanos;
    [FieldOffset(56)] public uint Generation;
    [FieldOffset(60)] public uint Rdev;

    /// <summary>Blocks of 4 KB taken, indirect and index blocks included.</summary>
    [FieldOffset(64)] public uint Blocks;

    /// <summary>A directory's parent.</summary>
    [FieldOffset(68)] public uint Parent;

    /// <summary>A directory's entries, without <c>.</c> and <c>..</c>.</summary>
    [FieldOffset(72)] public uint Entries;
    [FieldOffset(76)] public InodeFlags Flags;

    /// <summary>Of an unlinked file that is held open: one more than the index of the client that holds it.</summary>
    [FieldOffset(80)] public uint OrphanOwner;
    [FieldOffset(84)] public uint OrphanNext;
    [FieldOffset(88)] public uint OrphanPrevious;
    [FieldOffset(ContentAt)] public Pointers Map;
    [FieldOffset(ContentAt)] public InlineContent Content;

    public readonly bool IsInline => (Flags & InodeFlags.Inline) != 0;
    public readonly bool IsDirectory => (Mode & FileMode.TypeMask) == FileMode.Directory;
    public readonly bool IsRegular => (Mode & FileMode.TypeMask) == FileMode.Regular;
    public readonly bool IsSymlink => (Mode & FileMode.TypeMask) == FileMode.Symlink;

    /// <summary>Whether the fields agree as they do in every inode that is in use.</summary>
    public readonly bool IsPlausible =>
        (Mode & FileMode.TypeMask) is FileMode.Fifo or FileMode.CharDevice or FileMode.Directory or FileMode.BlockDevice
            or FileMode.Regular or FileMode.Symlink or FileMode.Socket
        && (Mode & ~(FileMode.TypeMask | FileMode.Permissions)) == 0
        && (Flags & ~(InodeFlags.Inline | InodeFlags.Indexed)) == 0
        && (IsDirectory || !IsInline || Size <= InlineBytes)
        && OrphanOwner <= Volume.MaxClients;
}

/// <summary>Bits of a mode, as in stat(2).</summary>
internal static class FileMode
{
    public const uint TypeMask = 0xf000;
    public const uint Fifo = 0x1000;
    public const uint CharDevice = 0x2000;
    public const uint Directory = 0x4000;
    public const uint BlockDevice = 0x6000;
    public const uint Regular = 0x8000;
    public const uint Symlink = 0xa000;
    public const uint Socket = 0xc000;
    public const uint SetUid = 0x800;
    public const uint SetGid = 0x400;
    public const uint Sticky = 0x200;
    public const uint GroupExecute = 8;
    public const uint AnyExecute = 0x49;
    public const uint Permissions = 0xfff;
}

/// <summary>Where things are in a region: the first pages of its parts. It follows from the region's size alone.</summary>
internal readonly record struct VolumeLayout(long Pages, uint InodeCount, uint InodeBitmapPage, uint BlockBitmapPage,
    uint InodeTablePage, uint DataPage)
{
    /// <summary>The page of the orphan lists, one head for each client.</summary>
    public const int OrphanPage = 1;

    private const int BitsPerPage = Volume.BlockBytes * 8;
    private const long RegionBytesPerInode = 8 * 1024;

    public static VolumeLayout For(long regionBytes)
    {
        long pages = regionBytes / Volume.BlockBytes;
        uint inodes = (uint)Math.Clamp(regionBytes / RegionBytesPerInode, 64, 1 << 30);
        uint inodeBitmap = OrphanPage + 1;
        uint blockBitmap = inodeBitmap + ((inodes + 1 + BitsPerPage - 1) / BitsPerPage);
        uint table = blockBitmap + (uint)((pages + BitsPerPage - 1) / BitsPerPage);
        uint data = table + (uint)((((long)(inodes + 1) * Inode.SizeBytes) + Volume.BlockBytes - 1) / Volume.BlockBytes);
        return new VolumeLayout(pages, inodes, inodeBitmap, blockBitmap, table, data);
    }

    /// <summary>Whether the region has room for the parts and at least one block.</summary>
    public bool Fits => DataPage < Pages;

    /// <summary>Blocks that the region has room for.</summary>
    public uint BlockCount => (uint)Math.Clamp(Pages - DataPage, 0, int.MaxValue);

    /// <summary>Whether a number is that of a block.</summary>
    public bool HasBlock(uint number) => number >= 1 && number <= BlockCount;
}

/// <summary>The volume's places and its free lists. All state is in the region; nothing is cached here but the layout.</summary>
internal sealed class Volume
{
    public const int BlockBytes = PagedState.PageBytes;

    /// <summary>Blocks that only removals may use, so that a full drive can always be emptied.</summary>
    public const uint ReservedBlocks = 16;

    private readonly StateRegion _region;
    // Never as the superblock has it: while a replica recovers, that may be what an attacker left (simulator seed 9200594).
    private readonly VolumeLayout _layout;

    /// <param name="ownerUid">Who owns the root directory if the region is blank.</param>
    /// <param name="ownerGid">Its group.</param>
    public Volume(StateRegion region, uint ownerUid, uint ownerGid)
        : this(region, VolumeLayout.For(region.SizeBytes))
    {
        if (region.Get<Superblock>(0).Magic == 0)
        {
            Format(ownerUid, ownerGid);
        }
        BfsCore.BfsAssert.That(Super.Magic == Superblock.RightMagic && Super.Version == Superblock.RightVersion);
    }

    /// <summary>To look at a region whatever it holds; the superblock is not believed, and nothing is changed.</summary>
    public Volume(StateRegion region, in VolumeLayout layout)
    {
        BfsCore.BfsAssert.That(layout.Fits);
        _region = region;
        _layout = layout;
    }

    /// <summary>The superblock, to read.</summary>
    public ref readonly Superblock Super => ref _region.Get<Superblock>(0);

    /// <summary>The superblock, to change.</summary>
    public ref Superblock ChangeSuper() => ref _region.Modify<Superblock>(0);

    /// <summary>Writes superblock and root directory; bitmaps that are all zero mean that all is free.</summary>
    private void Format(uint ownerUid, uint ownerGid)
    {
        VolumeLayout layout = _layout;
        ref Superblock super = ref ChangeSuper();
        super.Magic = Superblock.RightMagic;
        super.Version = Superblock.RightVersion;
        super.InodeBitmapPage = layout.InodeBitmapPage;
        super.BlockBitmapPage = layout.BlockBitmapPage;
        super.InodeTablePage = layout.InodeTablePage;
        super.DataPage = layout.DataPage;
        super.InodeCount = layout.InodeCount;
        super.BlockCount = layout.BlockCount;
        super.InodesFree = super.InodeCount - 1;
        super.BlocksFree = super.BlockCount;
        super.InodeHint = 2;
        super.NextGeneration = 1;
        // Inode 0 does not exist; inode 1 is the root.
        _region.Modify<ulong>((long)super.InodeBitmapPage * BlockBytes) = 3;
        ref Inode root = ref _region.Modify<Inode>(((long)super.InodeTablePage * BlockBytes) + Inode.SizeBytes);
        root.Mode = FileMode.Directory | 0x1ed;
        root.Nlink = 2;
        root.Uid = ownerUid;
        root.Gid = ownerGid;
        root.Parent = 1;
        root.Flags = InodeFlags.Inline;
    }

    public bool InodeExists(uint number) => number >= 1 && number <= Super.InodeCount;

    public ref readonly Inode GetInode(uint number) => ref _region.Get<Inode>(InodeAt(number));

    public ref Inode ChangeInode(uint number) => ref _region.Modify<Inode>(InodeAt(number));

    private long InodeAt(uint number) => ((long)_layout.InodeTablePage * BlockBytes) + ((long)number * Inode.SizeBytes);

    /// <summary>A page of the region, to read.</summary>
    public ReadOnlySpan<byte> Page(uint number) => _region.Read((long)number * BlockBytes, BlockBytes);

    /// <summary>A data block, to read. Blocks are numbered from 1; 0 is a hole.</summary>
    public ReadOnlySpan<byte> Block(uint number) => _region.Read(OffsetOf(number), BlockBytes);

    /// <summary>Part of a data block, to change.</summary>
    public Span<byte> ChangeBlock(uint number, int offset, int length) => _region.Modify(OffsetOf(number) + offset, length);

    public Span<byte> ChangeBlock(uint number) => _region.Modify(OffsetOf(number), BlockBytes);

    /// <summary>Makes a data block a copy of <paramref name="content"/>.</summary>
    public void SetBlock(uint number, ReadOnlySpan<byte> content) => _region.SetPage(OffsetOf(number), content);

    /// <summary>Where in the region a data block starts: a page's start.</summary>
    public long OffsetOf(uint number) => ((long)_layout.DataPage + number - 1) * BlockBytes;

    /// <summary>Whether an operation that needs at most so many new blocks can go ahead.</summary>
    public bool HasBlocks(long needed) => Super.BlocksFree >= needed + ReservedBlocks;

    /// <summary>A free block; its content is whatever it was before. The caller made sure that there is one.</summary>
    public uint AllocateBlock()
    {
        ref Superblock super = ref ChangeSuper();
        BfsCore.BfsAssert.That(super.BlocksFree > 0);
        uint bit = FindFree(_layout.BlockBitmapPage, super.BlockHint, super.BlockCount);
        SetBit(_layout.BlockBitmapPage, bit, true);
        super.BlocksFree--;
        super.BlockHint = bit + 1 == super.BlockCount ? 0 : bit + 1;
        return bit + 1;
    }

    public void FreeBlock(uint number)
    {
        SetBit(_layout.BlockBitmapPage, number - 1, false);
        ChangeSuper().BlocksFree++;
    }

    /// <summary>A free inode's number, lowest first; zero when there is none.</summary>
    public uint AllocateInode()
    {
        ref Superblock super = ref ChangeSuper();
        if (super.InodesFree == 0)
        {
            return 0;
        }
        uint number = FindFree(_layout.InodeBitmapPage, super.InodeHint, super.InodeCount + 1);
        SetBit(_layout.InodeBitmapPage, number, true);
        super.InodesFree--;
        super.InodeHint = number + 1;
        return number;
    }

    public void FreeInode(uint number)
    {
        SetBit(_layout.InodeBitmapPage, number, false);
        ref Superblock super = ref ChangeSuper();
        super.InodesFree++;
        super.InodeHint = Math.Min(super.InodeHint, number);
    }

    public bool InodeUsed(uint number) => GetBit(_layout.InodeBitmapPage, number);

    public bool BlockUsed(uint number) => GetBit(_layout.BlockBitmapPage, number - 1);

    /// <summary>First orphan that a client holds; zero when there is none.</summary>
    public uint OrphanHead(int client) => _region.Get<uint>((VolumeLayout.OrphanPage * BlockBytes) + (client * sizeof(uint)));

    public void SetOrphanHead(int client, uint inode) =>
        _region.Modify<uint>((VolumeLayout.OrphanPage * BlockBytes) + (client * sizeof(uint))) = inode;

    /// <summary>Clients whose orphans the volume can list.</summary>
    public static int MaxClients => BlockBytes / sizeof(uint);

    /// <summary>The first zero bit from a start, going round once. There must be one.</summary>
    private uint FindFree(uint bitmapPage, uint start, uint bits)
    {
        long words = ((long)bits + 63) / 64;
        long word = start / 64 % words;
        ulong ignore = start < bits ? (1UL << (int)(start % 64)) - 1 : 0;
        for (long i = 0; i <= words; i++)
        {
            ulong value = _region.Get<ulong>(((long)bitmapPage * BlockBytes) + (word * 8)) | ignore;
            ignore = 0;
            if (value != ulong.MaxValue)
            {
                uint bit = (uint)(word * 64) + (uint)System.Numerics.BitOperations.TrailingZeroCount(~value);
                if (bit < bits)
                {
                    return bit;
                }
            }
            word = word + 1 == words ? 0 : word + 1;
        }
        BfsCore.BfsAssert.Fail("a bitmap has no free bit though its count says so");
        return 0;
    }

    private bool GetBit(uint bitmapPage, uint bit) =>
        (_region.Get<ulong>(((long)bitmapPage * BlockBytes) + (bit / 64 * 8)) & (1UL << (int)(bit % 64))) != 0;

    private void SetBit(uint bitmapPage, uint bit, bool used)
    {
        ref ulong word = ref _region.Modify<ulong>(((long)bitmapPage * BlockBytes) + (bit / 64 * 8));
        ulong mask = 1UL << (int)(bit % 64);
        BfsCore.BfsAssert.That((word & mask) != 0 != used);
        word = used ? word | mask : word & ~mask;
    }
}
