using System.Buffers;
using BfsCore;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>
/// A stretch of data on its way to one file. It lies where a Write wants it, behind room for the operation's head, so that a piece that
/// goes alone is copied once.
/// </summary>
internal sealed class WritePiece
{
    /// <summary>Caller, groups, handle, offset and flags, bytes.</summary>
    private const int HeadBytes = 12 + (4 * FileLimits.MaxGroups) + FileHandle.SizeBytes + 8 + 1;

    private const int PageBytes = 4096;

    private byte[] _buffer = [];

    /// <summary>Position in the file; meaningless when appending.</summary>
    public ulong Offset { get; private set; }

    public int DataBytes { get; private set; }
    public byte Flags { get; private set; }
    public OpenFile File { get; private set; } = null!;
    public long Number { get; private set; }
    public bool InFlight { get; set; }

    /// <summary>Nothing needs it at the replicas until it is asked for.</summary>
    public bool MayWait { get; set; }

    public ulong End => Offset + (ulong)DataBytes;

    /// <summary>Whether the piece reaches the end of its 60 KiB frame, so that nothing more can join it.</summary>
    public bool IsFull => End % FileLimits.MaxTransferBytes == 0;

    /// <summary>Whether it ends where a page of the file does.</summary>
    public bool EndsWithPage => End % PageBytes == 0;

    public bool Appends => (Flags & WriteQueue.AppendFlag) != 0;

    public void Begin(OpenFile file, ulong offset, byte flags, ReadOnlySpan<byte> data, long number)
    {
        (File, Offset, Flags, Number, InFlight) = (file, offset, flags, number, false);
        DataBytes = data.Length;
        _buffer = ArrayPool<byte>.Shared.Rent(HeadBytes + data.Length);
        data.CopyTo(_buffer.AsSpan(HeadBytes));
    }

    /// <summary>Joins data that overlaps or touches this piece, stays in its frame and is written by the same opener.</summary>
    public bool TryMerge(OpenFile file, ulong offset, byte flags, ReadOnlySpan<byte> data, out int grown)
    {
        grown = 0;
        ulong end = offset + (ulong)data.Length;
        if (InFlight || Appends || flags != Flags || file != File || offset < Offset || offset > End ||
            (end - 1) / FileLimits.MaxTransferBytes != Offset / FileLimits.MaxTransferBytes)
        {
            return false;
        }
        int at = (int)(offset - Offset);
        int needed = Math.Max(DataBytes, at + data.Length);
        if (HeadBytes + needed > _buffer.Length)
        {
            Grow();
        }
        data.CopyTo(_buffer.AsSpan(HeadBytes + at));
        grown = needed - DataBytes;
        DataBytes = needed;
        return true;
    }

    /// <summary>Whether the two must be executed in the order in which they were written.</summary>
    public bool Conflicts(WritePiece other) => other.Appends || Overlaps(other.Offset, other.DataBytes);

    /// <summary>Whether it must be executed before a later write to this place.</summary>
    public bool Overlaps(ulong offset, int bytes) => Appends || (Offset < offset + (ulong)bytes && offset < End);

    public ReadOnlySpan<byte> Data => _buffer.AsSpan(HeadBytes, DataBytes);

    /// <summary>The Write of this piece: the operation's head is put in front of the data.</summary>
    public ReadOnlyMemory<byte> Encode()
    {
        int headBytes = HeadBytes - (4 * (FileLimits.MaxGroups - File.Groups.Length));
        int start = HeadBytes - headBytes;
        WireWriter writer = new(_buffer.AsSpan(start, headBytes));
        Operations.WriteCaller(ref writer, FileOp.Write, File.Opener, File.Groups);
        writer.Handle(File.Handle);
        writer.U64(Offset);
        writer.U8(Flags);
        BfsAssert.That(writer.Remaining == 0);
        return _buffer.AsMemory(start, headBytes + DataBytes);
    }

    public void Recycle()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        (_buffer, File) = ([], null!);
    }

    private void Grow()
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(HeadBytes + FileLimits.MaxTransferBytes);
        _buffer.AsSpan(0, HeadBytes + DataBytes).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
