using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsClient.FileSystem;
using BfsCore.FileProtocol;

namespace BfsClient.Fuse;

// Listings.
internal sealed partial class FuseSession
{
    private ValueTask OpenDir(FuseRequest request, ref FuseReader reader)
    {
        reader.Take<FuseOpenIn>();
        if (reader.Ok)
        {
            OpenFile directory = _files.OpenDirectory(request.Caller, request.Node);
            ReplyStruct(request, new FuseOpenOut { FileHandle = _handles.Add(directory) });
        }
        return default;
    }

    private ValueTask ReadDir(FuseRequest request, bool plus, ref FuseReader reader)
    {
        FuseReadIn read = reader.Take<FuseReadIn>();
        return !reader.Ok ? default
            : _handles.Find(read.FileHandle) is { } directory && read.Size <= FuseConstants.MaxTransferBytes
                ? ReadDirAsync(request, directory, read.Offset, (int)read.Size, plus)
                : Refuse(request, Errno.EBADF);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReadDirAsync(FuseRequest request, OpenFile directory, ulong cookie, int size, bool plus)
    {
        Errno error = await _files.ReadDirectoryAsync(directory, cookie, size, request);
        if (error != Errno.Ok)
        {
            ReplyError(request, error);
            return;
        }
        int head = Unsafe.SizeOf<FuseOutHeader>();
        byte[] buffer = _readBuffers.Rent(size);
        int length = 0;
        while (_files.TryPeekEntry(directory, out DirectoryEntry entry) &&
            TryPutEntry(buffer.AsSpan(head + length, size - length), entry, plus, out int used))
        {
            length += used;
            _files.NextEntry(directory);
        }
        ReplyMessage(request, buffer.AsSpan(0, head + length), Errno.Ok);
        _readBuffers.Return(buffer);
    }

    private bool TryPutEntry(Span<byte> room, in DirectoryEntry entry, bool plus, out int used)
    {
        int start = plus ? Unsafe.SizeOf<FuseEntryOut>() : 0;
        int end = start + Unsafe.SizeOf<FuseDirent>() + entry.Name.Length;
        used = FuseConstants.Align8(end);
        if (used > room.Length)
        {
            return false;
        }
        if (plus)
        {
            // Without a node the kernel takes the name only: for the two dots, and while writes are on their way.
            bool known = entry.Settled && !IsDots(entry.Name);
            FuseEntryOut node = known ? EntryOf(entry.Attributes) : default;
            MemoryMarshal.Write(room, in node);
        }
        FuseDirent dirent = new()
        {
            Inode = entry.Attributes.Handle.Inode,
            Offset = entry.NextCookie,
            NameLength = (uint)entry.Name.Length,
            Type = (entry.Attributes.Mode >> 12) & 0xF,
        };
        MemoryMarshal.Write(room[start..], in dirent);
        entry.Name.CopyTo(room[(start + Unsafe.SizeOf<FuseDirent>())..]);
        room[end..used].Clear();
        return true;
    }

    private static bool IsDots(ReadOnlySpan<byte> name) => name.SequenceEqual("."u8) || name.SequenceEqual(".."u8);
}
