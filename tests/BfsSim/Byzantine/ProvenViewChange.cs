using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>
/// VIEW-CHANGEs that a liar writes. With MACs it may claim anything; in BFT-PK it has certificates for what is so, now or some time
/// ago, may leave entries out, and forges what it has not: others' certificates under new entries, too few voters, its own signature
/// in the name of others.
/// </summary>
public sealed class ProvenViewChange(FaultyReplica self)
{
    // Everything that it ever had a certificate for: an old one is right for ever.
    private readonly Dictionary<ViewChangeEntry, byte[]> _prepared = [];
    private readonly Dictionary<SeqNum, (ViewChangeEntry Entry, byte[] Certificate)> _checkpoints = [];

    public byte[] Write(View view, SeqNum stable, ReplicaId replica, IReadOnlyList<ViewChangeEntry> c, IReadOnlyList<ViewChangeEntry> p,
        IReadOnlyList<ViewChangeEntry> q)
    {
        var certificates = new List<byte>();
        if (self.Format.Signed)
        {
            c = stable.Value == 0 ? [] : [_checkpoints.TryGetValue(stable, out (ViewChangeEntry Entry, byte[] Certificate) known) && Sometimes()
                ? known.Entry : new ViewChangeEntry(stable, self.RandomDigest(), default)];
            foreach (ViewChangeEntry entry in c)
            {
                certificates.AddRange(_checkpoints.TryGetValue(stable, out known) ? known.Certificate
                    : Forged(Certificate.CheckpointBytes(self.Format), _checkpoints.Values.Select(k => k.Certificate)));
            }
            p = [.. p.Where(e => e.Seq > stable)];
            foreach (ViewChangeEntry entry in p)
            {
                certificates.AddRange(_prepared.TryGetValue(entry, out byte[]? right) ? right
                    : Forged(Certificate.PreparedBytes(self.Format), _prepared.Values));
            }
            q = [];
        }
        var message = new byte[ViewChange.SizeFor(c.Count, p.Count, q.Count, self.Format)];
        ViewChange.Write(message, self.Format, view, stable, replica, c, p, q, certificates.ToArray());
        return self.Seal(message);
    }

    /// <summary>Keeps what this replica's own messages prove.</summary>
    public void Learn(in ViewChange honest)
    {
        if (!self.Format.Signed)
        {
            return;
        }
        for (int i = 0; i < honest.CheckpointCount; i++)
        {
            _checkpoints[honest.StableCheckpoint] = (honest.Checkpoint(i), honest.CheckpointCertificate(self.Format).ToArray());
        }
        for (int i = 0; i < honest.PreparedCount; i++)
        {
            _prepared[honest.Prepared(i)] = honest.PreparedCertificate(i, self.Format).ToArray();
        }
    }

    private bool Sometimes() => self.Random.PerMille(800);

    private byte[] Forged(int bytes, IEnumerable<byte[]> others)
    {
        byte[] forged = others.LastOrDefault()?.ToArray() ?? new byte[bytes];
        int last = bytes - Certificate.VoteBytes;
        if (self.Random.PerMille(300))
        {
            // One voter twice.
            forged.AsSpan(last - Certificate.VoteBytes, Certificate.VoteBytes).CopyTo(forged.AsSpan(last));
        }
        else if (self.Random.PerMille(300))
        {
            Certificate.WriteVote(forged, last, new ReplicaId(self.N - 1), new byte[MessageFormat.SignatureBytes]);
        }
        return forged;
    }
}
