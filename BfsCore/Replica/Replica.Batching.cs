using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>The primary's batches (§5.1.4): which requests go into them, and in which form (§5.1.5).</summary>
public sealed partial class Replica
{
    /// <summary>Most bytes of separately transmitted requests in one batch: bounds what the log can hold.</summary>
    private const int MaxBatchSeparateBytes = 512 * 1024;

    /// <summary>
    /// Suspected clients together get at most one part in so many of a batch; any one client too, while others wait.
    /// </summary>
    private const int ShareOfBatch = 4;

    private readonly int[] _itemsOfClient;
    private SeqNum _lastIssued;
    private long _lastProposedNanos;

    /// <summary>A batch in the making.</summary>
    private ref struct BatchBuilder(LogEntry entry, Span<byte> payload)
    {
        public readonly LogEntry Entry = entry;
        public readonly Span<byte> Payload = payload;
        public int PayloadBytes;
        public int InlineBytes;
        public int SeparateBytes;
    }

    /// <summary>As primary, starts the protocol for queued requests while the window allows: p &lt; e + w (§5.1.4).</summary>
    private void IssueBatches()
    {
        if (!IsPrimary || !_viewActive || _silent)
        {
            return;
        }
        while ((_queue.FirstUnordered is not null || _suspects.FirstUnordered is not null)
            && _lastIssued < _lastExecuted + _config.WindowSize && _lastIssued < HighWaterMark)
        {
            IssueBatch();
        }
        while (_lastIssued < _nullThrough && _lastIssued < _lastExecuted + _config.WindowSize && _lastIssued < HighWaterMark)
        {
            IssueNull();
        }
    }

    private void IssueBatch()
    {
        _lastIssued = _lastIssued.Next;
        LogEntry entry = _log.GetOrAdd(_lastIssued, _view);
        BatchBuilder batch = Begin(entry);
        int max = _config.MaxBatchRequests;
        Array.Clear(_itemsOfClient);
        Take(ref batch, _suspects, Math.Max(1, max / ShareOfBatch), int.MaxValue, ShareOfBatch);
        if (_queue.UnorderedCount > max - entry.ItemCount)
        {
            Take(ref batch, _queue, max, Math.Max(1, max / ShareOfBatch), 1);
        }
        Take(ref batch, _queue, max, int.MaxValue, 1);
        if (entry.ItemCount == 0)
        {
            // Nothing that waited may be ordered.
            _lastIssued -= 1;
            return;
        }
        Send(ref batch, PrePrepareFlags.None);
    }

    private BatchBuilder Begin(LogEntry entry)
    {
        int room = PrePrepare.HeaderBytes + _config.MaxBatchInlineBytes + Request.SizeFor(_config.InlineThresholdBytes, _format)
            + Request.SignatureBytes + (_config.MaxBatchRequests * PrePrepare.SeparateEntryBytes) + _format.AuthenticatorBytes;
        return new BatchBuilder(entry, entry.PrePrepareBuffer(room)[PrePrepare.HeaderBytes..room]);
    }

    /// <summary>Takes requests in order of arrival while there is room.</summary>
    /// <param name="maxItems">Until the batch has so many.</param>
    /// <param name="maxOfClient">Passes over those of a client that has so many.</param>
    /// <param name="part">Fills at most one part in so many of the bytes; one request always fits into an empty batch.</param>
    private void Take(ref BatchBuilder batch, RequestQueue queue, int maxItems, int maxOfClient, int part)
    {
        StoredRequest? next = queue.FirstUnordered;
        while (next is { } request && batch.Entry.ItemCount < maxItems)
        {
            next = request.Next;
            if (request.Ordered || _itemsOfClient[request.ClientIndex] >= maxOfClient)
            {
                continue;
            }
            if (!MayOrder(request))
            {
                Drop(DropReason.Unsigned);
                Forget(ref _pending[(request.ClientIndex * _config.SlotsPerClient) + request.Slot]);
                continue;
            }
            bool separate = request.OperationBytes > _config.InlineThresholdBytes;
            int size = request.SizeBytes + 4;
            if (batch.Entry.ItemCount > 0 && (separate ? batch.SeparateBytes + size > MaxBatchSeparateBytes / part
                : batch.InlineBytes + size > _config.MaxBatchInlineBytes / part))
            {
                return;
            }
            _itemsOfClient[request.ClientIndex]++;
            Add(ref batch, request, separate);
            queue.MarkOrdered(request);
        }
    }

    private void Add(ref BatchBuilder batch, StoredRequest request, bool separate)
    {
        ref BatchItem item = ref batch.Entry.AddItem();
        item.ClientIndex = request.ClientIndex;
        item.Slot = request.Slot;
        item.Digest = request.Digest;
        item.Authentic = true;
        if (separate)
        {
            batch.PayloadBytes = PrePrepare.AppendSeparate(batch.Payload, batch.PayloadBytes,
                _config.RequesterAt(request.ClientIndex), request.Slot, request.Digest);
            RequestPool.AddReference(request);
            item.Body = request;
            batch.SeparateBytes += request.SizeBytes + 4;
        }
        else
        {
            item.InlineOffset = PrePrepare.HeaderBytes + batch.PayloadBytes + 4;
            item.InlineBytes = request.SizeBytes;
            batch.PayloadBytes = PrePrepare.AppendInline(batch.Payload, batch.PayloadBytes, request.Message);
            batch.InlineBytes += request.SizeBytes + 4;
        }
        request.Digest.Write(_scratch.AsSpan(12 + ((batch.Entry.ItemCount - 1) * Digest.SizeBytes)));
    }

    private void Send(ref BatchBuilder batch, PrePrepareFlags flags)
    {
        LogEntry entry = batch.Entry;
        long time = _lastProposedNanos = Math.Max(_now.WallNanos, _lastProposedNanos + 1);
        Digest digest = PrePrepare.BatchDigest(time, entry.ItemCount, _scratch);
        Span<byte> message = entry.PrePrepareBuffer(PrePrepare.SizeFor(batch.PayloadBytes, _format));
        int total = PrePrepare.WriteHeader(message, _format, _view, entry.Seq, time, digest, entry.ItemCount, Id, batch.PayloadBytes, flags);
        entry.SetPrePrepare(total, digest, time);
        entry.Anew = flags == PrePrepareFlags.Anew;
        entry.PrePrepared = true;
        _keys.Authenticate(message[..PrePrepare.HeaderBytes], message[(PrePrepare.HeaderBytes + batch.PayloadBytes)..total]);
        LogPrePrepared(entry);
        SendDeferredCommits();
        _network.MulticastToReplicas(message[..total]);
        Advance(entry);
    }
}
