using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsClient.FileSystem;
using BfsCore.FileProtocol;

namespace BfsClient.Fuse;

// Open files: data, closing, syncing.
internal sealed partial class FuseSession
{
    private const uint AccessModeMask = 3;
    private const uint OpenWriteOnly = 1;
    private const uint OpenReadWrite = 2;
    private const uint OpenExclusive = 0x80;
    private const uint OpenTruncate = 0x200;
    private const uint OpenAppend = 0x400;

    /// <summary>O_DIRECT, 0x4000 on x86 and 0x10000 on ARM; each is O_DIRECTORY on the other, with which no file is opened.</summary>
    private const uint OpenDirect = 0x14000;

    private ValueTask Open(FuseRequest request, ref FuseReader reader)
    {
        FuseOpenIn open = reader.Take<FuseOpenIn>();
        if (!reader.Ok)
        {
            return default;
        }
        // Who reads past the kernel's pages wants each read to ask.
        OpenMode mode = ModeOf(open.Flags);
        bool hasPages = (mode & OpenMode.Truncate) == 0 && _kernel.MayHavePages(request.Node.Packed);
        mode |= (open.Flags & OpenDirect) == 0 && !hasPages ? OpenMode.WithContent : 0;
        return ReplyOpenAsync(request, _files.OpenAsync(request.Caller, request.Node, mode));
    }

    private ValueTask Create(FuseRequest request, ref FuseReader reader)
    {
        FuseCreateIn create = reader.Take<FuseCreateIn>();
        ReadOnlySpan<byte> name = reader.Name();
        return !reader.Ok ? default
            : TooLong(name) ? Refuse(request, Errno.ENAMETOOLONG)
            : ReplyCreateAsync(request, _files.CreateAsync(request.Caller, request.Node, name,
                create.Mode & PermissionBits, ModeOf(create.Flags) | ((create.Flags & OpenDirect) == 0 ? OpenMode.WithContent : 0)));
    }

    private static OpenMode ModeOf(uint flags)
    {
        OpenMode mode = (flags & AccessModeMask) switch
        {
            OpenWriteOnly => OpenMode.Write,
            OpenReadWrite => OpenMode.ReadWrite,
            _ => OpenMode.Read,
        };
        mode |= (flags & OpenExclusive) != 0 ? OpenMode.Exclusive : 0;
        mode |= (flags & OpenTruncate) != 0 ? OpenMode.Truncate : 0;
        mode |= (flags & OpenAppend) != 0 ? OpenMode.Append : 0;
        return mode;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReplyOpenAsync(FuseRequest request, ValueTask<Outcome<OpenFile>> pending)
    {
        Outcome<OpenFile> outcome = await pending;
        if (outcome.Failed)
        {
            ReplyError(request, outcome.Error);
            return;
        }
        if (request.Abandoned)
        {
            Abandon(request, outcome.Value);
            return;
        }
        ReplyStruct(request, OpenOutOf(outcome.Value));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReplyCreateAsync(FuseRequest request, ValueTask<Outcome<OpenFile>> pending)
    {
        Outcome<OpenFile> outcome = await pending;
        if (outcome.Failed)
        {
            ReplyError(request, outcome.Error);
            return;
        }
        if (request.Abandoned)
        {
            Abandon(request, outcome.Value);
            return;
        }
        ReplyStruct(request, new CreateReply
        {
            Entry = EntryOf(outcome.Value.Attributes),
            Open = OpenOutOf(outcome.Value),
        });
    }

    /// <summary>The kernel will never close what it was not told was opened.</summary>
    private void Abandon(FuseRequest request, OpenFile file)
    {
        _files.Release(file);
        Reply(request, default);
    }

    private FuseOpenOut OpenOutOf(OpenFile file)
    {
        bool pagesHold = _kernel.Opened(file.Attributes, out bool attributesHold);
        file.DropsPages = !pagesHold;
        if (!attributesHold)
        {
            InvalidateAttributes(file.Handle);
        }
        uint flags = _options.Strict ? FuseConstants.OpenDirectIo : pagesHold ? FuseConstants.OpenKeepCache : 0;
        return new FuseOpenOut
        {
            FileHandle = _handles.Add(file),
            OpenFlags = file.IsWritable ? flags : flags | FuseConstants.OpenNoFlush,
        };
    }

    /// <summary>
    /// The kernel's attributes of a file that is open, or being opened, are outdated, and so are those that it has asked for and not
    /// taken yet. A negative offset leaves the pages alone, so the kernel takes no page lock and cannot wait for us; nor for the
    /// end of an inode that is in use.
    /// </summary>
    private void InvalidateAttributes(FileHandle file)
    {
        Notification message = new()
        {
            Header = new FuseOutHeader
            {
                Length = (uint)Unsafe.SizeOf<Notification>(),
                Error = FuseConstants.NotifyInvalidateInode,
            },
            Body = new FuseNotifyInvalidateInodeOut { NodeId = file.Packed, Offset = -1 },
        };
        _replies.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<Notification>(in message)));
    }

    private ValueTask Read(FuseRequest request, ref FuseReader reader)
    {
        FuseReadIn read = reader.Take<FuseReadIn>();
        return !reader.Ok ? default
            : _handles.Find(read.FileHandle) is { } file && read.Size <= FuseConstants.MaxTransferBytes
                ? ReadAsync(request, file, read.Offset, (int)read.Size)
                : Refuse(request, Errno.EBADF);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReadAsync(FuseRequest request, OpenFile file, ulong offset, int count)
    {
        if (file.DropsPages)
        {
            file.DropsPages = false;
            _kernel.PagesDropped(file.Attributes);
        }
        int head = Unsafe.SizeOf<FuseOutHeader>();
        byte[] buffer = _readBuffers.Rent(count);
        Outcome<int> outcome = await _files.ReadAsync(file, offset, buffer.AsMemory(head, count), request);
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

    private ValueTask Write(FuseRequest request, ref FuseReader reader)
    {
        FuseWriteIn write = reader.Take<FuseWriteIn>();
        ReadOnlySpan<byte> data = reader.Bytes(write.Size);
        if (!reader.Ok)
        {
            return default;
        }
        _kernel.Written(request.Node.Packed);
        bool keepSetId = (write.WriteFlags & FuseConstants.WriteKillSuidSgid) == 0;
        return _handles.Find(write.FileHandle) is { } file
            ? ReplyWrittenAsync(request, write.Size, _files.WriteAsync(file, write.Offset, data, keepSetId))
            : Refuse(request, Errno.EBADF);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReplyWrittenAsync(FuseRequest request, uint count, ValueTask<Errno> pending)
    {
        Errno error = await pending;
        if (error == Errno.Ok)
        {
            ReplyStruct(request, new FuseWriteOut { Size = count });
        }
        else
        {
            ReplyError(request, error);
        }
    }

    private ValueTask Flush(FuseRequest request, ref FuseReader reader)
    {
        FuseFlushIn flush = reader.Take<FuseFlushIn>();
        return !reader.Ok ? default
            : _handles.Find(flush.FileHandle) is { } file ? ReplyStatusAsync(request, _files.FlushAsync(file))
            : Refuse(request, Errno.EBADF);
    }

    private ValueTask Fsync(FuseRequest request, ref FuseReader reader)
    {
        FuseFsyncIn fsync = reader.Take<FuseFsyncIn>();
        return !reader.Ok ? default
            : _handles.Find(fsync.FileHandle) is { } file ? ReplyStatusAsync(request, _files.FsyncAsync(file))
            : Refuse(request, Errno.EBADF);
    }

    private ValueTask Release(FuseRequest request, ref FuseReader reader)
    {
        FuseReleaseIn release = reader.Take<FuseReleaseIn>();
        if (!reader.Ok)
        {
            return default;
        }
        if (_handles.Remove(release.FileHandle) is { } file)
        {
            _files.Release(file);
        }
        return Done(request);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct CreateReply
    {
        public FuseEntryOut Entry;
        public FuseOpenOut Open;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Notification
    {
        public FuseOutHeader Header;
        public FuseNotifyInvalidateInodeOut Body;
    }
}
