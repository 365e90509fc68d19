using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>A batch whole: its pre-prepare message as first received, and the requests that travelled separately.</summary>
public sealed record OldBatch(SeqNum Seq, Digest Digest, byte[] PrePrepare, IReadOnlyList<byte[]> Bodies)
{
    /// <summary>As <see cref="LogEntry.WholeBytes"/>.</summary>
    public long WholeBytes => 4 + PrePrepare.Length + Bodies.Sum(b => 4L + b.Length);
}

/// <summary>
/// The requests behind the entries of PSet and QSet (§3.2.4): batches of earlier views that a new view may need. Bounded:
/// numbers of the log, and f+2 batches for each.
/// </summary>
public sealed class OldBatches(ClusterConfig config)
{
    private readonly Dictionary<(long Seq, Digest Digest), OldBatch> _batches = [];

    public bool Has(SeqNum seq, Digest digest) => digest.IsZero || _batches.ContainsKey((seq.Value, digest));

    public OldBatch? Find(SeqNum seq, in Digest digest) => _batches.GetValueOrDefault((seq.Value, digest));

    /// <summary>Keeps a complete batch of the log.</summary>
    public void Keep(LogEntry entry)
    {
        if (entry.ItemCount > 0 && entry.Complete && !_batches.ContainsKey((entry.Seq.Value, entry.Digest)))
        {
            var bodies = new List<byte[]>();
            for (int i = 0; i < entry.ItemCount; i++)
            {
                if (entry.Items[i].Body is { } body)
                {
                    bodies.Add(body.Message.ToArray());
                }
            }
            _batches[(entry.Seq.Value, entry.Digest)] = new OldBatch(entry.Seq, entry.Digest, entry.PrePrepareMessage.ToArray(), bodies);
        }
    }

    /// <summary>
    /// Keeps a batch that another replica sent, if it is whole and has the wanted digest; then it does not matter who sent it.
    /// </summary>
    public bool TryKeep(SeqNum seq, in Digest wanted, ReadOnlySpan<byte> parts)
    {
        if (!BatchMessage.TryTake(ref parts, out ReadOnlySpan<byte> message)
            || !PrePrepare.TryParse(message, config.Format, out PrePrepare prePrepare) || prePrepare.RequestCount > config.MaxBatchRequests
            || prePrepare.Digest != wanted)
        {
            return false;
        }
        Span<byte> scratch = new byte[12 + (prePrepare.RequestCount * Digest.SizeBytes)];
        var bodies = new List<byte[]>();
        PrePrepare.EntryReader reader = prePrepare.Entries(config.Format);
        for (int i = 0; reader.Next(); i++)
        {
            if (config.RequesterIndex(reader.Client, reader.Slot) < 0)
            {
                return false;
            }
            ReadOnlySpan<byte> bytes;
            if (reader.InlineBytes > 0)
            {
                bytes = prePrepare.Payload.Slice(reader.InlineOffset, reader.InlineBytes);
            }
            else if (BatchMessage.TryTake(ref parts, out bytes))
            {
                bodies.Add(bytes.ToArray());
            }
            else
            {
                return false;
            }
            if (!Request.TryParse(bytes, config.Format, out Request request) || request.ReadOnly || request.Digest != reader.Digest
                || !request.DigestIsRight() || config.RequesterIndex(request.Client, request.Slot) < 0)
            {
                return false;
            }
            request.Digest.Write(scratch[(12 + (i * Digest.SizeBytes))..]);
        }
        if (!reader.Complete || PrePrepare.BatchDigest(prePrepare.TimeNanos, prePrepare.RequestCount, scratch) != wanted)
        {
            return false;
        }
        _batches[(seq.Value, wanted)] = new OldBatch(seq, wanted, message.ToArray(), bodies);
        return true;
    }

    /// <summary>Everything up to the stable checkpoint is no longer needed.</summary>
    public void DiscardThrough(SeqNum stable)
    {
        if (_batches.Count == 0)
        {
            return;
        }
        foreach ((long Seq, Digest Digest) key in _batches.Keys)
        {
            if (key.Seq <= stable.Value)
            {
                _batches.Remove(key);
            }
        }
    }

    /// <summary>
    /// Lets go of batches that neither P nor Q names any more, nor may have committed: with their bounds this one is bounded.
    /// </summary>
    public void KeepOnly(ViewChangeSets sets, SeqNum committed)
    {
        foreach ((long Seq, Digest Digest) key in _batches.Keys)
        {
            if (key.Seq > committed.Value && !sets.Names(new SeqNum(key.Seq), key.Digest))
            {
                _batches.Remove(key);
            }
        }
    }

    /// <summary>All batches in order of number, for saving.</summary>
    public IEnumerable<OldBatch> All => _batches.Values.OrderBy(b => b.Seq.Value).ThenBy(b => b.Digest.ToString(), StringComparer.Ordinal);
}
