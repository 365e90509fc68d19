using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// PSet and QSet (§3.2.4, Figure 3-2): what prepared and what pre-prepared here in earlier views, for the numbers of the
/// log. In order of number, so that they can be sent as they are.
/// </summary>
public sealed class ViewChangeSets(int f)
{
    private readonly SortedDictionary<long, ViewChangeEntry> _prepared = [];
    private readonly SortedDictionary<long, List<ViewChangeEntry>> _prePrepared = [];

    // In BFT-PK, what proves the entries of P.
    private readonly SortedDictionary<long, byte[]> _certificates = [];

    /// <summary>Takes over what the log says of a view that is being left.</summary>
    public void Add(LogEntry entry)
    {
        var found = new ViewChangeEntry(entry.Seq, entry.Digest, entry.View);
        if (entry.Prepared)
        {
            _prepared[entry.Seq.Value] = found;
            Certify(entry.Seq, entry.Certificate);
        }
        AddPrePrepared(found);
    }

    /// <summary>Keeps what proves the entry of P for a number.</summary>
    public void Certify(SeqNum seq, byte[] certificate)
    {
        if (certificate.Length > 0)
        {
            _certificates[seq.Value] = certificate;
        }
    }

    public byte[] CertificateOf(SeqNum seq) => _certificates[seq.Value];

    /// <summary>Adds to Q alone.</summary>
    public void AddPrePrepared(ViewChangeEntry found)
    {
        if (!_prePrepared.TryGetValue(found.Seq.Value, out List<ViewChangeEntry>? known))
        {
            _prePrepared[found.Seq.Value] = known = [];
        }
        known.RemoveAll(q => q.Digest == found.Digest);
        known.Add(found);
        if (known.Count > f + 2)
        {
            // Forgets the one of the lowest view: f+1 correct replicas know that it did not commit up to there.
            known.Remove(known.MinBy(q => q.View.Value));
        }
    }

    /// <summary>What this replica's own VIEW-CHANGE said, when it is read back after a restart.</summary>
    public void Replace(ViewChangeFacts facts)
    {
        _prepared.Clear();
        _prePrepared.Clear();
        _certificates.Clear();
        foreach (ViewChangeEntry p in facts.Prepared)
        {
            _prepared[p.Seq.Value] = p;
        }
        foreach (ViewChangeEntry q in facts.PrePrepared)
        {
            if (!_prePrepared.TryGetValue(q.Seq.Value, out List<ViewChangeEntry>? known))
            {
                _prePrepared[q.Seq.Value] = known = [];
            }
            known.Add(q);
        }
    }

    /// <summary>Everything up to the stable checkpoint is no longer needed. Allocates nothing while there is nothing.</summary>
    public void DiscardThrough(SeqNum stable)
    {
        Discard(_prepared, stable.Value);
        Discard(_prePrepared, stable.Value);
        Discard(_certificates, stable.Value);
    }

    private static void Discard<T>(SortedDictionary<long, T> entries, long through)
    {
        while (entries.Count > 0)
        {
            long first = entries.First().Key;
            if (first > through)
            {
                return;
            }
            entries.Remove(first);
        }
    }

    /// <summary>Forgets everything above a number; whether there was anything.</summary>
    public bool DiscardAbove(SeqNum bound)
    {
        int before = _prepared.Count + _prePrepared.Count;
        foreach (long key in _prepared.Keys.Where(k => k > bound.Value).ToList())
        {
            _prepared.Remove(key);
        }
        foreach (long key in _prePrepared.Keys.Where(k => k > bound.Value).ToList())
        {
            _prePrepared.Remove(key);
        }
        return _prepared.Count + _prePrepared.Count < before;
    }

    /// <summary>Whether P or Q names the batch.</summary>
    public bool Names(SeqNum seq, Digest digest) =>
        (_prepared.TryGetValue(seq.Value, out ViewChangeEntry p) && p.Digest == digest)
        || (_prePrepared.TryGetValue(seq.Value, out List<ViewChangeEntry>? known) && known.Exists(q => q.Digest == digest));

    public bool HasPrepared(SeqNum seq) => _prepared.ContainsKey(seq.Value);

    public IReadOnlyList<ViewChangeEntry> Prepared => [.. _prepared.Values];

    public IReadOnlyList<ViewChangeEntry> PrePrepared => [.. _prePrepared.Values.SelectMany(q => q)];
}
