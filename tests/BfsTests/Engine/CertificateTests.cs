using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>Certificates of BFT-PK (§2.3.1): what proves, and what does not.</summary>
public sealed class CertificateTests : IDisposable
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private readonly InMemoryCluster _cluster = new(c => c with
    {
        Mode = ClusterMode.BftPk,
        KeyRefreshMillis = 0,
        WatchdogSeconds = 0,
        CheckpointPeriod = 2,
        WindowSize = 2,
        LogSize = 4,
    });

    private readonly byte[] _honest;

    public CertificateTests()
    {
        _cluster.Start();
        for (int i = 0; i < 3; i++)
        {
            _cluster.Invoke(Add);
        }
        byte[]? captured = null;
        _cluster.Filter = (to, from, m) =>
        {
            captured ??= from == 1 && ViewChange.TryParse(m, _cluster.Config, out ViewChange _) ? m : null;
            return false;
        };
        _cluster.Replicas[1].LeaveView();
        _cluster.Run();
        _cluster.Filter = (_, _, _) => true;
        _honest = captured!;
    }

    private MessageFormat Format => _cluster.Config.Format;

    private ViewChange Honest
    {
        get
        {
            Assert.True(ViewChange.TryParse(_honest, _cluster.Config, out ViewChange message));
            return message;
        }
    }

    private bool Check(ReplicaId signer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> signature) =>
        _cluster.KeysOf(0).Verify(signer.Value, header, signature);

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void A_view_change_carries_the_stable_checkpoint_and_what_prepared_above_it()
    {
        ViewChange message = Honest;
        Assert.Equal((2, 1, 1, 0), (message.StableCheckpoint.Value, message.CheckpointCount, message.PreparedCount, message.PrePreparedCount));
        Assert.Equal(3, message.Prepared(0).Seq.Value);
        Assert.True(Certificate.ProvesCheckpoint(message.CheckpointCertificate(Format), message.StableCheckpoint, message.Checkpoint(0).Digest, Format, Check));
        Assert.True(Certificate.ProvesPrepared(message.PreparedCertificate(0, Format), message.Prepared(0), Format, Check));
        // f+1 votes of 72 bytes; a pre-prepare of 136 and 2f votes.
        Assert.Equal((144, 280), (Certificate.CheckpointBytes(Format), Certificate.PreparedBytes(Format)));
        Assert.Equal(64 + (2 * 48) + 144 + 280 + 64, _honest.Length);
    }

    public static TheoryData<string> Forgeries => ["one vote twice", "a vote of nobody", "a vote of the primary", "a vote of another",
        "a vote for another digest", "no vote", "the pre-prepare of a backup", "a changed pre-prepare", "another digest", "another number", "another view",
        "votes in another order", "too short"];

    [Theory]
    [MemberData(nameof(Forgeries))]
    public void A_prepared_certificate_is_not_forged(string forgery)
    {
        ViewChangeEntry entry = Honest.Prepared(0);
        byte[] certificate = Honest.PreparedCertificate(0, Format).ToArray();
        int votes = PrePrepare.HeaderBytes + 64, second = votes + Certificate.VoteBytes;
        Span<byte> last = certificate.AsSpan(second);
        Forge(forgery, ref entry, ref certificate, votes, last);
        Assert.False(Certificate.ProvesPrepared(certificate, entry, Format, Check));
        if (certificate.Length == Certificate.PreparedBytes(Format) && entry.Seq == Honest.Prepared(0).Seq && entry.View == Honest.Prepared(0).View)
        {
            AssertRefused(Honest.Checkpoint(0), Honest.CheckpointCertificate(Format).ToArray(), entry, certificate);
        }
    }

    private void Forge(string forgery, ref ViewChangeEntry entry, ref byte[] certificate, int votes, Span<byte> last)
    {
        byte[] vote = new byte[Vote.SizeFor(Format)];
        byte[] signature = new byte[64];
        switch (forgery)
        {
            case "one vote twice":
                certificate.AsSpan(votes, Certificate.VoteBytes).CopyTo(last);
                break;
            case "a vote of nobody":
                last[0] = 200;
                break;
            case "a vote of the primary":
                Vote.Write(vote, MessageTag.Prepare, Format, entry.View, entry.Seq, entry.Digest, new ReplicaId(0));
                _cluster.KeysOf(0).Sign(0, vote.AsSpan(0, Vote.HeaderBytes), signature);
                Certificate.WriteVote(certificate, votes, new ReplicaId(0), signature);
                break;
            case "a vote of another":
                // Replica 1 signs in the name of replica 3.
                Vote.Write(vote, MessageTag.Prepare, Format, entry.View, entry.Seq, entry.Digest, new ReplicaId(3));
                _cluster.KeysOf(1).Sign(1, vote.AsSpan(0, Vote.HeaderBytes), signature);
                Certificate.WriteVote(last, 0, new ReplicaId(3), signature);
                break;
            case "a vote for another digest":
                Vote.Write(vote, MessageTag.Prepare, Format, entry.View, entry.Seq, default, new ReplicaId(3));
                _cluster.KeysOf(3).Sign(3, vote.AsSpan(0, Vote.HeaderBytes), signature);
                Certificate.WriteVote(last, 0, new ReplicaId(3), signature);
                break;
            case "no vote":
                last.Clear();
                break;
            case "the pre-prepare of a backup":
                _cluster.KeysOf(1).Sign(1, certificate.AsSpan(0, PrePrepare.HeaderBytes), certificate.AsSpan(PrePrepare.HeaderBytes, 64));
                break;
            case "a changed pre-prepare":
                certificate[24] ^= 1;
                break;
            case "another digest":
                entry = entry with { Digest = default };
                break;
            case "another number":
                entry = entry with { Seq = entry.Seq.Next };
                break;
            case "another view":
                entry = entry with { View = entry.View.Next };
                break;
            case "votes in another order":
                byte[] first = certificate.AsSpan(votes, Certificate.VoteBytes).ToArray();
                last.CopyTo(certificate.AsSpan(votes));
                first.CopyTo(last);
                break;
            default:
                certificate = certificate[..^1];
                break;
        }
    }

    [Theory]
    [InlineData("one vote twice")]
    [InlineData("a signature of another")]
    [InlineData("another digest")]
    [InlineData("another number")]
    public void A_stable_certificate_is_not_forged(string forgery)
    {
        ViewChangeEntry c = Honest.Checkpoint(0);
        byte[] certificate = Honest.CheckpointCertificate(Format).ToArray();
        switch (forgery)
        {
            case "one vote twice":
                certificate.AsSpan(0, Certificate.VoteBytes).CopyTo(certificate.AsSpan(Certificate.VoteBytes));
                break;
            case "a signature of another":
                certificate.AsSpan(8, 64).CopyTo(certificate.AsSpan(Certificate.VoteBytes + 8));
                break;
            case "another digest":
                c = c with { Digest = default };
                break;
            default:
                c = c with { Seq = c.Seq + 2 };
                break;
        }
        Assert.False(Certificate.ProvesCheckpoint(certificate, c.Seq, c.Digest, Format, Check));
        if (c.Seq == Honest.StableCheckpoint)
        {
            AssertRefused(c, certificate, Honest.Prepared(0), Honest.PreparedCertificate(0, Format).ToArray());
        }
    }

    /// <summary>Replica 1 signs a view-change with that: it counts as none.</summary>
    private void AssertRefused(ViewChangeEntry c, byte[] stable, ViewChangeEntry p, byte[] prepared)
    {
        Send(c, stable, p, prepared, new View(1));
        Assert.Equal(1, _cluster.Replicas[2].Counters.Dropped(DropReason.BadCertificate));
        Assert.Equal(0, _cluster.Replicas[2].View.Value);
    }

    [Fact]
    public void A_view_change_that_proves_what_it_says_is_taken()
    {
        Send(Honest.Checkpoint(0), Honest.CheckpointCertificate(Format).ToArray(), Honest.Prepared(0),
            Honest.PreparedCertificate(0, Format).ToArray(), new View(5));
        Assert.Equal(0, _cluster.Replicas[2].Counters.Dropped(DropReason.BadCertificate));
    }

    private void Send(ViewChangeEntry c, byte[] stable, ViewChangeEntry p, byte[] prepared, View view)
    {
        byte[] message = new byte[ViewChange.SizeFor(1, 1, 0, Format)];
        ViewChange.Write(message, Format, view, c.Seq, new ReplicaId(1), [c], [p], [], [.. stable, .. prepared]);
        _cluster.KeysOf(1).Sign(1, message.AsSpan(0, ViewChange.HeaderBytes), message.AsSpan(message.Length - 64));
        Assert.True(ViewChange.TryParse(message, _cluster.Config, out _));
        _cluster.Replicas[2].Step(message, default);
    }

    [Fact]
    public void A_view_change_with_claims_alone_does_not_parse()
    {
        byte[] message = new byte[ViewChange.SizeFor(1, 1, 1, Format)];
        ViewChange.Write(message, Format, new View(1), new SeqNum(2), new ReplicaId(1), [Honest.Checkpoint(0)], [Honest.Prepared(0)], [Honest.Prepared(0)]);
        Assert.False(ViewChange.TryParse(message, _cluster.Config, out _));
        message = new byte[ViewChange.SizeFor(0, 1, 0, Format)];
        ViewChange.Write(message, Format, new View(1), new SeqNum(2), new ReplicaId(1), [], [Honest.Prepared(0)], []);
        Assert.False(ViewChange.TryParse(message, _cluster.Config, out _));
    }

    [Fact]
    public void Damaged_view_changes_harm_nobody_and_count_for_nothing()
    {
        var random = new Random(7);
        for (int i = 0; i < 2_000; i++)
        {
            byte[] damaged = [.. _honest];
            for (int j = random.Next(1, 4); j > 0; j--)
            {
                damaged[random.Next(i % 2 == 0 ? ViewChange.HeaderBytes : 8, damaged.Length)] ^= (byte)random.Next(1, 256);
            }
            if (i % 2 == 0)
            {
                // The digest of the payload and the signature are right again: what is wrong is for the certificates to find.
                BitConverter.TryWriteBytes(damaged.AsSpan(8), (long)(i + 1));
                System.Security.Cryptography.SHA256.HashData(damaged.AsSpan(ViewChange.HeaderBytes..^64), damaged.AsSpan(32));
                _cluster.KeysOf(1).Sign(1, damaged.AsSpan(0, ViewChange.HeaderBytes), damaged.AsSpan(damaged.Length - 64));
            }
            _cluster.Replicas[2].Step(damaged, default);
            Assert.Equal(0, _cluster.Replicas[2].View.Value);
        }
        Assert.InRange(_cluster.Replicas[2].Counters.Dropped(DropReason.BadCertificate), 500, 1_000);
    }
}
