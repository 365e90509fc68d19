using BfsCore.FileProtocol;
using BfsCore.State;

namespace BfsReplica.Snfsd;

/// <summary>
/// Read, Open, Write, WriteParts and changes of size. Invariant: what a file's last block holds beyond its size is zero, so that growing it
/// shows zeros.
/// </summary>
public sealed partial class FileService
{
    private const ulong MaxFileBytes = BlockMap.MaxBlocks * (ulong)Volume.BlockBytes;
    private const byte AppendFlag = 1;
    private const byte KeepSetIdsFlag = 2;

    private Errno Read(ref WireReader reader, scoped in Caller caller, ResultPages? pages, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ulong offset = reader.U64();
        uint count = reader.U32();
        if (!reader.Ok || count > FileLimits.MaxTransferBytes)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode inode = ref _volume.GetInode(number);
        if (!inode.IsRegular)
        {
            return inode.IsDirectory ? Errno.EISDIR : Errno.EINVAL;
        }
        if (!MayRead(inode, caller))
        {
            return Errno.EACCES;
        }
        if (offset < inode.Size)
        {
            int length = (int)Math.Min(count, inode.Size - offset);
            CopyOut(inode, offset, body.Reserve(length), pages, StatusBytes);
        }
        return Errno.Ok;
    }

    /// <summary>A program that may be executed may be read by the kernel to execute it.</summary>
    private static bool MayRead(in Inode inode, scoped in Caller caller) =>
        caller.MayUseOpen(inode, 4) || caller.May(inode, 1);

    /// <summary>GetAttr and, of a file that is no larger than what is wanted, Read: all of it or nothing.</summary>
    private Errno OpenFile(ref WireReader reader, scoped in Caller caller, ResultPages? pages, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        uint count = reader.U32();
        if (!reader.Ok || count > FileLimits.MaxTransferBytes)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        if (status != Errno.Ok)
        {
            return status;
        }
        WriteAttributes(number, ref body);
        ref readonly Inode inode = ref _volume.GetInode(number);
        if (inode.IsRegular && inode.Size <= count && MayRead(inode, caller))
        {
            CopyOut(inode, 0, body.Reserve((int)inode.Size), pages, StatusBytes + FileAttributesBytes);
        }
        return Errno.Ok;
    }

    /// <summary>Puts a file's bytes into a result: copies them, or says of whole blocks where they are.</summary>
    private void CopyOut(in Inode inode, ulong offset, Span<byte> destination, ResultPages? pages, int resultOffset)
    {
        if (inode.IsInline)
        {
            ReadOnlySpan<byte> content = inode.Content;
            content.Slice((int)offset, destination.Length).CopyTo(destination);
            return;
        }
        while (destination.Length > 0)
        {
            int within = (int)(offset % Volume.BlockBytes);
            int length = Math.Min(Volume.BlockBytes - within, destination.Length);
            uint block = _map.Find(inode, (long)(offset / Volume.BlockBytes));
            if (length == Volume.BlockBytes && pages is not null)
            {
                PlaceBlock(pages, resultOffset, block);
            }
            else if (block == 0)
            {
                destination[..length].Clear();
            }
            else
            {
                _volume.Block(block).Slice(within, length).CopyTo(destination);
            }
            destination = destination[length..];
            offset += (ulong)length;
            resultOffset += length;
        }
    }

    private void PlaceBlock(ResultPages pages, int resultOffset, uint block)
    {
        if (block == 0)
        {
            pages.PlaceZeros(resultOffset);
        }
        else
        {
            pages.Place(resultOffset, _volume.OffsetOf(block));
        }
    }

    private Errno Write(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ulong offset = reader.U64();
        byte flags = reader.U8();
        ReadOnlySpan<byte> data = reader.ToEnd();
        if (!reader.Ok || data.Length > FileLimits.MaxTransferBytes || flags > (AppendFlag | KeepSetIdsFlag))
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        if (status != Errno.Ok)
        {
            return status;
        }
        offset = (flags & AppendFlag) != 0 ? _volume.GetInode(number).Size : offset;
        status = WriteAt(number, offset, data, flags, caller);
        return status == Errno.Ok ? WithAttributes(number, ref body) : status;
    }

    /// <summary>
    /// Several parts of a file, one after the other, as so many Writes would write them: the first that fails ends it, and what came
    /// before it stays.
    /// </summary>
    private Errno WriteParts(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        byte flags = reader.U8();
        int count = reader.U8();
        Span<(ulong Offset, int Bytes)> parts = stackalloc (ulong, int)[FileLimits.MaxParts];
        if (!ReadParts(ref reader, parts, count, out ReadOnlySpan<byte> data) || (flags & ~KeepSetIdsFlag) != 0)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        for (int i = 0; i < count && status == Errno.Ok; i++)
        {
            status = WriteAt(number, parts[i].Offset, data[..parts[i].Bytes], flags, caller);
            data = data[parts[i].Bytes..];
        }
        return status == Errno.Ok ? WithAttributes(number, ref body) : status;
    }

    /// <summary>Where the parts go, and the data of all, which is neither shorter nor longer than they are.</summary>
    private static bool ReadParts(ref WireReader reader, scoped Span<(ulong Offset, int Bytes)> parts, int count, out ReadOnlySpan<byte> data)
    {
        data = default;
        if (count is 0 or > FileLimits.MaxParts)
        {
            return false;
        }
        int total = 0;
        for (int i = 0; i < count; i++)
        {
            parts[i] = (reader.U64(), reader.U16());
            total += parts[i].Bytes;
        }
        data = reader.ToEnd();
        return reader.Ok && data.Length == total && total <= FileLimits.MaxTransferBytes;
    }

    /// <summary>Writes all of the data or, with an error, none of it.</summary>
    private Errno WriteAt(uint number, ulong offset, ReadOnlySpan<byte> data, byte flags, scoped in Caller caller)
    {
        Errno status = CheckWrite(_volume.GetInode(number), offset, data.Length, caller);
        if (status != Errno.Ok || data.Length == 0)
        {
            return status;
        }
        ref Inode inode = ref _volume.ChangeInode(number);
        CopyIn(ref inode, offset, data);
        inode.MtimeNanos = inode.CtimeNanos = ChangeTime(caller);
        if ((flags & KeepSetIdsFlag) == 0)
        {
            ClearSetIds(ref inode, caller);
        }
        return Errno.Ok;
    }

    private Errno WithAttributes(uint number, ref WireWriter body)
    {
        WriteAttributes(number, ref body);
        return Errno.Ok;
    }

    private Errno CheckWrite(in Inode inode, ulong offset, int length, scoped in Caller caller)
    {
        if (!inode.IsRegular)
        {
            return inode.IsDirectory ? Errno.EISDIR : Errno.EINVAL;
        }
        if (!caller.MayUseOpen(inode, 2))
        {
            return Errno.EACCES;
        }
        if (offset > MaxFileBytes || (ulong)length > MaxFileBytes - offset)
        {
            return Errno.EFBIG;
        }
        return _volume.HasBlocks(NewBlocksFor(inode, offset, length)) ? Errno.Ok : Errno.ENOSPC;
    }

    /// <summary>At least as many blocks as a write can need, so that it is done whole or not at all.</summary>
    private long NewBlocksFor(in Inode inode, ulong offset, int length)
    {
        ulong end = offset + (ulong)length;
        if (length == 0 || (inode.IsInline && end <= Inode.InlineBytes))
        {
            return 0;
        }
        long first = (long)(offset / Volume.BlockBytes);
        long last = (long)((end - 1) / Volume.BlockBytes);
        long holes = inode.IsInline ? last - first + 1 : 0;
        for (long i = first; i <= last && !inode.IsInline; i++)
        {
            holes += _map.Find(inode, i) == 0 ? 1 : 0;
        }
        // The range may cross into a new indirect block; a short file's own content moves to a block too.
        return holes == 0 ? 0 : holes + (2 * BlockMap.MaxIndirect) + 1;
    }

    private void CopyIn(ref Inode inode, ulong offset, ReadOnlySpan<byte> data)
    {
        ulong end = offset + (ulong)data.Length;
        if (inode.IsInline && end <= Inode.InlineBytes)
        {
            Span<byte> content = inode.Content;
            data.CopyTo(content[(int)offset..]);
            inode.Size = Math.Max(inode.Size, end);
            return;
        }
        LeaveInode(ref inode);
        inode.Size = Math.Max(inode.Size, end);
        while (data.Length > 0)
        {
            int within = (int)(offset % Volume.BlockBytes);
            int length = Math.Min(Volume.BlockBytes - within, data.Length);
            uint block = _map.FindOrAdd(ref inode, (long)(offset / Volume.BlockBytes), clear: length < Volume.BlockBytes);
            if (length == Volume.BlockBytes)
            {
                _volume.SetBlock(block, data[..length]);
            }
            else
            {
                data[..length].CopyTo(_volume.ChangeBlock(block, within, length));
            }
            data = data[length..];
            offset += (ulong)length;
        }
    }

    /// <summary>Moves a short file's content from the inode to a block.</summary>
    private void LeaveInode(ref Inode inode)
    {
        if (!inode.IsInline)
        {
            return;
        }
        Span<byte> content = inode.Content;
        Span<byte> saved = stackalloc byte[Inode.InlineBytes];
        content.CopyTo(saved);
        content.Clear();
        inode.Flags &= ~InodeFlags.Inline;
        if (inode.Size > 0)
        {
            saved.CopyTo(_volume.ChangeBlock(_map.FindOrAdd(ref inode, 0, clear: true)));
        }
    }

    private void Resize(ref Inode inode, ulong size)
    {
        if (size > inode.Size)
        {
            if (inode.IsInline && size > Inode.InlineBytes)
            {
                LeaveInode(ref inode);
            }
        }
        else if (inode.IsInline)
        {
            Span<byte> content = inode.Content;
            content[(int)size..].Clear();
        }
        else
        {
            Shrink(ref inode, size);
        }
        inode.Size = size;
    }

    private void Shrink(ref Inode inode, ulong size)
    {
        long keep = (long)((size + Volume.BlockBytes - 1) / Volume.BlockBytes);
        _map.FreeFrom(ref inode, keep);
        int within = (int)(size % Volume.BlockBytes);
        if (within > 0)
        {
            uint block = _map.Find(inode, keep - 1);
            if (block != 0)
            {
                _volume.ChangeBlock(block, within, Volume.BlockBytes - within).Clear();
            }
        }
        if (size == 0)
        {
            inode.Flags |= InodeFlags.Inline;
            Span<byte> content = inode.Content;
            content.Clear();
        }
    }
}
