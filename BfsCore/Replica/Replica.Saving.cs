using System.Buffers.Binary;
using System.Security.Cryptography;
using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Saving the log over a clean stop (§4.3.2 "the recovery monitor saves the replica's state"): with the image of the stable
/// checkpoint it is all that a replica knows. Batches are executed again at the start, which ends in the same state
/// because execution is deterministic.
///
/// Layout: "BFSLOG01", view i64, stable checkpoint i64, its digest (32), entry count i32; per entry: seq i64, flags i32
/// (1 prepared, 2 committed), the PRE-PREPARE (i32 length, bytes), and each separate request (the same); SHA-256 of all.
/// </summary>
public sealed partial class Replica
{
    private static ReadOnlySpan<byte> LogMagic => "BFSLOG01"u8;

    /// <summary>Writes the log above the stable checkpoint. The image of that checkpoint is saved by the host.</summary>
    public void SaveLog(Stream stream)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> header = stackalloc byte[60];
        LogMagic.CopyTo(header);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], _view.Value);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], _stable.Value);
        StableDigest.Write(header[24..]);
        int count = 0;
        for (SeqNum seq = _stable.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            count += _log.Find(seq) is { PrePrepared: true } ? 1 : 0;
        }
        BinaryPrimitives.WriteInt32LittleEndian(header[56..], count);
        Append(stream, sha, header);
        for (SeqNum seq = _stable.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            if (_log.Find(seq) is { PrePrepared: true } entry)
            {
                SaveEntry(stream, sha, entry);
            }
        }
        stream.Write(sha.GetHashAndReset());
    }

    private static void SaveEntry(Stream stream, IncrementalHash sha, LogEntry entry)
    {
        Span<byte> head = stackalloc byte[12];
        BinaryPrimitives.WriteInt64LittleEndian(head, entry.Seq.Value);
        BinaryPrimitives.WriteInt32LittleEndian(head[8..], (entry.Prepared ? 1 : 0) | (entry.Committed ? 2 : 0));
        Append(stream, sha, head);
        AppendBlock(stream, sha, entry.PrePrepareMessage);
        for (int i = 0; i < entry.ItemCount; i++)
        {
            if (entry.Items[i].Body is { } body)
            {
                AppendBlock(stream, sha, body.Message);
            }
        }
    }

    private static void Append(Stream stream, IncrementalHash sha, ReadOnlySpan<byte> bytes)
    {
        stream.Write(bytes);
        sha.AppendData(bytes);
    }

    private static void AppendBlock(Stream stream, IncrementalHash sha, ReadOnlySpan<byte> bytes)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        Append(stream, sha, length);
        Append(stream, sha, bytes);
    }

    /// <summary>
    /// Takes up a saved log, before <see cref="Start"/>. The state must be the image of the checkpoint that the log
    /// starts from.
    /// </summary>
    /// <returns>What is wrong with the log, or null. After an error the replica is as it was.</returns>
    public string? RestoreLog(ReadOnlySpan<byte> saved)
    {
        if (saved.Length < 60 + Digest.SizeBytes || !saved.StartsWith(LogMagic))
        {
            return "it is not a saved log";
        }
        ReadOnlySpan<byte> body = saved[..^Digest.SizeBytes];
        if (DigestOf(body) != Digest.Read(saved[^Digest.SizeBytes..]))
        {
            return "its checksum is wrong";
        }
        if (BinaryPrimitives.ReadInt64LittleEndian(body[16..]) != _stable.Value
            || Digest.Read(body[24..]) != _pages.CheckpointDigest(_stable))
        {
            return $"it starts from another checkpoint than {_stable}, which the state file holds";
        }
        _view = new View(BinaryPrimitives.ReadInt64LittleEndian(body[8..]));
        int count = BinaryPrimitives.ReadInt32LittleEndian(body[56..]);
        body = body[60..];
        for (int i = 0; i < count; i++)
        {
            RestoreEntry(ref body);
        }
        _lastIssued = Last(_lastIssued, _lastExecuted);
        ExecuteReady();
        return null;
    }

    private void RestoreEntry(ref ReadOnlySpan<byte> body)
    {
        SeqNum seq = new(BinaryPrimitives.ReadInt64LittleEndian(body));
        int flags = BinaryPrimitives.ReadInt32LittleEndian(body[8..]);
        body = body[12..];
        BfsAssert.That(PrePrepare.TryParse(TakeBlock(ref body), _n, out PrePrepare prePrepare));
        // The batch keeps the view it was accepted in; without view changes yet that is the present one.
        LogEntry entry = _log.GetOrAdd(seq, prePrepare.View);
        BfsAssert.That(ReadBatch(entry, prePrepare));
        for (int i = 0; i < entry.ItemCount; i++)
        {
            ref BatchItem item = ref entry.Items[i];
            item.Authentic = true;
            if (item.InlineBytes == 0)
            {
                BfsAssert.That(Request.TryParse(TakeBlock(ref body), _n, out Request request));
                item.ClientIndex = _config.ClientIndex(request.Client);
                item.Slot = request.Slot;
                item.Body = _pool.Keep(request, item.ClientIndex, authentic: true);
            }
        }
        entry.PrePrepared = true;
        entry.Prepared = (flags & 1) != 0;
        entry.Committed = (flags & 2) != 0;
        if (!IsPrimary)
        {
            entry.Prepares.Add(Id, entry.Digest);
        }
        if (entry.Prepared)
        {
            entry.Commits.Add(Id, entry.Digest);
        }
        _lastIssued = Last(_lastIssued, seq);
    }

    private static SeqNum Last(SeqNum a, SeqNum b) => a > b ? a : b;

    private static ReadOnlySpan<byte> TakeBlock(ref ReadOnlySpan<byte> body)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(body);
        ReadOnlySpan<byte> block = body.Slice(4, length);
        body = body[(4 + length)..];
        return block;
    }
}
