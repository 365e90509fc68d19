using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// What a replica writes down before it sends it, so that the end of its process makes it forget nothing that others may
/// count on (pitfall 33): every batch that pre-prepared here, what prepared and committed, stable checkpoints, its view and its
/// last VIEW-CHANGE. The log begins anew whenever the host has saved the image of a stable checkpoint.
/// </summary>
public sealed partial class Replica
{
    private readonly IVoteLog _votes;

    /// <summary>True while the log is read at the start: nothing is sent or written then.</summary>
    private bool _restoring;

    /// <summary>
    /// The state came from others, and the log does not lead to it: at the next stable checkpoint, which is this one, the host
    /// must save the image. If all forgot what they fetched, nobody might have it.
    /// </summary>
    public bool ImageNeeded { get; private set; }

    /// <summary>
    /// The host has saved the image of the stable checkpoint: the log starts from there, with what is still needed.
    /// </summary>
    /// <exception cref="IOException">The disk is full; the log goes on as it was.</exception>
    public void RestartLog()
    {
        BeginLog();
        EndLog(saved: true);
        ImageNeeded = false;
    }

    /// <summary>
    /// The host begins to save the image of the stable checkpoint, which takes a while: a log that starts from there is kept
    /// beside the present one until <see cref="EndLog"/>.
    /// </summary>
    /// <exception cref="IOException">The disk is full; the log goes on as it was, and there is nothing to end.</exception>
    public void BeginLog()
    {
        _votes.Begin();
        try
        {
            LogEverything();
        }
        catch (IOException)
        {
            _votes.Abandon();
            throw;
        }
        _votes.KeepBoth();
    }

    /// <summary>The save that <see cref="BeginLog"/> was for has ended.</summary>
    /// <exception cref="IOException">The disk was full; the log goes on as it was before.</exception>
    public void EndLog(bool saved)
    {
        if (saved)
        {
            _votes.Switch();
        }
        else
        {
            _votes.Abandon();
        }
    }

    private void LogEverything()
    {
        // Without the state that earlier votes were for, the log begins above them.
        LogMark(VoteRecordKind.Base, LowWaterMark, LowWaterMark == _stable ? StableDigest : CertifiedDigest, StableCertificate(LowWaterMark));
        if (_silent)
        {
            LogMark(VoteRecordKind.Silent, _silentThrough, default);
        }
        LogCommitted();
        Leaving own = _leaving[Id.Value];
        if (own.View == _view && own.Message.Length > 0)
        {
            LogLeft();
            foreach (OldBatch batch in _oldBatches.All)
            {
                LogOldBatch(batch);
            }
        }
        if (_viewActive && _newView is not null)
        {
            LogEntered();
        }
        for (SeqNum seq = LowWaterMark.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            if (_viewActive && _log.Find(seq) is { PrePrepared: true } entry && entry.View == _view)
            {
                LogAbandoned(seq);
                LogPrePrepared(entry);
                if (entry.Prepared)
                {
                    LogPrepared(entry);
                }
            }
        }
    }

    /// <summary>What was executed after the image: checkpoints that were announced rest on it.</summary>
    private void LogCommitted()
    {
        for (SeqNum seq = _stable.Next; seq <= _lastCommitted; seq = seq.Next)
        {
            if (!TryFindCommitted(seq, out Digest digest) || !HasBatch(seq, digest))
            {
                return;
            }
            if (_oldBatches.Find(seq, digest) is { } batch)
            {
                LogOldBatch(batch);
            }
            LogMark(VoteRecordKind.Committed, seq, digest);
        }
    }

    /// <param name="certificate">What proves it, if it has to be proven to others (BFT-PK).</param>
    private void LogMark(VoteRecordKind kind, SeqNum seq, in Digest digest, ReadOnlySpan<byte> certificate = default)
    {
        if (_restoring)
        {
            return;
        }
        Span<byte> record = _votes.Reserve(VoteRecord.HeaderBytes + (certificate.IsEmpty ? 0 : 4 + certificate.Length));
        VoteRecord.Write(record, kind, seq, _view, digest);
        if (!certificate.IsEmpty)
        {
            BatchMessage.Append(record, VoteRecord.HeaderBytes, certificate);
        }
        _votes.Append();
    }

    private void LogPrepared(LogEntry entry) => LogMark(VoteRecordKind.Prepared, entry.Seq, entry.Digest, entry.Certificate);

    /// <summary>The batch whole, and that it pre-prepared here in the present view.</summary>
    private void LogPrePrepared(LogEntry entry)
    {
        ReadOnlySpan<byte> prePrepare = entry.PrePrepareMessage;
        int size = VoteRecord.HeaderBytes + 4 + prePrepare.Length;
        for (int i = 0; i < entry.ItemCount; i++)
        {
            size += entry.Items[i].Body is { } body ? 4 + body.SizeBytes : 0;
        }
        Span<byte> record = _votes.Reserve(size);
        VoteRecord.Write(record, VoteRecordKind.PrePrepared, entry.Seq, _view, entry.Digest);
        int at = BatchMessage.Append(record, VoteRecord.HeaderBytes, prePrepare);
        for (int i = 0; i < entry.ItemCount; i++)
        {
            if (entry.Items[i].Body is { } body)
            {
                at = BatchMessage.Append(record, at, body.Message);
            }
        }
        _votes.Append();
    }

    /// <summary>What this replica proposed first, before the batch that took its place in the present view.</summary>
    private void LogAbandoned(SeqNum seq)
    {
        foreach ((SeqNum at, Digest digest) in _abandoned)
        {
            if (at == seq && _oldBatches.Find(seq, digest) is { } batch)
            {
                LogOldBatch(batch, VoteRecordKind.PrePrepared);
            }
        }
    }

    private void LogOldBatch(OldBatch batch, VoteRecordKind kind = VoteRecordKind.OldBatch)
    {
        Span<byte> record = _votes.Reserve(VoteRecord.HeaderBytes + 4 + batch.PrePrepare.Length + batch.Bodies.Sum(b => 4 + b.Length));
        VoteRecord.Write(record, kind, batch.Seq, _view, batch.Digest);
        int at = BatchMessage.Append(record, VoteRecord.HeaderBytes, batch.PrePrepare);
        foreach (byte[] body in batch.Bodies)
        {
            at = BatchMessage.Append(record, at, body);
        }
        _votes.Append();
    }

    private void LogLeft()
    {
        byte[] message = _leaving[Id.Value].Message;
        Span<byte> record = _votes.Reserve(VoteRecord.HeaderBytes + 4 + message.Length);
        VoteRecord.Write(record, VoteRecordKind.Left, _stable, _view, default);
        BatchMessage.Append(record, VoteRecord.HeaderBytes, message);
        _votes.Append();
    }

    /// <summary>The decision, with what it rests on: others may have to be helped into the view after a restart.</summary>
    private void LogEntered()
    {
        int size = VoteRecord.HeaderBytes + 4 + _newView!.Length;
        for (int j = 0; j < _n; j++)
        {
            size += IsToBeKept(j) ? 4 + _leaving[j].Message.Length : 0;
        }
        Span<byte> record = _votes.Reserve(size);
        VoteRecord.Write(record, VoteRecordKind.Entered, _stable, _view, default);
        int at = BatchMessage.Append(record, VoteRecord.HeaderBytes, _newView);
        for (int j = 0; j < _n; j++)
        {
            at = IsToBeKept(j) ? BatchMessage.Append(record, at, _leaving[j].Message) : at;
        }
        _votes.Append();

        bool IsToBeKept(int j) => j != Id.Value && _leaving[j].View == _view && _leaving[j].Authentic;
    }
}
