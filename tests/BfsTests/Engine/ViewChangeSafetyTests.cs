using System.Security.Cryptography;
using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsSim;

namespace BfsTests.Engine;

/// <summary>What §3.2.4 claims of PSet, QSet and the decision, over many histories.</summary>
public sealed class ViewChangeSafetyTests
{
    [Theory]
    [InlineData(1, 12_000, 8)]
    [InlineData(2, 4_000, 10)]
    public void What_committed_is_selected_in_every_later_view(int f, int histories, int views)
    {
        int chosen = 0, contested = 0, checkpoints = 0;
        for (int seed = 0; seed < histories; seed++)
        {
            var model = new ViewChangeModel((ulong)seed, f);
            model.Run(views);
            chosen += model.CommittedAndChosen;
            contested += model.Contested;
            checkpoints += model.FromCheckpoint;
        }
        Assert.True(chosen > 2 * histories && contested > histories && checkpoints > histories / 2, $"{chosen} {contested} {checkpoints}");
    }

    /// <summary>PSet and QSet are Figure 3-2's after every view, with at most f+2 batches for a number (pitfall 18).</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void The_sets_are_those_of_the_figure(int f)
    {
        Digest[] digests = [.. Enumerable.Range(0, f + 5).Select(i => i == 0 ? default : Digest.Read(SHA256.HashData([(byte)i])))];
        var pool = new RequestPool(MessageFormat.Macs(4));
        int full = 0;
        for (int seed = 0; seed < 500; seed++)
        {
            var random = new SimRandom((ulong)seed);
            var sets = new ViewChangeSets(f);
            var entry = new LogEntry(MessageFormat.Macs(4));
            (Digest D, long V)? p = null;
            List<(Digest D, long V)> q = [];
            for (long view = 0; view < 40; view++)
            {
                (Digest D, long V, bool Prepared)? log = random.PerMille(300) ? null : (random.Choose(digests), view, random.PerMille(400));
                (p, q) = LiteralViewChange.Sets(f, p, q, log);
                if (log is { } seen)
                {
                    entry.Reset(new SeqNum(9), new View(view), pool);
                    entry.SetPrePrepare(0, seen.D, 0);
                    (entry.PrePrepared, entry.Prepared) = (true, seen.Prepared);
                    sets.Add(entry);
                }
                Assert.Equal(p is { } one ? [(one.D, one.V)] : [], sets.Prepared.Select(e => (e.Digest, e.View.Value)));
                Assert.Equal(q.OrderBy(e => e.V), sets.PrePrepared.Select(e => (e.Digest, e.View.Value)).OrderBy(e => e.Item2));
                Assert.True(q.Count <= f + 2);
                full += q.Count == f + 2 ? 1 : 0;
            }
        }
        Assert.True(full > 5_000);
    }
}
