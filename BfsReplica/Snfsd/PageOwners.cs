using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsCore.State;

namespace BfsReplica.Snfsd;

/// <summary>
/// Says in the file system's terms what pages of the state belong to (say, those that a recovery found corrupt, §5.3.3).
/// Total: the region may hold anything; where it makes no sense the answer says so, and every structure is read a bounded
/// number of times. Same bytes, same answers. Nothing is changed.
/// </summary>
public static class PageOwners
{
    /// <summary>
    /// One owner for each page, in the order of the pages. However many there are, the block maps are read once, and the
    /// directory tree once.
    /// </summary>
    /// <param name="region">The service's part of the state.</param>
    /// <param name="pages">Numbers of pages of 4 KB of the region, from 0.</param>
    public static IReadOnlyList<PageOwner> Describe(StateRegion region, IReadOnlyList<long> pages) =>
        new Search(region, pages).Run();

    /// <summary>The same for pages of the whole state, the library's included.</summary>
    /// <param name="region">The service's part of the state.</param>
    /// <param name="regionStart">The byte of the state where the region starts, a multiple of 4096.</param>
    /// <param name="pages">Numbers of pages of the state, from 0.</param>
    public static IReadOnlyList<PageOwner> Describe(StateRegion region, long regionStart, IReadOnlyList<long> pages)
    {
        long firstPage = regionStart / Volume.BlockBytes;
        var inRegion = new long[pages.Count];
        for (int i = 0; i < inRegion.Length; i++)
        {
            inRegion[i] = pages[i] >= firstPage ? pages[i] - firstPage : -1;
        }
        var owners = new List<PageOwner>(pages.Count);
        foreach (PageOwner owner in Describe(region, inRegion))
        {
            long page = pages[owners.Count];
            owners.Add(page >= 0 && page < firstPage
                ? new PageOwner(page, PageKind.ReplyTable)
                : owner with { Page = page });
        }
        return owners;
    }

    /// <summary>Who refers to a block that was asked for; the inode is 0 as long as nobody is found.</summary>
    private record struct Claim(PageKind Kind, uint Inode, long? Index);

    private sealed class Search(StateRegion region, IReadOnlyList<long> pages)
    {
        private const int InodesPerPage = Volume.BlockBytes / Inode.SizeBytes;

        private readonly VolumeLayout _layout = VolumeLayout.For(region.SizeBytes);
        private readonly Dictionary<uint, Claim> _claims = [];
        private readonly HashSet<(uint Block, PageKind Kind, int Level)> _read = [];
        private InodePaths _paths = null!;
        private Volume _volume = null!;
        private BlockMap _map = null!;
        private Directory _directories = null!;
        private int _unclaimed;
        private uint _current;

        public List<PageOwner> Run()
        {
            var owners = new List<PageOwner>(pages.Count);
            if (!_layout.Fits)
            {
                foreach (long page in pages)
                {
                    owners.Add(new PageOwner(page, PageKind.Outside));
                }
                return owners;
            }
            _volume = new Volume(region, _layout);
            _map = new BlockMap(_volume);
            _directories = new Directory(_volume);
            _paths = new InodePaths(_volume, _directories, _layout);
            FindClaims();
            WantPaths();
            _paths.Find();
            foreach (long page in pages)
            {
                owners.Add(OwnerOf(page));
            }
            return owners;
        }

        private PageKind KindOf(long page) =>
            page < 0 || page >= (long)_layout.DataPage + _layout.BlockCount ? PageKind.Outside
            : page == 0 ? PageKind.Superblock
            : page < _layout.InodeBitmapPage ? PageKind.OrphanLists
            : page < _layout.BlockBitmapPage ? PageKind.InodeBitmap
            : page < _layout.InodeTablePage ? PageKind.BlockBitmap
            : page < _layout.DataPage ? PageKind.InodeTable
            : PageKind.FreeBlock;

        private uint BlockOn(long page) => (uint)(page - _layout.DataPage) + 1;

        /// <summary>
        /// Looks through the inodes that are marked used; through the others only if that leaves a used block without owner,
        /// because then the marks may be what is damaged.
        /// </summary>
        private void FindClaims()
        {
            foreach (long page in pages)
            {
                if (KindOf(page) == PageKind.FreeBlock && _claims.TryAdd(BlockOn(page), default))
                {
                    _unclaimed++;
                }
            }
            ClaimFor(marked: true);
            foreach ((uint block, Claim claim) in _claims)
            {
                if (claim.Inode == 0 && _volume.BlockUsed(block))
                {
                    ClaimFor(marked: false);
                    return;
                }
            }
        }

        private void ClaimFor(bool marked)
        {
            MapVisitor onFile = OnFileBlock;
            DirectoryVisitor onDirectory = OnDirectoryBlock;
            for (uint number = 1; number <= _layout.InodeCount && _unclaimed > 0; number++)
            {
                ref readonly Inode inode = ref _volume.GetInode(number);
                _current = number;
                if (_volume.InodeUsed(number) != marked || inode.Mode == 0)
                {
                    continue;
                }
                if (inode.IsDirectory)
                {
                    _directories.VisitBlocks(inode, onDirectory);
                }
                else if (!inode.IsInline)
                {
                    _map.Visit(inode, onFile);
                }
            }
        }

        private bool OnFileBlock(uint block, int levels, long index)
        {
            PageKind kind = levels == 0 ? PageKind.FileBlock : PageKind.IndirectBlock;
            return OnBlock(block, kind, index) && levels > 0 && _read.Add((block, kind, levels));
        }

        private bool OnDirectoryBlock(uint block, bool isIndex, int level)
        {
            PageKind kind = isIndex ? PageKind.DirectoryIndex : PageKind.DirectoryLeaf;
            return OnBlock(block, kind, null) && isIndex && _read.Add((block, kind, level));
        }

        /// <summary>Of several that refer to a block, which only damage brings about, the lowest inode counts.</summary>
        /// <returns>Whether there is such a block.</returns>
        private bool OnBlock(uint block, PageKind kind, long? index)
        {
            ref Claim claim = ref CollectionsMarshal.GetValueRefOrNullRef(_claims, block);
            if (!Unsafe.IsNullRef(ref claim) && claim.Inode == 0)
            {
                claim = new Claim(kind, _current, index);
                _unclaimed--;
            }
            return _layout.HasBlock(block);
        }

        private void WantPaths()
        {
            foreach (long page in pages)
            {
                switch (KindOf(page))
                {
                    case PageKind.InodeTable:
                        InodesOn(page, out List<uint> named, out _);
                        named.ForEach(_paths.Want);
                        break;
                    case PageKind.FreeBlock when _claims[BlockOn(page)] is { Inode: > 0 } claim:
                        _paths.Want(claim.Inode);
                        break;
                }
            }
        }

        /// <summary>The inodes of a page that are in use, or marked so though they are not (then they are damaged).</summary>
        private void InodesOn(long page, out List<uint> named, out int more)
        {
            named = [];
            more = 0;
            long first = (page - _layout.InodeTablePage) * InodesPerPage;
            for (long number = Math.Max(1, first); number < first + InodesPerPage && number <= _layout.InodeCount; number++)
            {
                if (_volume.GetInode((uint)number).Mode == 0 && !_volume.InodeUsed((uint)number))
                {
                    continue;
                }
                if (named.Count < PageOwner.MaxNamed)
                {
                    named.Add((uint)number);
                }
                else
                {
                    more++;
                }
            }
        }

        private PageOwner OwnerOf(long page)
        {
            PageKind kind = KindOf(page);
            switch (kind)
            {
                case PageKind.Superblock:
                    return new PageOwner(page, kind) { IsUnreadable = !SuperblockIsRight() };
                case PageKind.OrphanLists:
                    return new PageOwner(page, kind) { IsUnreadable = !OrphanListsAreRight() };
                case PageKind.InodeTable:
                    InodesOn(page, out List<uint> named, out int more);
                    return new PageOwner(page, kind) { Inodes = named.ConvertAll(Name), MoreInodes = more };
                case PageKind.FreeBlock:
                    return OwnerOfBlock(page, BlockOn(page));
                default:
                    return new PageOwner(page, kind);
            }
        }

        private PageOwner OwnerOfBlock(long page, uint block)
        {
            Claim claim = _claims[block];
            if (claim.Inode != 0)
            {
                return new PageOwner(page, claim.Kind)
                {
                    Inodes = [Name(claim.Inode)],
                    BlockIndex = claim.Index,
                    IsUnreadable = !IsRight(claim.Kind, _volume.Block(block)),
                };
            }
            return _volume.BlockUsed(block)
                ? new PageOwner(page, PageKind.LostBlock) { IsUnreadable = true }
                : new PageOwner(page, PageKind.FreeBlock);
        }

        private bool SuperblockIsRight()
        {
            ref readonly Superblock super = ref _volume.Super;
            return !_volume.Page(0).ContainsAnyExcept((byte)0)
                || (super.Magic == Superblock.RightMagic && super.Version == Superblock.RightVersion
                    && super.InodeCount == _layout.InodeCount && super.BlockCount == _layout.BlockCount
                    && super.InodeBitmapPage == _layout.InodeBitmapPage && super.BlockBitmapPage == _layout.BlockBitmapPage
                    && super.InodeTablePage == _layout.InodeTablePage && super.DataPage == _layout.DataPage
                    && super.InodesFree <= super.InodeCount && super.BlocksFree <= super.BlockCount);
        }

        private bool OrphanListsAreRight()
        {
            for (int client = 0; client < Volume.MaxClients; client++)
            {
                if (_volume.OrphanHead(client) > _layout.InodeCount)
                {
                    return false;
                }
            }
            return true;
        }

        private bool IsRight(PageKind kind, ReadOnlySpan<byte> block)
        {
            if (kind == PageKind.DirectoryLeaf)
            {
                return Leaf.IsRight(block);
            }
            bool right = true;
            foreach (uint pointer in MemoryMarshal.Cast<byte, uint>(kind == PageKind.FileBlock ? default : block))
            {
                right &= pointer == 0 || _layout.HasBlock(kind == PageKind.DirectoryIndex ? Directory.BlockOf(pointer) : pointer);
            }
            return right;
        }

        private PageInode Name(uint number)
        {
            ref readonly Inode inode = ref _volume.GetInode(number);
            string? path = _paths.PathOf(number);
            return new PageInode(number, path, inode.IsDirectory, path == null && inode.Nlink == 0 && inode.OrphanOwner != 0,
                !inode.IsPlausible);
        }
    }
}
