using System.Security.Cryptography;
using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsSim;

namespace BfsTests.Engine;

/// <summary>
/// The decision procedure agrees with the literal one over every small case (§3.2.4, Figure 3-3; pitfalls 16 and 17). The
/// conditions treat each number by itself and do not ask who sent a message, so that all multisets of what a message may
/// say of one number are all cases.
/// </summary>
public sealed class NewViewDecisionTests
{
    private const long N = 5;
    private static Digest Null => default;
    private static readonly Digest D1 = Digest.Read(SHA256.HashData("one"u8));
    private static readonly Digest D2 = Digest.Read(SHA256.HashData("two"u8));
    private static readonly Digest Unknown = Digest.Read(SHA256.HashData("three"u8));

    private static ViewChangeFacts Facts(long h, IReadOnlyList<ViewChangeEntry> c, IReadOnlyList<ViewChangeEntry> p,
        IReadOnlyList<ViewChangeEntry> q) => new(new ReplicaId(0), new SeqNum(h), c, p, q);

    /// <summary>All that a message may say of number <see cref="N"/>: nothing as its h is there, or any P with any Q.</summary>
    private static List<ViewChangeFacts> Messages(int views, params Digest[] digests)
    {
        var all = new List<ViewChangeFacts> { Facts(N, [], [], []) };
        var prepared = new List<ViewChangeEntry[]> { Array.Empty<ViewChangeEntry>() };
        var prePrepared = new List<ViewChangeEntry[]> { Array.Empty<ViewChangeEntry>() };
        foreach (Digest d in digests)
        {
            ViewChangeEntry[] one = [.. Enumerable.Range(0, views).Select(v => new ViewChangeEntry(new SeqNum(N), d, new View(v)))];
            prepared.AddRange(one.Select(e => new[] { e }));
            prePrepared = [.. prePrepared, .. prePrepared.SelectMany(q => one.Select(e => q.Append(e).ToArray()))];
        }
        all.AddRange(prepared.SelectMany(p => prePrepared.Select(q => Facts(N - 1, [], p, q))));
        return all;
    }

    /// <summary>All multisets of a size.</summary>
    private static long ForEach(List<ViewChangeFacts> messages, int size, Action<ViewChangeFacts[]> check)
    {
        var s = new ViewChangeFacts[size];
        long count = 0;
        void Fill(int at, int from)
        {
            if (at == size)
            {
                count++;
                check(s);
                return;
            }
            for (int i = from; i < messages.Count; i++)
            {
                s[at] = messages[i];
                Fill(at + 1, i);
            }
        }
        Fill(0, 0);
        return count;
    }

    private static readonly (string Name, Func<Digest, bool> Has)[] Held =
        [("all", _ => true), ("none", d => d.IsZero), ("one", d => d.IsZero || d == D1)];

    private static void Compare(IReadOnlyList<ViewChangeFacts> s, int f, long n)
    {
        var seq = new SeqNum(n);
        HashSet<Digest> byA = LiteralViewChange.AllowedByA(s, f, n);
        bool b = LiteralViewChange.B(s, f, n);
        foreach ((string name, Func<Digest, bool> has) in Held)
        {
            HashSet<Digest> expected = [.. byA.Where(has)];
            if (expected.Count == 0 && b)
            {
                expected.Add(Null);
            }
            bool chosen = NewViewDecision.TryChoose(s, f, seq, (_, d) => has(d), out Digest digest);
            Check(chosen == (expected.Count > 0) && (!chosen || expected.Contains(digest)), s, $"chose {digest} holding {name}");
        }
        foreach (Digest d in new[] { Null, D1, D2, Unknown })
        {
            bool expected = byA.Contains(d) || (d.IsZero && b);
            Check(NewViewDecision.Supports(s, f, seq, d) == expected, s, $"supports {d}");
        }
        bool wanted = NewViewDecision.TryFindWanted(s, f, seq, out Digest missing);
        Check(!wanted || byA.Contains(missing), s, $"wants {missing}");
        Check(wanted || byA.Count == 0 || byA.Contains(Null), s, "wants nothing");
    }

    private static void Check(bool holds, IReadOnlyList<ViewChangeFacts> s, string what)
    {
        if (!holds)
        {
            Assert.Fail($"{what}\n{string.Join('\n', s.Select(m => $"h={m.StableCheckpoint} C={Text(m.Checkpoints)} P={Text(m.Prepared)} Q={Text(m.PrePrepared)}"))}");
        }
    }

    private static string Text(IReadOnlyList<ViewChangeEntry> entries) =>
        string.Join(' ', entries.Select(e => $"({e.Seq.Value},{(e.Digest.IsZero ? "null" : e.Digest.ToString()[..4])},{e.View.Value})"));

    /// <summary>n = 4, S of three, two batches, three views: whole.</summary>
    [Fact]
    public void Three_messages_are_decided_on_as_in_the_figure()
    {
        Assert.Equal(246_905, ForEach(Messages(3, D1, D2), 3, s => Compare(s, 1, N)));
    }

    /// <summary>n = 4, S of three, two batches and null, two views: whole.</summary>
    [Fact]
    public void Three_messages_with_null_batches_are_decided_on_as_in_the_figure()
    {
        Assert.Equal(1_161_280, ForEach(Messages(2, D1, D2, Null), 3, s => Compare(s, 1, N)));
    }

    /// <summary>n = 4, S of four, two views; two batches, and a batch and null: whole.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Four_messages_are_decided_on_as_in_the_figure(bool withNull)
    {
        Assert.Equal(211_876, ForEach(Messages(2, D1, withNull ? Null : D2), 4, s => Compare(s, 1, N)));
    }

    /// <summary>n = 4 with three views and null, n = 7 with S of five to seven: a sample of a fixed seed.</summary>
    [Theory]
    [InlineData(1, 4, 200_000)]
    [InlineData(2, 5, 100_000)]
    [InlineData(2, 6, 100_000)]
    [InlineData(2, 7, 100_000)]
    public void Larger_cases_are_decided_on_as_in_the_figure(int f, int size, int cases)
    {
        List<ViewChangeFacts> messages = Messages(3, D1, D2, Null);
        var random = new SimRandom((ulong)size);
        var s = new ViewChangeFacts[size];
        int decided = 0;
        for (int i = 0; i < cases; i++)
        {
            // Few different messages in one S, so that quorums come about.
            int first = random.Below(messages.Count), second = random.Below(messages.Count), odd = random.Below(messages.Count);
            for (int j = 0; j < size; j++)
            {
                s[j] = messages[random.Below(8) switch { 0 => odd, 1 => 1 + random.Below(64), < 4 => second, _ => first }];
            }
            Compare(s, f, N);
            decided += NewViewDecision.TryChoose(s, f, new SeqNum(N), static (_, _) => true, out _) ? 1 : 0;
        }
        Assert.InRange(decided, cases / 10, cases * 9 / 10);
    }

    /// <summary>n = 4, checkpoints 0 to 2 with two digests each, h from 0 to 2: whole, S of three and of four.</summary>
    [Theory]
    [InlineData(3, 10_660)]
    [InlineData(4, 111_930)]
    public void The_checkpoint_is_chosen_as_in_the_figure(int size, long cases)
    {
        var messages = new List<ViewChangeFacts>();
        for (long h = 0; h <= 2; h++)
        {
            List<ViewChangeEntry[]> sets = [[]];
            for (long n = h; n <= 2; n++)
            {
                var seq = new SeqNum(n);
                sets = [.. sets, .. sets.SelectMany(c => new[] { D1, D2 }.Select(d => c.Append(new ViewChangeEntry(seq, d, default)).ToArray()))];
            }
            messages.AddRange(sets.Select(c => Facts(h, c, [], [])));
        }
        Assert.Equal(cases, ForEach(messages, size, s =>
        {
            HashSet<(long N, Digest D)> expected = LiteralViewChange.Checkpoints(s, 1);
            bool chosen = NewViewDecision.TryChooseCheckpoint(s, 1, out SeqNum seq, out Digest digest);
            Check(chosen == (expected.Count > 0) && (!chosen || expected.Contains((seq.Value, digest))), s, $"chose {seq} {digest}");
        }));
    }

    /// <summary>Nothing is said of numbers above the last that some P names (pitfall 16), and never of more than the log (h to h+L).</summary>
    [Fact]
    public void Numbers_end_with_the_highest_useful_one()
    {
        ViewChangeEntry P(long n) => new(new SeqNum(n), D1, new View(0));
        ViewChangeFacts[] s = [Facts(4, [], [P(6), P(9)], []), Facts(0, [], [P(2)], []), Facts(4, [], [], [P(11)])];
        Assert.Equal(9, NewViewDecision.HighestUseful(s, new SeqNum(4), 8).Value);
        Assert.Equal(9, NewViewDecision.HighestUseful(s, new SeqNum(1), 8).Value);
        Assert.Equal(6, NewViewDecision.HighestUseful(s, new SeqNum(0), 8).Value);
        Assert.Equal(9, NewViewDecision.HighestUseful(s, new SeqNum(9), 8).Value);
    }

    [Fact]
    public void A_liar_far_ahead_does_not_make_the_decision_long()
    {
        ViewChangeFacts honest = Facts(0, [new ViewChangeEntry(new SeqNum(0), D1, default)], [], []);
        ViewChangeFacts liar = Facts(1L << 60, [], [new ViewChangeEntry(new SeqNum((1L << 60) + 1), D1, default)], []);
        Assert.Equal(0, NewViewDecision.HighestUseful([honest, liar, honest, honest], new SeqNum(0), 256).Value);
    }
}
