using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using FsCheck;
using FsCheck.Fluent;

namespace BfsTests.Engine;

/// <summary>The decision of a new view in BFT-PK agrees with §2.3.5, written down as it reads there.</summary>
public sealed class CertificatesRuleTests
{
    private const int LogSize = 4;
    private static readonly CertificatesRule Rule = new();

    private static Digest DigestOf(int number, int view, int choice)
    {
        // Certificates of one number and view name one batch; it may be null.
        byte[] bytes = new byte[Digest.SizeBytes];
        (bytes[0], bytes[1], bytes[2]) = choice == 0 ? ((byte)0, (byte)0, (byte)0) : ((byte)number, (byte)(view + 1), (byte)1);
        return Digest.Read(bytes);
    }

    /// <summary>What is chosen in each view and number, and which of it each of the messages has certificates for.</summary>
    private static List<ViewChangeFacts> Draw(int[] data)
    {
        int at = 0;
        int Next(int below) => Math.Abs(data[at++ % data.Length] % below);
        int[,] choices = new int[16, 3];
        for (int n = 0; n < 16; n++)
        {
            for (int v = 0; v < 3; v++)
            {
                choices[n, v] = Next(3);
            }
        }
        var s = new List<ViewChangeFacts>();
        for (int i = 0; i < 3 + Next(2); i++)
        {
            int h = 2 * Next(4);
            var p = new List<ViewChangeEntry>();
            for (int n = h + 1; n <= h + LogSize; n++)
            {
                int v = Next(5);
                if (v < 3)
                {
                    p.Add(new ViewChangeEntry(new SeqNum(n), DigestOf(n, v, choices[n, v]), new View(v)));
                }
            }
            ViewChangeEntry[] c = h == 0 ? [] : [new ViewChangeEntry(new SeqNum(h), DigestOf(h, 9, 1), default)];
            s.Add(new ViewChangeFacts(new ReplicaId(i), new SeqNum(h), c, p, []));
        }
        return s;
    }

    [Fact]
    public void It_is_that_of_the_thesis() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(2_000),
        Prop.ForAll(Gen.Choose(0, 1 << 20).ArrayOf(120).ToArbitrary(), Compare));

    private static void Compare(int[] data)
    {
        List<ViewChangeFacts> s = Draw(data);

        // "The primary determines the sequence number h of the latest stable checkpoint in V and the highest sequence number H in a
        // prepared certificate in a message in V."
        long h = s.Max(m => m.StableCheckpoint.Value);
        long high = s.SelectMany(m => m.Prepared).Select(p => p.Seq.Value).Append(h).Max();
        Assert.True(Rule.TryChooseCheckpoint(s, out SeqNum checkpoint, out Digest state));
        Assert.Equal(h, checkpoint.Value);
        Assert.True(h == 0 ? state.IsZero : s.Any(m => m.Checkpoints.Any(c => c.Seq == checkpoint && c.Digest == state)));
        Assert.Equal(high, NewViewDecision.HighestUseful(s, checkpoint, LogSize).Value);

        // "A new pre-prepare for each n such that h < n <= H": the request of the certificate with the highest view, or null.
        for (long n = h + 1; n <= high; n++)
        {
            var seq = new SeqNum(n);
            List<ViewChangeEntry> certificates = [.. s.SelectMany(m => m.Prepared).Where(p => p.Seq == seq)];
            Digest expected = certificates.Count == 0 ? default : certificates.MaxBy(p => p.View.Value).Digest;
            Assert.True(Rule.TryChoose(s, seq, (_, _) => true, out Digest chosen));
            Assert.Equal(expected, chosen);
            Assert.True(Rule.Supports(s, seq, expected));
            Assert.False(Rule.Supports(s, seq, DigestOf(200, 0, 1)));
            Assert.Equal(!expected.IsZero, Rule.TryFindWanted(s, seq, out Digest wanted));
            Assert.Equal(expected, wanted);
            Assert.Equal(expected.IsZero, Rule.TryChoose(s, seq, (_, _) => false, out _));
        }
    }
}
