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

    /// <summary>Takes over what the log says of a view that is being left.</summary>
    public void Add(LogEntry entry)
    {
        var found = new ViewChangeEntry(entry.Seq, entry.Digest, entry.View);
        if (entry.Prepared)
        {
            _prepared[entry.Seq.Value] = found;
        }
        if (!_prePrepared.TryGetValue(entry.Seq.Value, out List<ViewChangeEntry>? known))
        {
            _prePrepared[entry.Seq.Value] = known = [];
        }
        known.RemoveAll(q => q.Digest == entry.Digest);
        known.Add(found);
        if (known.Count > f + 2)
        {
            // Forgets the one of the lowest view: f+1 correct replicas know that it did not commit up to there.
            known.Remove(known.MinBy(q => q.View.Value));
        }
    }

    public void DiscardThrough(SeqNum stable)
    {
        foreach (long seq in _prepared.Keys.TakeWhile(s => s <= stable.Value).ToArray())
        {
            _prepared.Remove(seq);
        }
        foreach (long seq in _prePrepared.Keys.TakeWhile(s => s <= stable.Value).ToArray())
        {
            _prePrepared.Remove(seq);
        }
    }

    public IReadOnlyList<ViewChangeEntry> Prepared => [.. _prepared.Values];

    public IReadOnlyList<ViewChangeEntry> PrePrepared => [.. _prePrepared.Values.SelectMany(q => q)];
}
