using System.Runtime.InteropServices;

namespace BfsCore.FileProtocol;

/// <summary>Operations that the relay sends and snfsd executes. Numbers are frozen; new ones go at the end.</summary>
public enum FileOp : ushort
{
    Lookup = 1,
    GetAttr = 2,
    SetAttr = 3,
    Create = 4,
    Mknod = 5,
    Mkdir = 6,
    Symlink = 7,
    Unlink = 8,
    Rmdir = 9,
    Rename = 10,
    Link = 11,
    Readlink = 12,
    Read = 13,
    Write = 14,
    Readdir = 15,
    Statfs = 16,
    Fsync = 17,
    Access = 18,

    /// <summary>The mount closed its last descriptor of an unlinked file.</summary>
    ReleaseOrphan = 19,

    /// <summary>A new session of the client: every orphan that an earlier one held is freed.</summary>
    ReclaimOrphans = 20,

    /// <summary>Attributes, and the content of a small file, in one operation: what opening it takes.</summary>
    Open = 21,

    /// <summary>Several parts of one file, in the order in which they were written: Writes that go together.</summary>
    WriteParts = 22,
}

/// <summary>
/// A file: inode number and generation. An inode that was freed and used again has another generation, so that a stale
/// handle gets ESTALE. Packed into the FUSE node identifier.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public readonly record struct FileHandle(uint Inode, uint Generation)
{
    public const int SizeBytes = 8;

    /// <summary>The root directory.</summary>
    public static readonly FileHandle Root = new(1, 0);

    public ulong Packed => ((ulong)Generation << 32) | Inode;

    public static FileHandle Unpack(ulong packed) => new((uint)packed, (uint)(packed >> 32));
}

/// <summary>
/// A file's attributes as they travel: fixed layout, little-endian, 96 bytes. Times are nanoseconds since 1970. Ctime is
/// strictly increasing per change of the inode, so it also tells whether anything changed (close-to-open).
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 8)]
public struct FileAttributes
{
    public const int WireBytes = 96;

    public FileHandle Handle;
    public ulong SizeBytes;

    /// <summary>Space taken, in units of 512 bytes.</summary>
    public ulong Blocks512;
    public long AtimeNanos;
    public long MtimeNanos;
    public long CtimeNanos;
    public long BtimeNanos;

    /// <summary>Type (S_IFMT) and permissions.</summary>
    public uint Mode;
    public uint Nlink;
    public uint Uid;
    public uint Gid;

    /// <summary>Device number of a device node, as the kernel encodes it (new_encode_dev).</summary>
    public uint Rdev;
    public uint Reserved0;
    public ulong Reserved1;
    public ulong Reserved2;
}

/// <summary>Which fields SetAttr sets.</summary>
[Flags]
public enum SetAttrMask : uint
{
    None = 0,
    Mode = 1,
    Uid = 2,
    Gid = 4,
    Size = 8,
    Atime = 16,
    Mtime = 32,

    /// <summary>Access time becomes the agreed time.</summary>
    AtimeNow = 64,

    /// <summary>Modification time becomes the agreed time.</summary>
    MtimeNow = 128,
}

/// <summary>Flags of Rename: the values of renameat2(2).</summary>
[Flags]
public enum RenameFlags : uint
{
    None = 0,
    NoReplace = 1,
    Exchange = 2,
}

/// <summary>errno values of Linux, part of the agreed result.</summary>
public enum Errno
{
    Ok = 0,
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EIO = 5,
    ENXIO = 6,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EBUSY = 16,
    EEXIST = 17,
    EXDEV = 18,
    ENODEV = 19,
    ENOTDIR = 20,
    EISDIR = 21,
    EINVAL = 22,
    ENOTTY = 25,
    EFBIG = 27,
    ENOSPC = 28,
    EROFS = 30,
    EMLINK = 31,
    ERANGE = 34,
    ENAMETOOLONG = 36,
    ENOSYS = 38,
    ENOTEMPTY = 39,
    ELOOP = 40,
    ENODATA = 61,
    EPROTO = 71,
    EOVERFLOW = 75,
    EOPNOTSUPP = 95,
    ETIMEDOUT = 110,
    ESTALE = 116,
    EDQUOT = 122,
}

/// <summary>Bounds of the file protocol.</summary>
public static class FileLimits
{
    /// <summary>Most data in one Read, Write or WriteParts, bytes: 15 pages, so that the request fits one datagram.</summary>
    public const int MaxTransferBytes = 60 * 1024;

    /// <summary>Most parts in one WriteParts.</summary>
    public const int MaxParts = 32;

    /// <summary>Longest name, bytes (NAME_MAX).</summary>
    public const int MaxNameBytes = 255;

    /// <summary>Longest symbolic link, bytes (PATH_MAX without the end).</summary>
    public const int MaxSymlinkBytes = 4095;

    /// <summary>Cookie after the last entry of a directory: nothing comes after it. All others are smaller.</summary>
    public const ulong EndCookie = 1UL << 62;

    /// <summary>Most supplementary groups in a request.</summary>
    public const int MaxGroups = 64;

    /// <summary>Most open handles named in an Unlink, Rmdir or Rename.</summary>
    public const int MaxHeldHandles = 64;
}
