using System.Buffers;
using BfsCore;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>What goes to the replicas in one operation: one piece in a Write, or several of a file in a WriteParts.</summary>
internal sealed class WriteBundle
{
    /// <summary>Caller, groups, handle, flags and count.</summary>
    private const int HeadBytes = 12 + (4 * FileLimits.MaxGroups) + FileHandle.SizeBytes + 2;

    /// <summary>Offset and bytes of one part.</summary>
    private const int PartBytes = 8 + 2;

    private byte[] _buffer = [];

    /// <summary>Of all pieces.</summary>
    public int DataBytes { get; private set; }

    public OpenFile File => Pieces[0].File;

    public bool IsEmpty => Pieces.Count == 0;

    /// <summary>In the order of the writes.</summary>
    public List<WritePiece> Pieces { get; } = [];

    public byte[] Body { get; } = new byte[FileAttributes.WireBytes];

    /// <summary>Adds a piece that may go with those that are here: of the same opener, with room for it, and at a place that is known.</summary>
    public bool TryAdd(WritePiece piece)
    {
        if (!IsEmpty && (piece.File != File || piece.Flags != Pieces[0].Flags || piece.Appends
            || Pieces.Count == FileLimits.MaxParts || DataBytes + piece.DataBytes > FileLimits.MaxTransferBytes))
        {
            return false;
        }
        Pieces.Add(piece);
        DataBytes += piece.DataBytes;
        return true;
    }

    public ReadOnlyMemory<byte> Encode() => Pieces.Count == 1 ? Pieces[0].Encode() : EncodeParts();

    private ReadOnlyMemory<byte> EncodeParts()
    {
        _buffer = ArrayPool<byte>.Shared.Rent(HeadBytes + (Pieces.Count * PartBytes) + DataBytes);
        WireWriter writer = new(_buffer);
        Operations.WriteCaller(ref writer, FileOp.WriteParts, File.Opener, File.Groups);
        writer.Handle(File.Handle);
        writer.U8(Pieces[0].Flags);
        writer.U8((byte)Pieces.Count);
        foreach (WritePiece piece in Pieces)
        {
            writer.U64(piece.Offset);
            writer.U16((ushort)piece.DataBytes);
        }
        foreach (WritePiece piece in Pieces)
        {
            writer.Bytes(piece.Data);
        }
        return _buffer.AsMemory(0, writer.Length);
    }

    /// <summary>The operation has its result: empty again.</summary>
    public void Recycle(Stack<WritePiece> pool)
    {
        foreach (WritePiece piece in Pieces)
        {
            piece.Recycle();
            pool.Push(piece);
        }
        Pieces.Clear();
        DataBytes = 0;
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
        }
    }
}
