using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsClient.Fuse;

namespace BfsTests.Fuse;

/// <summary>The kernel's structures have the sizes and offsets of linux/fuse.h, version 7.39.</summary>
public class FuseKernelTests
{
    [Fact]
    public void SizesAreTheKernels()
    {
        (string Name, int Size, int Expected)[] sizes =
        [
            ("fuse_in_header", Unsafe.SizeOf<FuseInHeader>(), 40),
            ("fuse_out_header", Unsafe.SizeOf<FuseOutHeader>(), 16),
            ("fuse_attr", Unsafe.SizeOf<FuseAttr>(), 88),
            ("fuse_entry_out", Unsafe.SizeOf<FuseEntryOut>(), 128),
            ("fuse_attr_out", Unsafe.SizeOf<FuseAttrOut>(), 104),
            ("fuse_forget_one", Unsafe.SizeOf<FuseForgetOne>(), 16),
            ("fuse_batch_forget_in", Unsafe.SizeOf<FuseBatchForgetIn>(), 8),
            ("fuse_getattr_in", Unsafe.SizeOf<FuseGetAttrIn>(), 16),
            ("fuse_setattr_in", Unsafe.SizeOf<FuseSetAttrIn>(), 88),
            ("fuse_mknod_in", Unsafe.SizeOf<FuseMknodIn>(), 16),
            ("fuse_mkdir_in", Unsafe.SizeOf<FuseMkdirIn>(), 8),
            ("fuse_rename_in", Unsafe.SizeOf<FuseRenameIn>(), 8),
            ("fuse_rename2_in", Unsafe.SizeOf<FuseRename2In>(), 16),
            ("fuse_link_in", Unsafe.SizeOf<FuseLinkIn>(), 8),
            ("fuse_open_in", Unsafe.SizeOf<FuseOpenIn>(), 8),
            ("fuse_create_in", Unsafe.SizeOf<FuseCreateIn>(), 16),
            ("fuse_open_out", Unsafe.SizeOf<FuseOpenOut>(), 16),
            ("fuse_release_in", Unsafe.SizeOf<FuseReleaseIn>(), 24),
            ("fuse_flush_in", Unsafe.SizeOf<FuseFlushIn>(), 24),
            ("fuse_read_in", Unsafe.SizeOf<FuseReadIn>(), 40),
            ("fuse_write_in", Unsafe.SizeOf<FuseWriteIn>(), 40),
            ("fuse_write_out", Unsafe.SizeOf<FuseWriteOut>(), 8),
            ("fuse_kstatfs", Unsafe.SizeOf<FuseStatfsOut>(), 80),
            ("fuse_fsync_in", Unsafe.SizeOf<FuseFsyncIn>(), 16),
            ("fuse_access_in", Unsafe.SizeOf<FuseAccessIn>(), 8),
            ("fuse_init_in without flags2", Unsafe.SizeOf<FuseInitIn>(), 16),
            ("fuse_init_out", Unsafe.SizeOf<FuseInitOut>(), 64),
            ("fuse_interrupt_in", Unsafe.SizeOf<FuseInterruptIn>(), 8),
            ("fuse_dirent", Unsafe.SizeOf<FuseDirent>(), 24),
            ("fuse_notify_inval_inode_out", Unsafe.SizeOf<FuseNotifyInvalidateInodeOut>(), 24),
        ];
        Assert.All(sizes, s => Assert.True(s.Size == s.Expected, $"{s.Name}: {s.Size}, kernel {s.Expected}"));
    }

    [Fact]
    public void OffsetsAreTheKernels()
    {
        Assert.Equal(24, Offset<FuseInHeader>(nameof(FuseInHeader.Uid)));
        Assert.Equal(4, Offset<FuseOutHeader>(nameof(FuseOutHeader.Error)));
        Assert.Equal(60, Offset<FuseAttr>(nameof(FuseAttr.Mode)));
        Assert.Equal(80, Offset<FuseAttr>(nameof(FuseAttr.BlockSize)));
        Assert.Equal(32, Offset<FuseEntryOut>(nameof(FuseEntryOut.EntryValidNanos)));
        Assert.Equal(40, Offset<FuseEntryOut>(nameof(FuseEntryOut.Attr)));
        Assert.Equal(32, Offset<FuseSetAttrIn>(nameof(FuseSetAttrIn.Atime)));
        Assert.Equal(68, Offset<FuseSetAttrIn>(nameof(FuseSetAttrIn.Mode)));
        Assert.Equal(76, Offset<FuseSetAttrIn>(nameof(FuseSetAttrIn.Uid)));
        Assert.Equal(20, Offset<FuseWriteIn>(nameof(FuseWriteIn.WriteFlags)));
        Assert.Equal(16, Offset<FuseInitOut>(nameof(FuseInitOut.MaxBackground)));
        Assert.Equal(20, Offset<FuseInitOut>(nameof(FuseInitOut.MaxWrite)));
        Assert.Equal(28, Offset<FuseInitOut>(nameof(FuseInitOut.MaxPages)));
        Assert.Equal(32, Offset<FuseInitOut>(nameof(FuseInitOut.Flags2)));
    }

    private static int Offset<T>(string field) => (int)Marshal.OffsetOf<T>(field);
}
