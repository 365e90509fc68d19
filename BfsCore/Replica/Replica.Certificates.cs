using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// BFT-PK (§2.3): certificates whose signatures anybody can check. They are made from the messages that the certificate was
/// complete with, written to the vote log, carried by view-changes and checked by whoever gets one. With MACs all of this is idle.
/// </summary>
public sealed partial class Replica
{
    private readonly INewViewRule _rule;

    /// <summary>What proves checkpoints from the low water mark on, as far as they are proven.</summary>
    private readonly SortedDictionary<long, (Digest Digest, byte[] Certificate)> _stableCertificates = [];

    /// <summary>A view-change has to prove its h; the beginning needs no proof.</summary>
    private bool CanProveStable => !_format.Signed || LowWaterMark.Value == 0 || _stableCertificates.ContainsKey(LowWaterMark.Value);

    /// <summary>The digest of the checkpoint at the low water mark, which the state may not have reached; zero when it is not proven.</summary>
    private Digest CertifiedDigest =>
        _stableCertificates.TryGetValue(LowWaterMark.Value, out (Digest Digest, byte[] Certificate) known) ? known.Digest : default;

    private ReadOnlySpan<byte> StableCertificate(SeqNum seq) =>
        _stableCertificates.TryGetValue(seq.Value, out (Digest Digest, byte[] Certificate) known) ? known.Certificate : default;

    /// <summary>A batch has prepared: keeps the pre-prepare and 2f prepares that show it (§2.3.3).</summary>
    private void Certify(LogEntry entry)
    {
        if (!_format.Signed)
        {
            return;
        }
        if (entry.Prepares.Has(Id) && !entry.Prepares.TryGetSignature(Id, entry.Digest, out _))
        {
            // Voted for in an earlier life; signing it once more says nothing new.
            BuildVote(MessageTag.Prepare, entry);
        }
        byte[] certificate = new byte[Certificate.PreparedBytes(_format)];
        int at = WritePrePrepareOf(entry, certificate);
        for (int j = 0, votes = 0; j < _n && votes < Certificate.PreparedVotes(_format); j++)
        {
            var replica = new ReplicaId(j);
            if (entry.Prepares.TryGetSignature(replica, entry.Digest, out ReadOnlySpan<byte> signature))
            {
                at = Certificate.WriteVote(certificate, at, replica, signature);
                votes++;
            }
        }
        BfsAssert.That(at == certificate.Length);
        entry.Certificate = certificate;
    }

    /// <summary>The primary's own message, or what it signed with the new view.</summary>
    private int WritePrePrepareOf(LogEntry entry, Span<byte> certificate)
    {
        if (PrePrepare.TryParse(entry.PrePrepareMessage, _format, out PrePrepare prePrepare) && prePrepare.View == entry.View)
        {
            return Certificate.WritePrePrepare(certificate, prePrepare.Header, prePrepare.Authenticator);
        }
        BfsAssert.That(NewView.TryParse(_newView, _config, out NewView newView) && newView.View == entry.View);
        Span<byte> header = stackalloc byte[PrePrepare.HeaderBytes];
        NewView.PrePrepareHeader(header, _format, entry.View, entry.Seq, entry.Digest);
        return Certificate.WritePrePrepare(certificate, header, newView.PrePrepareSignature((int)(entry.Seq - newView.Checkpoint) - 1));
    }

    /// <summary>A checkpoint has become stable, or what proves the stable one has come.</summary>
    private void CertifyStable(SeqNum seq, in Digest digest)
    {
        if (!_format.Signed)
        {
            return;
        }
        byte[] certificate = new byte[Certificate.CheckpointBytes(_format)];
        if (!_stableCertificates.ContainsKey(seq.Value) && _checkpoints.TryProve(seq, digest, Certificate.CheckpointVotes(_format), certificate))
        {
            _stableCertificates[seq.Value] = (digest, certificate);
        }
        while (_stableCertificates.Count > 0 && _stableCertificates.First().Key < LowWaterMark.Value)
        {
            _stableCertificates.Remove(_stableCertificates.First().Key);
        }
    }

    /// <summary>A vote for the stable checkpoint itself, which a replica asks for that cannot prove it.</summary>
    private void ProveStableWith(in Checkpoint checkpoint)
    {
        if (CanProveStable || checkpoint.Seq != LowWaterMark)
        {
            return;
        }
        CertifyStable(checkpoint.Seq, checkpoint.Digest);
        if (CanProveStable)
        {
            LogMark(VoteRecordKind.Stable, checkpoint.Seq, checkpoint.Digest, StableCertificate(checkpoint.Seq));
            AnnounceIfHeldBack();
        }
    }

    /// <summary>It left its view when it could not say so yet.</summary>
    private void AnnounceIfHeldBack()
    {
        if (!_viewActive && _leaving[Id.Value].View != _view)
        {
            AnnounceLeaving();
            Reconsider();
        }
    }

    /// <summary>C, P and their certificates, for this replica's VIEW-CHANGE.</summary>
    private (List<ViewChangeEntry> Checkpoints, byte[] Certificates) ProvenFacts(IReadOnlyList<ViewChangeEntry> prepared)
    {
        var checkpoints = new List<ViewChangeEntry>();
        var certificates = new List<byte[]>();
        if (_stableCertificates.TryGetValue(LowWaterMark.Value, out (Digest Digest, byte[] Certificate) known))
        {
            checkpoints.Add(new ViewChangeEntry(LowWaterMark, known.Digest, default));
            certificates.Add(known.Certificate);
        }
        foreach (ViewChangeEntry p in prepared)
        {
            certificates.Add(_sets.CertificateOf(p.Seq));
        }
        return (checkpoints, [.. certificates.SelectMany(c => c)]);
    }

    /// <summary>Whether everything that a VIEW-CHANGE says is proven (§2.3.5); with MACs it is only claimed.</summary>
    private bool ProvesItsFacts(in ViewChange message)
    {
        if (!_format.Signed)
        {
            return true;
        }
        if (message.CheckpointCount > 0 && !Certificate.ProvesCheckpoint(message.CheckpointCertificate(_format), message.StableCheckpoint,
            message.Checkpoint(0).Digest, _format, _keys.VerifyReplica))
        {
            return false;
        }
        for (int i = 0; i < message.PreparedCount; i++)
        {
            if (!Certificate.ProvesPrepared(message.PreparedCertificate(i, _format), message.Prepared(i), _format, _keys.VerifyReplica))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>What a VIEW-CHANGE proves is proven for this replica too.</summary>
    private void LearnCheckpoint(in ViewChange message)
    {
        if (_format.Signed && message.CheckpointCount > 0 && message.StableCheckpoint >= LowWaterMark)
        {
            bool heldBack = !CanProveStable;
            _stableCertificates.TryAdd(message.StableCheckpoint.Value,
                (message.Checkpoint(0).Digest, message.CheckpointCertificate(_format).ToArray()));
            if (heldBack && CanProveStable && !_restoring)
            {
                AnnounceIfHeldBack();
            }
        }
    }

    /// <summary>As the new primary: the signatures of the pre-prepares in O and N (§2.3.5).</summary>
    private byte[] SignPrePrepares(SeqNum checkpoint, List<ViewChangeEntry> batches)
    {
        if (!_format.Signed)
        {
            return [];
        }
        byte[] signatures = new byte[batches.Count * MessageFormat.SignatureBytes];
        Span<byte> header = stackalloc byte[PrePrepare.HeaderBytes];
        for (int i = 0; i < batches.Count; i++)
        {
            NewView.PrePrepareHeader(header, _format, _view, checkpoint + 1 + i, batches[i].Digest);
            _keys.Authenticate(header, signatures.AsSpan(i * MessageFormat.SignatureBytes, MessageFormat.SignatureBytes));
        }
        return signatures;
    }

    /// <summary>As a backup: without these signatures it could not prove that the batches of the new view prepared.</summary>
    private bool PrePreparesAreSigned(in NewView newView)
    {
        Span<byte> header = stackalloc byte[PrePrepare.HeaderBytes];
        for (int i = 0; _format.Signed && i < newView.BatchCount; i++)
        {
            NewView.PrePrepareHeader(header, _format, newView.View, newView.Checkpoint + 1 + i, newView.BatchAt(i));
            if (!_keys.VerifyReplica(newView.Primary, header, newView.PrePrepareSignature(i)))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>What the vote log says of certificates.</summary>
    private byte[] TakeCertificate(in VoteRecord record, int bytes)
    {
        ReadOnlySpan<byte> parts = record.Parts;
        return _format.Signed && BatchMessage.TryTake(ref parts, out ReadOnlySpan<byte> certificate) && certificate.Length == bytes
            ? certificate.ToArray() : [];
    }

    private void TakeStableCertificate(in VoteRecord record)
    {
        if (TakeCertificate(record, Certificate.CheckpointBytes(_format)) is { Length: > 0 } certificate)
        {
            _stableCertificates[record.Seq.Value] = (record.Digest, certificate);
        }
    }

    /// <summary>This replica's last VIEW-CHANGE has them; and batches that only pre-prepared are kept, as others may prove that they did.</summary>
    private void TakeCertificates(in ViewChange own, Restored restored)
    {
        if (!_format.Signed)
        {
            return;
        }
        LearnCheckpoint(own);
        for (int i = 0; i < own.PreparedCount; i++)
        {
            _sets.Certify(own.Prepared(i).Seq, own.PreparedCertificate(i, _format).ToArray());
        }
        foreach ((long number, Voted voted) in restored.Entries)
        {
            _sets.AddPrePrepared(new ViewChangeEntry(new SeqNum(number), voted.Digest, own.View));
        }
    }
}
