using System.Runtime.InteropServices;
using BfsCore.FileProtocol;
using BfsCore.State;
using BfsReplica.Snfsd;

namespace BfsTests.Snfsd;

/// <summary>What a page of the state belongs to (for reports of what a recovery repaired, §5.3.3).</summary>
public sealed class PageOwnersTests
{
    private const int PageBytes = PagedState.PageBytes;
    private static readonly FileHandle Root = FileHandle.Root;

    private static StateRegion RegionOf(TestVolume volume) => volume.Pages.Window(0, volume.Pages.SizeBytes);

    private static long[] AllPages(TestVolume volume) => [.. Enumerable.Range(0, (int)volume.Pages.PageCount).Select(i => (long)i)];

    private static List<PageOwner> DescribeAll(TestVolume volume)
    {
        volume.Pages.ReadOnlyGuard = true;
        IReadOnlyList<PageOwner> owners = PageOwners.Describe(RegionOf(volume), AllPages(volume));
        volume.Pages.ReadOnlyGuard = false;
        return [.. owners];
    }

    private static string Describe(TestVolume volume, long page) => PageOwners.Describe(RegionOf(volume), [page])[0].ToString();

    private static ref readonly Inode InodeOf(TestVolume volume, FileHandle handle) => ref volume.Service.Volume.GetInode(handle.Inode);

    private static long PageOf(TestVolume volume, uint block) => volume.Service.Volume.Super.DataPage + block - 1;

    [Fact]
    public void Every_page_of_a_volume_is_attributed_as_its_content_says()
    {
        using var drive = new MarkedDrive();
        drive.Fill();
        Assert.Empty(ConsistencyCheck.Run(drive.Volume.Service));
        List<PageOwner> owners = DescribeAll(drive.Volume);
        drive.CheckBlocks(owners);
        drive.CheckInodeTable(owners);
    }

    [Fact]
    public void One_page_gets_the_same_answer_as_all()
    {
        using var drive = new MarkedDrive();
        drive.Fill();
        List<PageOwner> owners = DescribeAll(drive.Volume);
        for (int page = 0; page < owners.Count; page += 7)
        {
            Assert.Equal(owners[page].ToString(), Describe(drive.Volume, page));
        }
    }

    [Fact]
    public void The_texts_name_kind_inode_and_path()
    {
        using var volume = new TestVolume();
        Superblock super = volume.Service.Volume.Super;
        Assert.Equal($"inode table: inode 1 (/)", Describe(volume, super.InodeTablePage));
        FileHandle directory = volume.NewDirectory(Root, "src");
        FileHandle file = volume.NewFile(directory, "main.c");
        for (ulong i = 0; i < 14; i++)
        {
            volume.Write(file, i * PageBytes, [1]);
        }
        FileHandle held = volume.NewFile(Root, "tab\t\\\u202eü");
        volume.Write(held, 0, new byte[5000]);
        for (int i = 0; i < 300; i++)
        {
            volume.NewFile(directory, $"a name to fill the directory {i}");
        }
        Assert.Equal("superblock", Describe(volume, 0));
        Assert.Equal("lists of open-unlinked files", Describe(volume, 1));
        Assert.Equal("bitmap of inodes", Describe(volume, super.InodeBitmapPage));
        Assert.Equal("bitmap of blocks", Describe(volume, super.BlockBitmapPage));
        Assert.Equal(@"inode table: inode 1 (/), inode 2 (/src), inode 3 (/src/main.c) and 4 more", Describe(volume, super.InodeTablePage));
        Assert.Equal("inode table: no inode in use", Describe(volume, super.DataPage - 1));
        Assert.Equal("block 3 of inode 3 (/src/main.c)", Describe(volume, PageOf(volume, InodeOf(volume, file).Map[3])));
        Assert.Equal("indirect block of inode 3 (/src/main.c)", Describe(volume, PageOf(volume, InodeOf(volume, file).Map[12])));
        Assert.Equal("directory index of inode 2 (/src)", Describe(volume, PageOf(volume, InodeOf(volume, directory).Map[0])));
        Assert.Equal("free block", Describe(volume, volume.Pages.PageCount - 1));
        Assert.Equal("outside the file system", Describe(volume, volume.Pages.PageCount));
        Assert.Equal("outside the file system", Describe(volume, -1));
        long page = PageOf(volume, InodeOf(volume, held).Map[1]);
        Assert.Equal(@"block 1 of inode 4 (/tab\011\134\342\200\256ü)", Describe(volume, page));
        volume.Unlink(Root, "tab\t\\\u202eü", held);
        Assert.Equal("block 1 of open-unlinked file inode 4 (no name)", Describe(volume, page));
        volume.ReleaseOrphan(held);
        Assert.Equal("free block", Describe(volume, page));
    }

    [Fact]
    public void The_record_gives_the_same_as_fields()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        volume.Write(file, 13 * PageBytes, [1]);
        IReadOnlyList<PageOwner> owners = PageOwners.Describe(RegionOf(volume),
            [0, PageOf(volume, InodeOf(volume, file).Map[12]), PageOf(volume, InodeOf(volume, file).Map[12]) + 1]);
        Assert.Equal((PageKind.Superblock, 0u, null, null), (owners[0].Kind, owners[0].Inode, owners[0].Path, owners[0].BlockIndex));
        Assert.Equal((PageKind.IndirectBlock, 2u, "/f", 12L), (owners[1].Kind, owners[1].Inode, owners[1].Path!, owners[1].BlockIndex!.Value));
        Assert.Equal((PageKind.FileBlock, 2u, "/f", 13L), (owners[2].Kind, owners[2].Inode, owners[2].Path!, owners[2].BlockIndex!.Value));
    }

    [Fact]
    public void Pages_of_the_library_are_the_reply_table()
    {
        const long TableBytes = 5 * PageBytes;
        using var pages = new PagedState(TableBytes + (16 << 20));
        using var volume = new TestVolume();
        StateRegion region = pages.Window(TableBytes, 16 << 20);
        RegionOf(volume).Read(0, 16 << 20).CopyTo(region.Modify(0, 16 << 20));
        IReadOnlyList<PageOwner> owners = PageOwners.Describe(region, TableBytes, [0, 4, 5, 6, pages.PageCount, -1]);
        Assert.Equal(["reply table", "reply table", "superblock", "lists of open-unlinked files", "outside the file system",
            "outside the file system"], owners.Select(owner => owner.ToString()));
        Assert.Equal([0, 4, 5, 6, pages.PageCount, -1], owners.Select(owner => owner.Page));
    }

    [Fact]
    public void A_very_long_path_loses_its_front()
    {
        using var volume = new TestVolume();
        FileHandle directory = Root;
        for (int i = 0; i < 40; i++)
        {
            directory = volume.NewDirectory(directory, new string('d', 250));
        }
        FileHandle file = volume.NewFile(directory, "deep");
        volume.Write(file, 0, new byte[4000]);
        string path = PageOwners.Describe(RegionOf(volume), [PageOf(volume, InodeOf(volume, file).Map[0])])[0].Path!;
        Assert.StartsWith("/.../ddd", path, StringComparison.Ordinal);
        Assert.EndsWith("d/deep", path, StringComparison.Ordinal);
        Assert.InRange(path.Length, 4096, 4400);
    }

    [Fact]
    public void A_damaged_leaf_is_unreadable_and_so_are_the_paths_through_it()
    {
        using var volume = new TestVolume();
        FileHandle directory = volume.NewDirectory(Root, "src");
        FileHandle file = volume.NewFile(directory, "main.c");
        volume.Write(file, 0, new byte[4000]);
        for (int i = 0; i < 20; i++)
        {
            volume.NewFile(directory, $"a name to fill the directory {i}");
        }
        uint leaf = InodeOf(volume, directory).Map[0];
        volume.Service.Volume.ChangeBlock(leaf, 2, 8).Fill(0xff);
        Assert.Equal("unreadable directory leaf of inode 2 (/src)", Describe(volume, PageOf(volume, leaf)));
        volume.Service.Volume.ChangeBlock(leaf).Clear();
        Assert.Equal("block 0 of inode 3 (unreadable path)", Describe(volume, PageOf(volume, InodeOf(volume, file).Map[0])));
    }

    [Fact]
    public void Other_damage_is_named_where_it_is()
    {
        using var volume = new TestVolume();
        Volume layout = volume.Service.Volume;
        FileHandle file = volume.NewFile(Root, "f");
        volume.Write(file, 0, new byte[PageBytes * 2]);
        volume.Write(file, 12 * PageBytes, [1]);
        Inode inode = InodeOf(volume, file);
        layout.ChangeBlock(inode.Map[12], 400, 4).Fill(0xff);
        Assert.Equal("unreadable indirect block of inode 2 (/f)", Describe(volume, PageOf(volume, inode.Map[12])));
        layout.ChangeInode(2).Map[0] = 0;
        Assert.Equal("unreadable owner of a block in use", Describe(volume, PageOf(volume, inode.Map[0])));
        layout.ChangeInode(2).Flags = (InodeFlags)64;
        Assert.Equal("inode table: inode 1 (/), unreadable inode 2 (/f)", Describe(volume, layout.Super.InodeTablePage));
        layout.ChangeInode(2) = default;
        Assert.Equal("inode table: inode 1 (/), unreadable inode 2 (/f)", Describe(volume, layout.Super.InodeTablePage));
        layout.SetOrphanHead(3, uint.MaxValue);
        Assert.Equal("unreadable lists of open-unlinked files", Describe(volume, 1));
        layout.ChangeSuper().DataPage++;
        Assert.Equal("unreadable superblock", Describe(volume, 0));
    }

    [Fact]
    public void The_bitmap_of_inodes_need_not_be_right()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        volume.Write(file, 0, new byte[4000]);
        RegionOf(volume).Modify((long)volume.Service.Volume.Super.InodeBitmapPage * PageBytes, PageBytes).Clear();
        Assert.Equal("block 0 of inode 2 (/f)", Describe(volume, PageOf(volume, InodeOf(volume, file).Map[0])));
    }

    [Fact]
    public void A_directory_that_contains_itself_ends()
    {
        using var volume = new TestVolume();
        FileHandle directory = volume.NewDirectory(Root, "a");
        for (int i = 0; i < 300; i++)
        {
            volume.NewFile(directory, $"a name to fill the directory {i}");
        }
        uint index = InodeOf(volume, directory).Map[0];
        for (int i = 0; i < PageBytes; i += 8)
        {
            MemoryMarshal.Write(volume.Service.Volume.ChangeBlock(index, i, 4), index | (1u << 31));
        }
        Assert.Equal("directory index of inode 2 (/a)", Describe(volume, PageOf(volume, index)));
        Assert.Equal(volume.Pages.PageCount, DescribeAll(volume).Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(14)]
    [InlineData(64)]
    public void A_region_of_any_size_and_content_gives_answers(int pageCount)
    {
        foreach (byte content in new byte[] { 0, 0xff, 0x41 })
        {
            using var pages = new PagedState(pageCount * PageBytes);
            StateRegion region = pages.Window(0, pages.SizeBytes);
            region.Modify(0, (int)pages.SizeBytes).Fill(content);
            IReadOnlyList<PageOwner> owners = PageOwners.Describe(region, [.. Enumerable.Range(-1, pageCount + 2)]);
            Assert.Equal(pageCount + 2, owners.Count);
            Assert.All(owners, owner => Assert.NotEmpty(owner.ToString()));
        }
    }

    [Fact]
    public void Random_damage_never_throws_and_never_hangs()
    {
        using var drive = new MarkedDrive();
        drive.Fill();
        StateRegion region = RegionOf(drive.Volume);
        byte[] right = region.Read(0, (int)region.SizeBytes).ToArray();
        int unreadable = 0;
        for (int seed = 0; seed < 60; seed++)
        {
            right.CopyTo(region.Modify(0, right.Length));
            Damage(region, drive.Volume.Service.Volume.Super, new Random(seed));
            List<PageOwner> owners = DescribeAll(drive.Volume);
            Assert.Equal(drive.Volume.Pages.PageCount, owners.Count);
            unreadable += owners.Count(owner => owner.ToString().Contains("unreadable", StringComparison.Ordinal));
            Assert.Equal(owners.Select(owner => owner.ToString()), DescribeAll(drive.Volume).Select(owner => owner.ToString()));
        }
        Assert.True(unreadable > 1000);
    }

    /// <summary>Random bytes, words that may be block numbers, and pages that stand where others belong.</summary>
    private static void Damage(StateRegion region, Superblock super, Random random)
    {
        int pages = (int)(region.SizeBytes / PageBytes);
        // Pages with structures are hit more often than chance would.
        int used = (int)super.DataPage + (int)(super.BlockCount - super.BlocksFree);
        for (int i = random.Next(1, 60); i > 0; i--)
        {
            int page = random.Next(3) == 0 ? random.Next((int)super.InodeTablePage + 8) : random.Next(Math.Min(used + 100, pages));
            Span<byte> bytes = region.Modify((long)page * PageBytes, PageBytes);
            switch (random.Next(4))
            {
                case 0:
                    random.NextBytes(bytes);
                    break;
                case 1:
                    bytes[random.Next(PageBytes)] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    region.Read((long)random.Next(pages) * PageBytes, PageBytes).CopyTo(bytes);
                    break;
                default:
                    foreach (ref uint word in MemoryMarshal.Cast<byte, uint>(bytes))
                    {
                        word = random.Next(2) == 0 ? word : (uint)random.Next(used) | ((uint)random.Next(2) << 31);
                    }
                    break;
            }
        }
    }
}
