using System.Runtime.InteropServices;

namespace BfsClient.Fuse;

// The kernel's side of the FUSE protocol: operation codes, flags and structures of linux/fuse.h, version 7.39. Every
// size and offset is frozen by a test.

/// <summary>What the kernel asks for (enum fuse_opcode). Codes that are not here are answered ENOSYS.</summary>
internal enum FuseOpcode : uint
{
    Lookup = 1,
    Forget = 2,
    GetAttr = 3,
    SetAttr = 4,
    Readlink = 5,
    Symlink = 6,
    Mknod = 8,
    Mkdir = 9,
    Unlink = 10,
    Rmdir = 11,
    Rename = 12,
    Link = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    Statfs = 17,
    Release = 18,
    Fsync = 20,
    Flush = 25,
    Init = 26,
    OpenDir = 27,
    ReadDir = 28,
    ReleaseDir = 29,
    FsyncDir = 30,
    Access = 34,
    Create = 35,
    Interrupt = 36,
    Destroy = 38,
    Ioctl = 39,
    BatchForget = 42,
    ReadDirPlus = 44,
    Rename2 = 45,
}

/// <summary>What both sides can do (FUSE_INIT flags); bits from 32 on travel in flags2.</summary>
[Flags]
internal enum FuseInitFlags : ulong
{
    None = 0,
    AsyncRead = 1UL << 0,
    AtomicTruncate = 1UL << 3,
    BigWrites = 1UL << 5,
    AutoInvalidateData = 1UL << 12,
    DoReadDirPlus = 1UL << 13,
    AsyncDirectIo = 1UL << 15,
    ParallelDirOps = 1UL << 18,
    AbortError = 1UL << 21,
    MaxPages = 1UL << 22,
    HandleKillPrivV2 = 1UL << 28,
    InitExt = 1UL << 30,
    HasExpireOnly = 1UL << 35,
    DirectIoAllowMmap = 1UL << 36,
}

/// <summary>fuse_setattr_in.valid.</summary>
[Flags]
internal enum FuseAttrValid : uint
{
    None = 0,
    Mode = 1 << 0,
    Uid = 1 << 1,
    Gid = 1 << 2,
    Size = 1 << 3,
    Atime = 1 << 4,
    Mtime = 1 << 5,
    FileHandle = 1 << 6,
    AtimeNow = 1 << 7,
    MtimeNow = 1 << 8,
}

/// <summary>Numbers of the protocol that stand alone.</summary>
internal static class FuseConstants
{
    public const uint Major = 7;

    /// <summary>The newest minor version whose meaning this code knows.</summary>
    public const uint Minor = 39;

    public const ulong RootId = 1;

    public const uint GetAttrHasHandle = 1 << 0;
    public const uint OpenDirectIo = 1 << 0;
    public const uint OpenKeepCache = 1 << 1;
    public const uint OpenNoFlush = 1 << 5;
    public const uint WriteKillSuidSgid = 1 << 2;

    /// <summary>fuse_out_header.error of a message that nobody asked for: drop cached attributes or pages.</summary>
    public const int NotifyInvalidateInode = 2;

    /// <summary>Most data in one READ or WRITE, bytes.</summary>
    public const int MaxTransferBytes = 1 << 20;

    /// <summary>A page of the kernel, bytes; FUSE_MAX_PAGES counts them.</summary>
    public const int PageBytes = 4096;

    /// <summary>What a read of the device must have room for: the largest WRITE with its headers, bytes.</summary>
    public const int ReadBufferBytes = MaxTransferBytes + PageBytes;

    /// <summary>Records of a directory listing start at multiples of eight.</summary>
    public static int Align8(int length) => (length + 7) & ~7;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseInHeader
{
    public uint Length;
    public FuseOpcode Opcode;
    public ulong Unique;
    public ulong NodeId;
    public uint Uid;
    public uint Gid;
    public uint Pid;
    public ushort TotalExtLength;
    public ushort Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseOutHeader
{
    public uint Length;
    public int Error;
    public ulong Unique;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseAttr
{
    public ulong Inode;
    public ulong Size;
    public ulong Blocks;
    public ulong Atime;
    public ulong Mtime;
    public ulong Ctime;
    public uint AtimeNanos;
    public uint MtimeNanos;
    public uint CtimeNanos;
    public uint Mode;
    public uint Nlink;
    public uint Uid;
    public uint Gid;
    public uint Rdev;
    public uint BlockSize;
    public uint Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseEntryOut
{
    public ulong NodeId;
    public ulong Generation;
    public ulong EntryValid;
    public ulong AttrValid;
    public uint EntryValidNanos;
    public uint AttrValidNanos;
    public FuseAttr Attr;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseAttrOut
{
    public ulong AttrValid;
    public uint AttrValidNanos;
    public uint Dummy;
    public FuseAttr Attr;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseForgetOne
{
    public ulong NodeId;
    public ulong Lookups;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseBatchForgetIn
{
    public uint Count;
    public uint Dummy;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseGetAttrIn
{
    public uint Flags;
    public uint Dummy;
    public ulong FileHandle;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseSetAttrIn
{
    public FuseAttrValid Valid;
    public uint Padding;
    public ulong FileHandle;
    public ulong Size;
    public ulong LockOwner;
    public ulong Atime;
    public ulong Mtime;
    public ulong Ctime;
    public uint AtimeNanos;
    public uint MtimeNanos;
    public uint CtimeNanos;
    public uint Mode;
    public uint Unused4;
    public uint Uid;
    public uint Gid;
    public uint Unused5;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseMknodIn
{
    public uint Mode;
    public uint Rdev;
    public uint Umask;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseMkdirIn
{
    public uint Mode;
    public uint Umask;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseRenameIn
{
    public ulong NewDirectory;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseRename2In
{
    public ulong NewDirectory;
    public uint Flags;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseLinkIn
{
    public ulong OldNodeId;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseOpenIn
{
    public uint Flags;
    public uint OpenFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseCreateIn
{
    public uint Flags;
    public uint Mode;
    public uint Umask;
    public uint OpenFlags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseOpenOut
{
    public ulong FileHandle;
    public uint OpenFlags;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseReleaseIn
{
    public ulong FileHandle;
    public uint Flags;
    public uint ReleaseFlags;
    public ulong LockOwner;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseFlushIn
{
    public ulong FileHandle;
    public uint Unused;
    public uint Padding;
    public ulong LockOwner;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseReadIn
{
    public ulong FileHandle;
    public ulong Offset;
    public uint Size;
    public uint ReadFlags;
    public ulong LockOwner;
    public uint Flags;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseWriteIn
{
    public ulong FileHandle;
    public ulong Offset;
    public uint Size;
    public uint WriteFlags;
    public ulong LockOwner;
    public uint Flags;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseWriteOut
{
    public uint Size;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseStatfsOut
{
    public ulong Blocks;
    public ulong BlocksFree;
    public ulong BlocksAvailable;
    public ulong Files;
    public ulong FilesFree;
    public uint BlockSize;
    public uint NameLength;
    public uint FragmentSize;
    public uint Padding;
    public ulong Spare0;
    public ulong Spare1;
    public ulong Spare2;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseFsyncIn
{
    public ulong FileHandle;
    public uint Flags;
    public uint Padding;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseAccessIn
{
    public uint Mask;
    public uint Padding;
}

/// <summary>The part of fuse_init_in that every kernel of version 7 sends; flags2 follows in newer ones.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FuseInitIn
{
    public uint Major;
    public uint Minor;
    public uint MaxReadahead;
    public uint Flags;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseInitOut
{
    public uint Major;
    public uint Minor;
    public uint MaxReadahead;
    public uint Flags;
    public ushort MaxBackground;
    public ushort CongestionThreshold;
    public uint MaxWrite;
    public uint TimeGranularity;
    public ushort MaxPages;
    public ushort MapAlignment;
    public uint Flags2;
    public uint Unused0;
    public uint Unused1;
    public uint Unused2;
    public uint Unused3;
    public uint Unused4;
    public uint Unused5;
    public uint Unused6;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseInterruptIn
{
    public ulong Unique;
}

/// <summary>Before the name of an entry in a listing; FUSE_READDIRPLUS has a fuse_entry_out before it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FuseDirent
{
    public ulong Inode;
    public ulong Offset;
    public uint NameLength;
    public uint Type;
}

[StructLayout(LayoutKind.Sequential)]
internal struct FuseNotifyInvalidateInodeOut
{
    public ulong NodeId;
    public long Offset;
    public long Length;
}
