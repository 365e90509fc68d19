using System.Runtime.InteropServices;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>An error or a value.</summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct Outcome<T>(Errno Error, T Value)
{
    public bool Failed => Error != Errno.Ok;

    public static implicit operator Outcome<T>(T value) => new(Errno.Ok, value);

    public static implicit operator Outcome<T>(Errno error) => new(error, default!);
}

/// <summary>Who asks, as the replicas check it.</summary>
/// <param name="Pid">The calling thread, whose supplementary groups count; 0 if unknown.</param>
/// <param name="Call">Identifies the call for interruption; null if it cannot be interrupted.</param>
public readonly record struct Caller(uint Uid, uint Gid, uint Pid = 0, CallToken? Call = null);

/// <summary>What SetAttr changes: fields whose bit is set in the mask.</summary>
public readonly record struct AttributeChange(SetAttrMask Mask, uint Mode, uint Uid, uint Gid, ulong SizeBytes,
    long AtimeNanos, long MtimeNanos);

/// <summary>How a file is opened.</summary>
[Flags]
public enum OpenMode
{
    Read = 0,
    Write = 1,

    /// <summary>Sets the size to zero.</summary>
    Truncate = 2,

    /// <summary>Writes go to the end, wherever it is when they are executed (strict mode only).</summary>
    Append = 4,

    /// <summary>Create fails if the name exists.</summary>
    Exclusive = 8,
    ReadWrite = 16,

    /// <summary>The caller has nothing of the content and will probably read it at once: a small file brings it along.</summary>
    WithContent = 32,
}

/// <summary>Figures of the whole drive, as Statfs gives them.</summary>
public readonly record struct DriveStatistics(uint BlockBytes, uint NameMax, ulong Blocks, ulong BlocksFree,
    ulong BlocksAvailable, ulong Inodes, ulong InodesFree);

/// <summary>An entry of a listing, valid until the directory is read on.</summary>
/// <param name="NextCookie">Where the listing goes on after this entry.</param>
/// <param name="Settled">Whether the attributes count: false while data written here is still on its way.</param>
public readonly ref struct DirectoryEntry(ulong nextCookie, FileAttributes attributes, bool settled, ReadOnlySpan<byte> name)
{
    public ulong NextCookie { get; } = nextCookie;
    public FileAttributes Attributes { get; } = attributes;
    public bool Settled { get; } = settled;
    public ReadOnlySpan<byte> Name { get; } = name;
}

/// <summary>
/// The file operations that a front end (FUSE, Dokan) turns its system's calls into. Used by the loop's thread only.
/// Names and paths are bytes; arguments passed as spans are copied before the call returns. Errors are Linux's.
/// </summary>
public interface IFileOperations
{
    /// <summary>
    /// Told when a write took the set-user-ID or set-group-ID bit of an open file: cached attributes are outdated.
    /// </summary>
    Action<FileHandle>? SetIdCleared { get; set; }

    ValueTask<Outcome<FileAttributes>> LookupAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name);

    /// <summary>Attributes that cover every write acknowledged here.</summary>
    ValueTask<Outcome<FileAttributes>> GetAttrAsync(in Caller caller, FileHandle file);

    /// <summary>
    /// The size of a file that is open, where all that was written through this opening is known here and not all of it is at the replicas: for
    /// who needs the size alone. The other attributes are those before what is on its way.
    /// </summary>
    bool TryGetOwnSize(OpenFile file, out FileAttributes attributes);

    ValueTask<Outcome<FileAttributes>> SetAttrAsync(in Caller caller, FileHandle file, in AttributeChange change);

    /// <param name="mode">Type and permissions.</param>
    ValueTask<Outcome<FileAttributes>> MknodAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name, uint mode,
        uint rdev);

    ValueTask<Outcome<FileAttributes>> MkdirAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name, uint mode);

    ValueTask<Outcome<FileAttributes>> SymlinkAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name,
        ReadOnlySpan<byte> target);

    ValueTask<Outcome<FileAttributes>> LinkAsync(in Caller caller, FileHandle file, FileHandle parent,
        ReadOnlySpan<byte> name);

    ValueTask<Errno> UnlinkAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name);

    ValueTask<Errno> RmdirAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name);

    ValueTask<Errno> RenameAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name, FileHandle newParent,
        ReadOnlySpan<byte> newName, RenameFlags flags);

    /// <summary>Length of the target, bytes.</summary>
    ValueTask<Outcome<int>> ReadlinkAsync(in Caller caller, FileHandle link, Memory<byte> target);

    /// <summary>Opens after asking the replicas for the attributes (close-to-open).</summary>
    ValueTask<Outcome<OpenFile>> OpenAsync(in Caller caller, FileHandle file, OpenMode mode);

    ValueTask<Outcome<OpenFile>> CreateAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name, uint mode,
        OpenMode openMode);

    /// <summary>Bytes read: fewer than asked for at the end of the file.</summary>
    ValueTask<Outcome<int>> ReadAsync(OpenFile file, ulong offset, Memory<byte> destination, CallToken? call);

    /// <param name="keepSetId">The file keeps its setuid and setgid bits.</param>
    ValueTask<Errno> WriteAsync(OpenFile file, ulong offset, ReadOnlySpan<byte> data, bool keepSetId);

    /// <summary>A descriptor is closed: waits until the file's data is at the replicas, and tells what failed.</summary>
    ValueTask<Errno> FlushAsync(OpenFile file);

    /// <summary>Like flush, and the replicas make it durable.</summary>
    ValueTask<Errno> FsyncAsync(OpenFile file);

    /// <summary>The last descriptor is gone; also for directories.</summary>
    void Release(OpenFile file);

    OpenFile OpenDirectory(in Caller caller, FileHandle directory);

    /// <summary>Makes the entries from the cookie on ready for <see cref="TryPeekEntry"/>.</summary>
    /// <param name="wantedBytes">About how much the caller will take.</param>
    ValueTask<Errno> ReadDirectoryAsync(OpenFile directory, ulong cookie, int wantedBytes, CallToken? call);

    /// <summary>The next entry that is ready; false when there is none.</summary>
    bool TryPeekEntry(OpenFile directory, out DirectoryEntry entry);

    /// <summary>Steps over the entry that was peeked.</summary>
    void NextEntry(OpenFile directory);

    ValueTask<Outcome<DriveStatistics>> StatfsAsync(in Caller caller, FileHandle file);

    /// <param name="mask">Read 4, write 2, execute 1.</param>
    ValueTask<Errno> AccessAsync(in Caller caller, FileHandle file, uint mask);

    /// <summary>Ends the operations of an interrupted call that were not sent yet.</summary>
    void Interrupt(CallToken call);
}
