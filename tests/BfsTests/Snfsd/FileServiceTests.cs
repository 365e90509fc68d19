using BfsCore.FileProtocol;

namespace BfsTests.Snfsd;

/// <summary>snfsd (§6.3): what the operations do, by example.</summary>
public sealed class FileServiceTests
{
    private static readonly FileHandle Root = FileHandle.Root;

    private static byte[] Pattern(int bytes, int seed = 1) => [.. Enumerable.Range(0, bytes).Select(i => (byte)((i * 31) + (i >> 8) + seed))];

    [Theory]
    [InlineData(0, 10)]
    [InlineData(0, 416)]
    [InlineData(0, 417)]
    [InlineData(400, 100)]
    [InlineData(4090, 20)]
    [InlineData(50_000, 61_440)]
    [InlineData(4_300_000, 9_000)]
    public void What_is_written_is_read_with_zeros_before_it(int offset, int bytes)
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        byte[] data = Pattern(bytes);
        Reply reply = volume.Write(file, (ulong)offset, data);
        Assert.Equal(Errno.Ok, reply.Status);
        Assert.Equal((ulong)(offset + bytes), reply.Attributes().SizeBytes);
        Assert.Equal(data, volume.Read(file, (ulong)offset, 61_440).Body);
        if (offset > 0)
        {
            Assert.Equal(new byte[Math.Min(offset, 5000)], volume.Read(file, 0, (uint)Math.Min(offset, 5000)).Body);
        }
        Assert.Empty(volume.Read(file, (ulong)(offset + bytes), 100).Body);
    }

    [Fact]
    public void A_short_file_that_grows_keeps_its_content()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        volume.Write(file, 0, Pattern(300));
        volume.Write(file, 10_000, Pattern(10));
        Assert.Equal(Pattern(300), volume.Read(file, 0, 300).Body);
        Assert.Equal(new byte[500], volume.Read(file, 300, 500).Body);
    }

    [Fact]
    public void A_byte_at_a_terabyte_takes_little_space_and_gives_it_back()
    {
        using var volume = new TestVolume();
        (ulong before, _) = volume.Free();
        FileHandle file = volume.NewFile(Root, "sparse");
        Assert.Equal(Errno.Ok, volume.Write(file, 1UL << 40, [42]).Status);
        Assert.Equal(4u * 8, volume.GetAttr(file).Attributes().Blocks512);
        Assert.Equal([42], volume.Read(file, 1UL << 40, 10).Body);
        Assert.Equal(Errno.EFBIG, volume.Write(file, 1UL << 43, [1]).Status);
        Assert.Equal(Errno.Ok, volume.SetAttr(file, SetAttrMask.Size, size: 5).Status);
        Assert.Equal(before, volume.Free().BlocksFree);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(416)]
    [InlineData(417)]
    [InlineData(5_000)]
    [InlineData(61_440)]
    public void Opening_brings_the_content_of_a_file_that_is_not_larger_than_wanted(int bytes)
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        volume.Write(file, 0, Pattern(bytes));
        Reply opened = volume.Open(file, (uint)bytes);
        Assert.Equal(volume.GetAttr(file).Attributes(), opened.Attributes());
        Assert.Equal(Pattern(bytes), opened.Content);
        volume.Write(file, (ulong)bytes, [1]);
        opened = volume.Open(file, (uint)bytes);
        Assert.Equal((Errno.Ok, (ulong)bytes + 1, 0), (opened.Status, opened.Attributes().SizeBytes, opened.Content.Length));
    }

    [Fact]
    public void Opening_brings_no_content_of_what_is_no_file_or_may_not_be_read()
    {
        using var volume = new TestVolume();
        FileHandle secret = volume.NewFile(Root, "secret", 0x180);
        FileHandle none = volume.NewFile(Root, "none", 0);
        FileHandle program = volume.NewFile(Root, "program", 0x49);
        foreach (FileHandle file in new[] { secret, none, program })
        {
            volume.Write(file, 0, Pattern(100));
        }
        FileHandle link = volume.Symlink(Root, "link", "target").Handle;
        FileHandle device = volume.Mknod(Root, "device", 0x2000 | 0x1b6, 5).Handle;
        foreach (FileHandle other in new[] { Root, link, device })
        {
            Reply opened = volume.Open(other, FileLimits.MaxTransferBytes);
            Assert.Equal((Errno.Ok, other, 0), (opened.Status, opened.Handle, opened.Content.Length));
        }
        (volume.Uid, volume.Gid) = (1000, 1000);
        Assert.Equal((Errno.Ok, 0), (volume.Open(secret, 1000).Status, volume.Open(secret, 1000).Content.Length));
        Assert.Equal((Errno.Ok, 0), (volume.Open(none, 1000).Status, volume.Open(none, 1000).Content.Length));
        Assert.Equal(Pattern(100), volume.Open(program, 1000).Content);
    }

    [Fact]
    public void Opening_with_bad_arguments_is_refused()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        Assert.Equal(Errno.EINVAL, volume.Open(file, FileLimits.MaxTransferBytes + 1).Status);
        Assert.Equal(Errno.EINVAL, volume.Call(FileOp.Open, (ref WireWriter w) => w.Handle(file)).Status);
        Assert.Equal(Errno.EINVAL, volume.Call(FileOp.Open, (ref WireWriter w) => w.U16(1)).Status);
        volume.Unlink(Root, "f");
        Assert.Equal(Errno.ESTALE, volume.Open(file, 10).Status);
    }

    [Fact]
    public void Truncation_leaves_no_old_bytes()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        volume.Write(file, 0, Pattern(20_000));
        volume.SetAttr(file, SetAttrMask.Size, size: 5_000);
        volume.SetAttr(file, SetAttrMask.Size, size: 20_000);
        Assert.Equal([.. Pattern(5_000), .. new byte[15_000]], volume.Read(file, 0, 20_000).Body);
        volume.SetAttr(file, SetAttrMask.Size, size: 0);
        volume.SetAttr(file, SetAttrMask.Size, size: 300);
        Assert.Equal(new byte[300], volume.Read(file, 0, 1000).Body);
    }

    [Fact]
    public void A_stale_handle_never_reaches_another_file()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "a");
        Assert.Equal(Errno.Ok, volume.Unlink(Root, "a").Status);
        FileHandle again = volume.NewFile(Root, "b");
        Assert.Equal(file.Inode, again.Inode);
        Assert.NotEqual(file.Generation, again.Generation);
        Assert.Equal(Errno.ESTALE, volume.GetAttr(file).Status);
        Assert.Equal(Errno.ESTALE, volume.Write(file, 0, [1]).Status);
        Assert.Equal(Errno.ESTALE, volume.GetAttr(new FileHandle(0, 0)).Status);
        Assert.Equal(Errno.ESTALE, volume.GetAttr(new FileHandle(uint.MaxValue, 0)).Status);
    }

    [Fact]
    public void An_orphan_lives_until_its_mount_lets_go()
    {
        using var volume = new TestVolume();
        (ulong blocks, ulong inodes) = volume.Free();
        FileHandle a = volume.NewFile(Root, "a");
        FileHandle b = volume.NewFile(Root, "b");
        FileHandle c = volume.NewFile(Root, "c");
        volume.Write(a, 0, Pattern(9_000));
        Assert.Equal(1, volume.Unlink(Root, "a", a).Body[0]);
        Assert.Equal(1, volume.Rename(Root, "c", Root, "b", RenameFlags.None, b).Body[0]);
        Assert.Equal(Errno.ENOENT, volume.Lookup(Root, "a").Status);
        Assert.Equal(0u, volume.GetAttr(a).Attributes().Nlink);
        Assert.Equal(Pattern(9_000), volume.Read(a, 0, 9_000).Body);
        Assert.Equal(Errno.Ok, volume.Write(a, 3, [9]).Status);
        Assert.Equal(Errno.ENOENT, volume.Link(a, Root, "back").Status);
        volume.Client = 1;
        Assert.Equal(Errno.EINVAL, volume.ReleaseOrphan(a).Status);
        Assert.Equal(Errno.Ok, volume.ReclaimOrphans().Status);
        volume.Client = 0;
        Assert.Equal(Errno.Ok, volume.ReleaseOrphan(a).Status);
        Assert.Equal(Errno.ESTALE, volume.GetAttr(a).Status);
        Assert.Equal(Errno.Ok, volume.GetAttr(b).Status);
        Assert.Equal(Errno.Ok, volume.ReclaimOrphans().Status);
        Assert.Equal(Errno.ESTALE, volume.GetAttr(b).Status);
        Assert.Equal(Errno.Ok, volume.Unlink(Root, "b").Status);
        Assert.Equal((blocks, inodes), volume.Free());
        Assert.Equal(Errno.ESTALE, volume.GetAttr(c).Status);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(40)]
    [InlineData(500)]
    [InlineData(20_000)]
    public void A_directory_lists_finds_and_removes_every_name(int count)
    {
        using var volume = new TestVolume(256 << 20);
        (ulong blocks, ulong inodes) = volume.Free();
        FileHandle directory = volume.NewDirectory(Root, "d");
        for (int i = 0; i < count; i++)
        {
            volume.NewFile(directory, $"name-{i}");
        }
        Assert.Equal(Errno.EEXIST, volume.Create(directory, "name-3", exclusive: true).Status);
        Assert.Equal(Errno.ENOTEMPTY, volume.Rmdir(Root, "d").Status);
        List<Entry> all = volume.ListAll(directory, 60_000);
        Assert.Equal(count + 2, all.Count);
        Assert.Equal(count + 2, all.Select(e => e.Name).Distinct().Count());
        Assert.Equal([".", ".."], all.Take(2).Select(e => e.Name));
        Assert.Equal([all[^1]], all.Where(e => e.NextCookie == FileLimits.EndCookie));
        Assert.Empty(volume.List(directory, FileLimits.EndCookie));
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(Errno.Ok, volume.Unlink(directory, $"name-{i}").Status);
        }
        Assert.Equal(2, volume.ListAll(directory).Count);
        Assert.Equal(Errno.Ok, volume.Rmdir(Root, "d").Status);
        Assert.Equal((blocks, inodes), volume.Free());
    }

    [Fact]
    public void A_listing_neither_skips_nor_repeats_what_stays()
    {
        using var volume = new TestVolume(64 << 20);
        var stay = new HashSet<string>();
        for (int i = 0; i < 1000; i++)
        {
            volume.NewFile(Root, $"stay-{i}");
            volume.NewFile(Root, $"go-{i}");
            stay.Add($"stay-{i}");
        }
        var seen = new List<string>();
        ulong cookie = 0;
        int round = 0;
        for (List<Entry> some = volume.List(Root, cookie); some.Count > 0; some = volume.List(Root, cookie))
        {
            seen.AddRange(some.Select(e => e.Name));
            cookie = some[^1].NextCookie;
            for (int i = round * 20; i < Math.Min(1000, (round * 20) + 20); i++)
            {
                volume.Unlink(Root, $"go-{i}");
                volume.NewFile(Root, $"new-{i}");
            }
            round++;
        }
        Assert.Equal(stay.Order(), seen.Where(n => n.StartsWith("stay", StringComparison.Ordinal)).Order());
    }

    [Fact]
    public void Costs_do_not_grow_with_the_directory()
    {
        using var volume = new TestVolume(512 << 20);
        long small = PagesOfOneCreate(volume, 10, "s");
        long large = PagesOfOneCreate(volume, 50_000, "l");
        Assert.InRange(large, 1, small + 2);
    }

    private static long PagesOfOneCreate(TestVolume volume, int entries, string name)
    {
        FileHandle directory = volume.NewDirectory(Root, name);
        for (int i = 0; i < entries; i++)
        {
            volume.NewFile(directory, $"name-{i}");
        }
        long most = 0;
        for (int i = 0; i < 20; i++)
        {
            volume.Pages.TakeCheckpoint(volume.Pages.LastCheckpoint.Next);
            volume.Pages.DiscardBefore(volume.Pages.LastCheckpoint);
            volume.NewFile(directory, $"one-more-{i}");
            most = Math.Max(most, volume.Pages.ModifiedPagesInEpoch);
        }
        return most;
    }

    [Fact]
    public void A_full_drive_says_so_and_loses_nothing()
    {
        using var volume = new TestVolume(2 << 20);
        FileHandle file = volume.NewFile(Root, "big");
        ulong written = 0;
        byte[] piece = Pattern(61_440);
        Errno status;
        while ((status = volume.Write(file, written, piece).Status) == Errno.Ok)
        {
            written += (ulong)piece.Length;
        }
        Assert.Equal(Errno.ENOSPC, status);
        Assert.Equal(written, volume.GetAttr(file).Attributes().SizeBytes);
        Assert.Equal(piece, volume.Read(file, written - (ulong)piece.Length, 61_440).Body);
        int made = 0;
        while ((status = volume.Create(Root, $"file-with-a-long-name-{made}", exclusive: true).Status) == Errno.Ok)
        {
            made++;
        }
        Assert.Equal(Errno.ENOSPC, status);
        Assert.Equal(made + 3, volume.ListAll(Root).Count);
        Assert.Equal(Errno.Ok, volume.Unlink(Root, "big").Status);
        Assert.Equal(Errno.Ok, volume.Create(Root, "now-there-is-room").Status);
    }

    [Fact]
    public void Parts_are_written_in_their_order()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        Reply reply = volume.WriteParts(file, 0, (8_000, Pattern(4_000)), (0, Pattern(64)), (10, [9, 9]), (30_000, []));
        Assert.Equal(Errno.Ok, reply.Status);
        Assert.Equal(12_000ul, reply.Attributes().SizeBytes);
        byte[] expected = new byte[12_000];
        Pattern(64).CopyTo(expected, 0);
        expected[10] = expected[11] = 9;
        Pattern(4_000).CopyTo(expected, 8_000);
        Assert.Equal(expected, volume.Read(file, 0, 61_440).Body);
    }

    [Fact]
    public void What_came_before_the_part_that_fails_stays()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        Assert.Equal(Errno.EFBIG, volume.WriteParts(file, 0, (0, Pattern(100)), (1UL << 43, [1]), (200, [1])).Status);
        Assert.Equal(Pattern(100), volume.Read(file, 0, 61_440).Body);
    }

    /// <summary>Parts that do not say what they are made of, and what only a Write may ask for.</summary>
    [Theory]
    [InlineData(0, 0, new int[0], 0)]
    [InlineData(0, 33, new int[0], 0)]
    [InlineData(0, 2, new[] { 5, 5 }, 9)]
    [InlineData(0, 2, new[] { 5, 5 }, 11)]
    [InlineData(0, 3, new[] { 5, 5 }, 10)]
    [InlineData(1, 2, new[] { 5, 5 }, 10)]
    [InlineData(4, 2, new[] { 5, 5 }, 10)]
    [InlineData(0, 2, new[] { 61_440, 1 }, 61_441)]
    public void Parts_that_make_no_sense_change_nothing(byte flags, byte count, int[] bytes, int dataBytes)
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        Reply reply = volume.Call(FileOp.WriteParts, (ref WireWriter w) =>
        {
            w.Handle(file);
            w.U8(flags);
            w.U8(count);
            foreach (int length in bytes)
            {
                w.U64(0);
                w.U16((ushort)length);
            }
            w.Bytes(new byte[dataBytes]);
        });
        Assert.Equal(Errno.EINVAL, reply.Status);
        Assert.Equal(0ul, volume.GetAttr(file).Attributes().SizeBytes);
    }

    [Fact]
    public void Rename_follows_posix()
    {
        using var volume = new TestVolume();
        FileHandle d1 = volume.NewDirectory(Root, "d1");
        FileHandle d2 = volume.NewDirectory(d1, "d2");
        FileHandle f = volume.NewFile(Root, "f");
        Assert.Equal(Errno.EINVAL, volume.Rename(Root, "d1", d2, "x").Status);
        Assert.Equal(Errno.ENOTDIR, volume.Rename(Root, "d1", Root, "f").Status);
        Assert.Equal(Errno.EISDIR, volume.Rename(Root, "f", Root, "d1").Status);
        Assert.Equal(Errno.EEXIST, volume.Rename(Root, "f", Root, "d1", RenameFlags.NoReplace).Status);
        Assert.Equal(Errno.ENOENT, volume.Rename(Root, "f", Root, "none", RenameFlags.Exchange).Status);
        Assert.Equal(Errno.Ok, volume.Rename(Root, "f", d2, "g", RenameFlags.NoReplace).Status);
        Assert.Equal(Errno.ENOTEMPTY, volume.Rename(d1, "d2", Root, "d1").Status);
        Assert.Equal(f, volume.Lookup(d2, "g").Handle);
        Assert.Equal(3u, volume.GetAttr(d1).Attributes().Nlink);
        Assert.Equal(Errno.Ok, volume.Rename(d1, "d2", Root, "d2").Status);
        Assert.Equal(2u, volume.GetAttr(d1).Attributes().Nlink);
        Assert.Equal(4u, volume.GetAttr(Root).Attributes().Nlink);
        Assert.Equal(Root, volume.Lookup(d2, "..").Handle);
        Assert.Equal(Errno.Ok, volume.Link(f, Root, "same").Status);
        Assert.Equal(Errno.Ok, volume.Rename(Root, "same", d2, "g").Status);
        Assert.Equal(f, volume.Lookup(Root, "same").Handle);
        Assert.Equal(Errno.Ok, volume.Rename(Root, "d1", Root, "same", RenameFlags.Exchange).Status);
        Assert.Equal(f, volume.Lookup(Root, "d1").Handle);
        Assert.Equal(d1, volume.Lookup(Root, "same").Handle);
    }

    [Fact]
    public void Others_may_do_what_the_mode_says()
    {
        using var volume = new TestVolume();
        FileHandle secret = volume.NewFile(Root, "secret", 0x180);
        FileHandle sticky = volume.NewDirectory(Root, "sticky", 0x3ff);
        FileHandle tool = volume.NewFile(Root, "tool", 0x9ed);
        volume.SetAttr(tool, SetAttrMask.Mode, mode: 0x9ed);
        volume.NewFile(sticky, "mine");
        (volume.Uid, volume.Gid, volume.Groups) = (1000, 1000, [7]);
        Assert.Equal(Errno.EACCES, volume.Read(secret, 0, 10).Status);
        Assert.Equal(Errno.EACCES, volume.Create(Root, "x", exclusive: true).Status);
        Assert.Equal(Errno.EPERM, volume.Unlink(sticky, "mine").Status);
        Assert.Equal(Errno.EPERM, volume.SetAttr(secret, SetAttrMask.Mode, mode: 0x1ff).Status);
        Assert.Equal(Errno.EACCES, volume.Access(secret, 4).Status);
        Assert.Equal(Errno.EPERM, volume.Mknod(sticky, "dev", 0x2000 | 0x1b6, 5).Status);
        FileHandle own = volume.NewFile(sticky, "own", 0x9ff);
        Assert.Equal(Errno.Ok, volume.SetAttr(own, SetAttrMask.Gid, gid: 7).Status);
        Assert.Equal(Errno.EPERM, volume.SetAttr(own, SetAttrMask.Gid, gid: 8).Status);
        volume.SetAttr(own, SetAttrMask.Mode, mode: 0x9ff);
        Assert.Equal(0x89ffu, volume.GetAttr(own).Attributes().Mode);
        Assert.Equal(0x81ffu, volume.Write(own, 0, [1]).Attributes().Mode);
    }

    [Fact]
    public void A_new_drive_belongs_to_whom_the_cluster_file_names()
    {
        using var volume = new TestVolume(ownerUid: 1000, ownerGid: 1001) { Uid = 1000, Gid = 1000 };
        Assert.Equal((1000u, 1001u), (volume.GetAttr(Root).Attributes().Uid, volume.GetAttr(Root).Attributes().Gid));
        Assert.Equal(Errno.Ok, volume.Create(Root, "mine", exclusive: true).Status);
        volume.Uid = 1002;
        Assert.Equal(Errno.EACCES, volume.Create(Root, "theirs", exclusive: true).Status);
    }

    [Fact]
    public void Root_is_squashed_where_the_cluster_says_so()
    {
        using var volume = new TestVolume(rootSquash: true);
        Assert.Equal(Errno.EACCES, volume.Create(Root, "x", exclusive: true).Status);
    }

    [Fact]
    public void Symbolic_links_are_read_back_short_and_long()
    {
        using var volume = new TestVolume();
        string target = new('t', 4000);
        FileHandle link = volume.Symlink(Root, "long", target).Handle;
        Assert.Equal(TestVolume.Bytes(target), volume.Readlink(link).Body);
        Assert.Equal(TestVolume.Bytes("x"), volume.Readlink(volume.Symlink(Root, "short", "x").Handle).Body);
        Assert.Equal(4000u, volume.GetAttr(link).Attributes().SizeBytes);
        Assert.Equal(Errno.ENAMETOOLONG, volume.Symlink(Root, "toolong", new string('t', 4096)).Status);
        Assert.Equal(Errno.EINVAL, volume.Readlink(Root).Status);
    }

    [Fact]
    public void Any_bytes_are_an_operation()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        var entropy = new Engine.TestEntropy(11);
        byte[] operation = new byte[80];
        for (int i = 0; i < 100_000; i++)
        {
            entropy.Fill(operation);
            operation[0] = (byte)(operation[0] % 24);
            operation[1] = 0;
            operation[2] = (byte)(operation[2] % 3);
            operation[3] = 0;
            operation[12] = (byte)(operation[12] % 3);
            operation[13] = operation[14] = operation[15] = 0;
            volume.Execute(operation.AsSpan(0, operation[79] % 80));
        }
        Assert.Equal(Errno.Ok, volume.Write(file, 0, [1]).Status);
    }

    [Fact]
    public void Times_are_strictly_increasing_per_change()
    {
        using var volume = new TestVolume();
        FileHandle file = volume.NewFile(Root, "f");
        long last = 0;
        for (int i = 0; i < 5; i++)
        {
            long ctime = volume.Write(file, 0, [1]).Attributes().CtimeNanos;
            Assert.True(ctime > last);
            last = ctime;
        }
    }
}
