using System.Runtime.CompilerServices;
using BfsClient.FileSystem;
using BfsCore.FileProtocol;

namespace BfsClient.Fuse;

// Starting a session, names, attributes.
internal sealed partial class FuseSession
{
    private const long NanosPerSecond = 1_000_000_000;
    private const long MicrosPerSecond = 1_000_000;
    private const uint PermissionBits = 0xFFF;

    /// <summary>
    /// st_blksize: how much programs should read and write at once. The C library's streams do, so that a small file is written
    /// by one request. A power of two.
    /// </summary>
    private const uint PreferredBytes = 64 * 1024;

    /// <summary>
    /// What is done here of what the kernel can do. Locks stay local to the kernel: they are not in the protocol. Not
    /// READDIRPLUS_AUTO: listings bring attributes anyway, and with it "ls -l" asked for most files one by one (100 000
    /// files: 5.2 s instead of 1.5 s, while a plain "ls" gained 0.1 s).
    /// </summary>
    private const FuseInitFlags Wanted = FuseInitFlags.AsyncRead | FuseInitFlags.AtomicTruncate | FuseInitFlags.BigWrites |
        FuseInitFlags.AutoInvalidateData | FuseInitFlags.DoReadDirPlus |
        FuseInitFlags.AsyncDirectIo | FuseInitFlags.ParallelDirOps | FuseInitFlags.AbortError | FuseInitFlags.MaxPages |
        FuseInitFlags.HandleKillPrivV2 | FuseInitFlags.InitExt | FuseInitFlags.HasExpireOnly |
        FuseInitFlags.DirectIoAllowMmap;

    private ValueTask Init(FuseRequest request, ref FuseReader reader)
    {
        FuseInitIn init = reader.Take<FuseInitIn>();
        ulong offered = init.Flags;
        if ((offered & (ulong)FuseInitFlags.InitExt) != 0 && reader.Remaining >= sizeof(uint))
        {
            offered |= (ulong)reader.Take<uint>() << 32;
        }
        if (!reader.Ok)
        {
            return default;
        }
        if (init.Major < FuseConstants.Major)
        {
            return Refuse(request, Errno.EPROTO);
        }
        ulong agreed = offered & (ulong)Wanted;
        FuseInitOut reply = new()
        {
            Major = FuseConstants.Major,
            Minor = init.Major > FuseConstants.Major ? FuseConstants.Minor : Math.Min(init.Minor, FuseConstants.Minor),
            MaxReadahead = Math.Min(init.MaxReadahead, (uint)_options.ReadaheadBytes),
            Flags = (uint)agreed,
            Flags2 = (uint)(agreed >> 32),
            MaxBackground = 64,
            CongestionThreshold = 48,
            MaxWrite = FuseConstants.MaxTransferBytes,
            MaxPages = FuseConstants.MaxTransferBytes / FuseConstants.PageBytes,
            TimeGranularity = 1,
        };
        ReplyStruct(request, reply);
        if (init.Major == FuseConstants.Major)
        {
            Started?.Invoke();
        }
        return default;
    }

    private ValueTask Lookup(FuseRequest request, ref FuseReader reader)
    {
        ReadOnlySpan<byte> name = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyEntryAsync(request, _files.LookupAsync(request.Caller, request.Node, name));
    }

    private ValueTask GetAttr(FuseRequest request, ref FuseReader reader)
    {
        // Old kernels send no body. Through an open file the kernel asks when it needs the size alone, to read or to seek; programs ask without.
        FuseGetAttrIn get = reader.Remaining >= Unsafe.SizeOf<FuseGetAttrIn>() ? reader.Take<FuseGetAttrIn>() : default;
        if ((get.Flags & FuseConstants.GetAttrHasHandle) != 0 && _handles.Find(get.FileHandle) is { } file
            && _files.TryGetOwnSize(file, out FileAttributes attributes))
        {
            // Not valid for any time: who asks for more gets what is at the replicas.
            ReplyStruct(request, new FuseAttrOut { Attr = AttrOf(attributes) });
            return default;
        }
        return ReplyAttributesAsync(request, _files.GetAttrAsync(request.Caller, request.Node));
    }

    private ValueTask SetAttr(FuseRequest request, ref FuseReader reader)
    {
        FuseSetAttrIn set = reader.Take<FuseSetAttrIn>();
        if (!reader.Ok)
        {
            return default;
        }
        // Truncating through a descriptor needs no permission but what it was opened with.
        OpenFile? open = (set.Valid & FuseAttrValid.FileHandle) != 0 ? _handles.Find(set.FileHandle) : null;
        Caller caller = open is not null && (set.Valid & FuseAttrValid.Size) != 0
            ? open.Opener with { Call = request }
            : request.Caller;
        AttributeChange change = new(MaskOf(set.Valid), set.Mode & PermissionBits, set.Uid, set.Gid, set.Size,
            Nanos(set.Atime, set.AtimeNanos), Nanos(set.Mtime, set.MtimeNanos));
        return ReplyAttributesAsync(request, _files.SetAttrAsync(caller, request.Node, change));
    }

    private static SetAttrMask MaskOf(FuseAttrValid valid)
    {
        SetAttrMask mask = (SetAttrMask)(valid & (FuseAttrValid.Mode | FuseAttrValid.Uid | FuseAttrValid.Gid | FuseAttrValid.Size));
        if ((valid & FuseAttrValid.Atime) != 0)
        {
            mask |= (valid & FuseAttrValid.AtimeNow) != 0 ? SetAttrMask.AtimeNow : SetAttrMask.Atime;
        }
        if ((valid & FuseAttrValid.Mtime) != 0)
        {
            mask |= (valid & FuseAttrValid.MtimeNow) != 0 ? SetAttrMask.MtimeNow : SetAttrMask.Mtime;
        }
        return mask;
    }

    private ValueTask Symlink(FuseRequest request, ref FuseReader reader)
    {
        ReadOnlySpan<byte> name = reader.Name();
        ReadOnlySpan<byte> target = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyEntryAsync(request, _files.SymlinkAsync(request.Caller, request.Node, name, target));
    }

    private ValueTask Mknod(FuseRequest request, ref FuseReader reader)
    {
        FuseMknodIn mknod = reader.Take<FuseMknodIn>();
        ReadOnlySpan<byte> name = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyEntryAsync(request, _files.MknodAsync(request.Caller, request.Node, name, mknod.Mode, mknod.Rdev));
    }

    private ValueTask Mkdir(FuseRequest request, ref FuseReader reader)
    {
        FuseMkdirIn mkdir = reader.Take<FuseMkdirIn>();
        ReadOnlySpan<byte> name = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyEntryAsync(request, _files.MkdirAsync(request.Caller, request.Node, name, mkdir.Mode & PermissionBits));
    }

    private ValueTask Unlink(FuseRequest request, ref FuseReader reader)
    {
        ReadOnlySpan<byte> name = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyStatusAsync(request, _files.UnlinkAsync(request.Caller, request.Node, name));
    }

    private ValueTask Rmdir(FuseRequest request, ref FuseReader reader)
    {
        ReadOnlySpan<byte> name = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyStatusAsync(request, _files.RmdirAsync(request.Caller, request.Node, name));
    }

    private ValueTask Rename(FuseRequest request, ref FuseReader reader)
    {
        FuseRenameIn rename = reader.Take<FuseRenameIn>();
        return RenameTo(request, rename.NewDirectory, 0, ref reader);
    }

    private ValueTask Rename2(FuseRequest request, ref FuseReader reader)
    {
        FuseRename2In rename = reader.Take<FuseRename2In>();
        return RenameTo(request, rename.NewDirectory, rename.Flags, ref reader);
    }

    private ValueTask RenameTo(FuseRequest request, ulong newDirectory, uint flags, ref FuseReader reader)
    {
        ReadOnlySpan<byte> name = reader.Name();
        ReadOnlySpan<byte> newName = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) || TooLong(newName) ? Refuse(request, Errno.ENAMETOOLONG)
            : (flags & ~(uint)(RenameFlags.NoReplace | RenameFlags.Exchange)) != 0 ? Refuse(request, Errno.EINVAL)
            : ReplyStatusAsync(request, _files.RenameAsync(request.Caller, request.Node, name,
                FileHandle.Unpack(newDirectory), newName, (RenameFlags)flags));
    }

    private ValueTask Link(FuseRequest request, ref FuseReader reader)
    {
        FuseLinkIn link = reader.Take<FuseLinkIn>();
        ReadOnlySpan<byte> name = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyEntryAsync(request, _files.LinkAsync(request.Caller, FileHandle.Unpack(link.OldNodeId), request.Node, name));
    }

    private async ValueTask ReadlinkAsync(FuseRequest request)
    {
        int head = Unsafe.SizeOf<FuseOutHeader>();
        byte[] buffer = _readBuffers.Rent(FileLimits.MaxSymlinkBytes);
        Outcome<int> outcome = await _files.ReadlinkAsync(request.Caller, request.Node, buffer.AsMemory(head));
        if (outcome.Failed)
        {
            ReplyError(request, outcome.Error);
        }
        else
        {
            ReplyMessage(request, buffer.AsSpan(0, head + outcome.Value), Errno.Ok);
        }
        _readBuffers.Return(buffer);
    }

    private ValueTask Access(FuseRequest request, ref FuseReader reader)
    {
        FuseAccessIn access = reader.Take<FuseAccessIn>();
        return !reader.Ok ? default : ReplyStatusAsync(request, _files.AccessAsync(request.Caller, request.Node, access.Mask));
    }

    private async ValueTask StatfsAsync(FuseRequest request)
    {
        Outcome<DriveStatistics> outcome = await _files.StatfsAsync(request.Caller, request.Node);
        if (outcome.Failed)
        {
            ReplyError(request, outcome.Error);
            return;
        }
        DriveStatistics drive = outcome.Value;
        ReplyStruct(request, new FuseStatfsOut
        {
            Blocks = drive.Blocks,
            BlocksFree = drive.BlocksFree,
            BlocksAvailable = drive.BlocksAvailable,
            Files = drive.Inodes,
            FilesFree = drive.InodesFree,
            BlockSize = drive.BlockBytes,
            FragmentSize = drive.BlockBytes,
            NameLength = drive.NameMax,
        });
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReplyEntryAsync(FuseRequest request, ValueTask<Outcome<FileAttributes>> pending)
    {
        Outcome<FileAttributes> outcome = await pending;
        if (outcome.Failed)
        {
            ReplyError(request, outcome.Error);
            return;
        }
        ReplyStruct(request, EntryOf(outcome.Value));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReplyAttributesAsync(FuseRequest request, ValueTask<Outcome<FileAttributes>> pending)
    {
        Outcome<FileAttributes> outcome = await pending;
        if (outcome.Failed)
        {
            ReplyError(request, outcome.Error);
            return;
        }
        _kernel.Told(outcome.Value);
        ReplyStruct(request, new FuseAttrOut
        {
            AttrValid = (ulong)(_options.AttributeMicros / MicrosPerSecond),
            AttrValidNanos = (uint)(_options.AttributeMicros % MicrosPerSecond * 1000),
            Attr = AttrOf(outcome.Value),
        });
    }

    /// <summary>A name that the kernel gets, with the node behind it.</summary>
    private FuseEntryOut EntryOf(in FileAttributes attributes)
    {
        _kernel.Told(attributes, lookups: 1);
        return new FuseEntryOut
        {
            NodeId = attributes.Handle.Packed,
            Generation = attributes.Handle.Generation,
            EntryValid = (ulong)(_options.EntryMicros / MicrosPerSecond),
            EntryValidNanos = (uint)(_options.EntryMicros % MicrosPerSecond * 1000),
            AttrValid = (ulong)(_options.AttributeMicros / MicrosPerSecond),
            AttrValidNanos = (uint)(_options.AttributeMicros % MicrosPerSecond * 1000),
            Attr = AttrOf(attributes),
        };
    }

    private static FuseAttr AttrOf(in FileAttributes attributes) => new()
    {
        Inode = attributes.Handle.Inode,
        Size = attributes.SizeBytes,
        Blocks = attributes.Blocks512,
        Atime = Seconds(attributes.AtimeNanos),
        Mtime = Seconds(attributes.MtimeNanos),
        Ctime = Seconds(attributes.CtimeNanos),
        AtimeNanos = NanosOfSecond(attributes.AtimeNanos),
        MtimeNanos = NanosOfSecond(attributes.MtimeNanos),
        CtimeNanos = NanosOfSecond(attributes.CtimeNanos),
        Mode = attributes.Mode,
        Nlink = attributes.Nlink,
        Uid = attributes.Uid,
        Gid = attributes.Gid,
        Rdev = attributes.Rdev,
        BlockSize = PreferredBytes,
    };

    private static bool TooLong(ReadOnlySpan<byte> name) => name.Length > FileLimits.MaxNameBytes;

    /// <summary>Whole seconds, rounded down also before 1970.</summary>
    private static ulong Seconds(long nanos) =>
        (ulong)((nanos / NanosPerSecond) - (nanos % NanosPerSecond < 0 ? 1 : 0));

    private static uint NanosOfSecond(long nanos) => (uint)(((nanos % NanosPerSecond) + NanosPerSecond) % NanosPerSecond);

    /// <summary>Times beyond what 64 bits of nanoseconds hold (years 1678 to 2262) become the last one that fits.</summary>
    private static long Nanos(ulong seconds, uint nanos)
    {
        const long most = long.MaxValue / NanosPerSecond;
        long whole = (long)seconds;
        return whole >= most ? long.MaxValue : whole <= -most ? -most * NanosPerSecond
            : (whole * NanosPerSecond) + Math.Min(nanos, NanosPerSecond - 1);
    }
}
