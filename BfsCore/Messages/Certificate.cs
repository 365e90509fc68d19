using static BfsCore.Messages.MessageHeader;

namespace BfsCore.Messages;

/// <summary>Checks a replica's signature of a message's header.</summary>
public delegate bool SignatureCheck(ReplicaId signer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> signature);

/// <summary>
/// Certificates that prove themselves (§2.3.1), as a VIEW-CHANGE of BFT-PK carries them (§2.3.5). Of a vote only who signed it and
/// the signature are sent, because the rest of its header follows from what the certificate is for.
///
/// Stable certificate: f+1 votes (§2.3.4). Prepared certificate: the header of the pre-prepare (72) and its signature (64), then 2f
/// votes of backups. A vote is replica u16, zero (6), signature (64); votes are in ascending order of replica.
/// </summary>
public static class Certificate
{
    public const int VoteBytes = 8 + MessageFormat.SignatureBytes;

    private const int PrePrepareBytes = PrePrepare.HeaderBytes + MessageFormat.SignatureBytes;

    public static int CheckpointVotes(MessageFormat format) => format.F + 1;

    public static int PreparedVotes(MessageFormat format) => 2 * format.F;

    public static int CheckpointBytes(MessageFormat format) => CheckpointVotes(format) * VoteBytes;

    public static int PreparedBytes(MessageFormat format) => PrePrepareBytes + (PreparedVotes(format) * VoteBytes);

    /// <summary>Writes a vote; returns where the next begins.</summary>
    public static int WriteVote(Span<byte> buffer, int at, ReplicaId replica, ReadOnlySpan<byte> signature)
    {
        U64(buffer, at, (ulong)replica.Value);
        signature.CopyTo(buffer[(at + 8)..]);
        return at + VoteBytes;
    }

    /// <summary>Writes the pre-prepare of a prepared certificate; returns where its votes begin.</summary>
    public static int WritePrePrepare(Span<byte> buffer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> signature)
    {
        header.CopyTo(buffer);
        signature.CopyTo(buffer[PrePrepare.HeaderBytes..]);
        return PrePrepareBytes;
    }

    /// <summary>Whether it proves that a correct replica announced this checkpoint. Any bytes of the right length are allowed.</summary>
    public static bool ProvesCheckpoint(ReadOnlySpan<byte> certificate, SeqNum seq, in Digest digest, MessageFormat format, SignatureCheck check)
    {
        if (certificate.Length != CheckpointBytes(format))
        {
            return false;
        }
        Span<byte> header = stackalloc byte[Checkpoint.SizeFor(format)];
        for (int i = 0, before = -1; i < CheckpointVotes(format); i++)
        {
            if (!TryReadVote(certificate, i * VoteBytes, format, ref before, out ReplicaId replica, out ReadOnlySpan<byte> signature))
            {
                return false;
            }
            Checkpoint.Write(header, format, seq, digest, replica);
            if (!check(replica, header[..Checkpoint.HeaderBytes], signature))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>
    /// Whether it proves that the batch prepared: the primary of that view proposed it, and 2f backups voted for it. Any bytes of
    /// the right length are allowed.
    /// </summary>
    public static bool ProvesPrepared(ReadOnlySpan<byte> certificate, in ViewChangeEntry batch, MessageFormat format, SignatureCheck check)
    {
        if (certificate.Length != PreparedBytes(format) || !IsPrePrepareOf(certificate[..PrePrepare.HeaderBytes], batch, format))
        {
            return false;
        }
        ReplicaId primary = batch.View.Primary(format.N);
        if (!check(primary, certificate[..PrePrepare.HeaderBytes], certificate[PrePrepare.HeaderBytes..PrePrepareBytes]))
        {
            return false;
        }
        Span<byte> header = stackalloc byte[Vote.SizeFor(format)];
        for (int i = 0, before = -1; i < PreparedVotes(format); i++)
        {
            if (!TryReadVote(certificate, PrePrepareBytes + (i * VoteBytes), format, ref before, out ReplicaId replica, out ReadOnlySpan<byte> signature)
                || replica == primary)
            {
                return false;
            }
            Vote.Write(header, MessageTag.Prepare, format, batch.View, batch.Seq, batch.Digest, replica);
            if (!check(replica, header[..Vote.HeaderBytes], signature))
            {
                return false;
            }
        }
        return true;
    }

    private static bool IsPrePrepareOf(ReadOnlySpan<byte> header, in ViewChangeEntry batch, MessageFormat format) =>
        U16(header, 0) == (ushort)MessageTag.PrePrepare && U16(header, 2) == 0 && I64(header, 8) == batch.View.Value
        && I64(header, 16) == batch.Seq.Value && MessageHeader.Digest(header, 32) == batch.Digest
        && U16(header, 66) == batch.View.Primary(format.N).Value;

    /// <summary>Replicas come in ascending order, so that none counts twice.</summary>
    private static bool TryReadVote(ReadOnlySpan<byte> certificate, int at, MessageFormat format, ref int before, out ReplicaId replica,
        out ReadOnlySpan<byte> signature)
    {
        ulong value = U64(certificate, at);
        replica = new ReplicaId((int)Math.Min(value, int.MaxValue));
        signature = certificate.Slice(at + 8, MessageFormat.SignatureBytes);
        bool right = value < (ulong)format.N && replica.Value > before;
        before = replica.Value;
        return right;
    }
}
