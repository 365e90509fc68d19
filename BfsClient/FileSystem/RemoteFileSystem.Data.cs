using System.Runtime.CompilerServices;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

// Reading, writing, and when data has to be at the replicas.
public sealed partial class RemoteFileSystem
{
    private const int PieceBytes = FileLimits.MaxTransferBytes;

    public ValueTask<Outcome<int>> ReadAsync(OpenFile file, ulong offset, Memory<byte> destination, CallToken? call)
    {
        if (TryReadOwn(file, offset, destination.Span, out int kept) || TryReadContent(file, offset, destination.Span, out kept))
        {
            return new(kept);
        }
        if (!file.Node.Writes.IsEmpty)
        {
            return DrainThenReadAsync(file, offset, destination, call);
        }
        return destination.Length <= PieceBytes
            ? ReadPieceAsync(file, offset, destination, call)
            : ReadPiecesAsync(file, offset, destination, call);
    }

    public ValueTask<Errno> WriteAsync(OpenFile file, ulong offset, ReadOnlySpan<byte> data, bool keepSetId)
    {
        byte flags = keepSetId ? WriteQueue.KeepSetIdFlag : (byte)0;
        if (_options.Strict && (file.Mode & OpenMode.Append) != 0)
        {
            flags |= WriteQueue.AppendFlag;
        }
        int errorsBefore = file.Node.Writes.ErrorCount;
        bool mayWait = WriteToContent(file, offset, data);
        _writes.Add(file, offset, flags, data, mayWait);
        // After an error that nobody was told yet, writers learn at once whether theirs fails too. And who writes to a
        // set-user-ID file finds it without when the write is done.
        return _options.Strict || file.SeenErrors != errorsBefore || (!keepSetId && file.Node.HasSetId)
            ? WriteThroughAsync(file, errorsBefore)
            : AcknowledgeAsync();
    }

    public ValueTask<Errno> FlushAsync(OpenFile file) =>
        !file.IsWritable ? new(Errno.Ok)
            : file.Node.Writes.IsEmpty ? new(TakeError(file))
            : DrainThenTakeErrorAsync(file);

    public async ValueTask<Errno> FsyncAsync(OpenFile file)
    {
        await _writes.DrainAsync(file.Node);
        WireWriter writer = Begin(file.Opener, file.Groups, FileOp.Fsync, out OpBuffer buffer);
        writer.Handle(file.Handle);
        Errno status = await StatusAsync(buffer.Written(writer), null);
        Errno writeError = TakeError(file);
        return writeError != Errno.Ok ? writeError : status;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Errno> AcknowledgeAsync()
    {
        await _writes.WhenRoomAsync();
        return Errno.Ok;
    }

    private async ValueTask<Errno> WriteThroughAsync(OpenFile file, int errorsBefore)
    {
        await _writes.DrainAsync(file.Node);
        WriteQueue queue = file.Node.Writes;
        if (queue.ErrorCount == errorsBefore)
        {
            return Errno.Ok;
        }
        if (file.SeenErrors == errorsBefore)
        {
            file.SeenErrors = queue.ErrorCount;
        }
        return queue.LastError;
    }

    private async ValueTask<Errno> DrainThenTakeErrorAsync(OpenFile file)
    {
        await _writes.DrainAsync(file.Node);
        return TakeError(file);
    }

    /// <summary>The last write error that this open file was not told yet.</summary>
    private static Errno TakeError(OpenFile file)
    {
        WriteQueue queue = file.Node.Writes;
        if (file.SeenErrors == queue.ErrorCount)
        {
            return Errno.Ok;
        }
        file.SeenErrors = queue.ErrorCount;
        return queue.LastError;
    }

    private void OnWriteSettled(OpenFile file, FileAttributes? attributes, Asked asked)
    {
        Node node = file.Node;
        OwnContent? content = OwnContent(file);
        _changes++;
        node.ContentChanges();
        if (attributes is { } known)
        {
            bool modeChanged = node.HasSetId;
            node.Learn(known, asked);
            FollowOwn(content, known);
            if (modeChanged && !node.HasSetId && node.OpenCount > 0)
            {
                SetIdCleared?.Invoke(node.Handle);
            }
        }
        DropIfUnused(node, _options.Housekeeping);
    }

    private async ValueTask<Outcome<int>> DrainThenReadAsync(OpenFile file, ulong offset, Memory<byte> destination,
        CallToken? call)
    {
        await _writes.DrainAsync(file.Node);
        return await ReadPiecesAsync(file, offset, destination, call);
    }

    private ValueTask<Outcome<int>> ReadPieceAsync(OpenFile file, ulong offset, Memory<byte> destination, CallToken? call)
    {
        WireWriter writer = Begin(file.Opener, file.Groups, FileOp.Read, out OpBuffer buffer);
        writer.Handle(file.Handle);
        writer.U64(offset);
        writer.U32((uint)destination.Length);
        return BytesAsync(buffer.Written(writer), destination, call);
    }

    /// <summary>All pieces are asked for at once; the first short one is the end of the file.</summary>
    private async ValueTask<Outcome<int>> ReadPiecesAsync(OpenFile file, ulong offset, Memory<byte> destination,
        CallToken? call)
    {
        int count = (destination.Length + PieceBytes - 1) / PieceBytes;
        var pieces = new ValueTask<Outcome<int>>[count];
        for (int i = 0; i < count; i++)
        {
            int start = i * PieceBytes;
            Memory<byte> part = destination.Slice(start, Math.Min(PieceBytes, destination.Length - start));
#pragma warning disable CA2012 // Each is awaited once, below.
            pieces[i] = ReadPieceAsync(file, offset + (ulong)start, part, call);
#pragma warning restore CA2012
        }
        int total = 0;
        bool ended = false;
        Errno error = Errno.Ok;
        for (int i = 0; i < count; i++)
        {
            Outcome<int> piece = await pieces[i];
            if (ended)
            {
                continue;
            }
            error = piece.Error;
            total += piece.Failed ? 0 : piece.Value;
            ended = piece.Failed || piece.Value < Math.Min(PieceBytes, destination.Length - (i * PieceBytes));
        }
        return error != Errno.Ok ? error : total;
    }
}
