using System.Security.Cryptography;
using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsSim;

namespace BfsTests.Engine;

/// <summary>
/// A history of views in which votes, not messages, are played: who pre-prepared what, who prepared it, who could have
/// committed it; f replicas say in each view-change, and propose to each backup as primary, whatever the rules let pass.
/// The sets and decisions are the engine's own. Checks what §3.2.4 argues: what committed is selected in every later view,
/// and 2f+1 correct view-changes always suffice for a decision.
/// </summary>
internal sealed class ViewChangeModel
{
    private const int Numbers = 4;
    private const int CheckpointAt = 2;

    private static readonly Digest[] Batches = [.. Enumerable.Range(0, 4).Select(i => Digest.Read(SHA256.HashData([(byte)i])))];
    private static readonly Digest State = Batches[3];

    private sealed class Node(int f, int n)
    {
        public ViewChangeSets Sets { get; } = new(f);
        public LogEntry[] Log { get; } = [.. Enumerable.Range(0, Numbers + 1).Select(_ => new LogEntry(MessageFormat.Macs(n)))];
        public HashSet<long> Committed { get; } = [];
        public bool HasCheckpoint { get; set; }
        public long Stable { get; set; }
        public bool Active { get; set; } = true;
        public long First { get; set; } = 1;
        public Digest?[] Proposed { get; } = new Digest?[Numbers + 1];
    }

    private readonly SimRandom _random;
    private readonly RequestPool _pool;
    private readonly int _f, _n;
    private readonly ulong _faulty;
    private readonly Node[] _nodes;
    private readonly Digest?[] _committed = new Digest?[Numbers + 1];
    private long _view;

    public ViewChangeModel(ulong seed, int f)
    {
        _random = new SimRandom(seed);
        (_f, _n) = (f, (3 * f) + 1);
        _pool = new RequestPool(MessageFormat.Macs(_n));
        while (System.Numerics.BitOperations.PopCount(_faulty) < f)
        {
            _faulty |= 1UL << _random.Below(_n);
        }
        _nodes = [.. Enumerable.Range(0, _n).Select(_ => new Node(f, _n))];
    }

    /// <summary>Numbers decided on that had committed before; shows that the checks are not empty.</summary>
    public int CommittedAndChosen { get; private set; }

    /// <summary>Decisions in which view-changes named different batches as prepared for one number.</summary>
    public int Contested { get; private set; }

    /// <summary>Decisions that start from the checkpoint at <see cref="CheckpointAt"/>.</summary>
    public int FromCheckpoint { get; private set; }

    private bool IsFaulty(int i) => (_faulty & (1UL << i)) != 0;

    private IEnumerable<int> Correct => Enumerable.Range(0, _n).Where(i => !IsFaulty(i));

    public void Run(int views)
    {
        for (_view = 0; _view < views; _view++)
        {
            if (_view > 0)
            {
                ChangeView();
            }
            NormalOperation();
        }
    }

    private void NormalOperation()
    {
        int delivered = _random.Choose(300, 700, 1000);
        for (int n = 1; n <= Numbers; n++)
        {
            Digest same = _random.Choose(Batches[0], Batches[1], Batches[2]);
            foreach (int i in Correct.Where(i => _nodes[i].Active && n >= _nodes[i].First && _random.PerMille(delivered)))
            {
                bool lies = IsFaulty((int)(_view % _n)) && _random.PerMille(500);
                Digest d = _nodes[i].Proposed[n] ?? (lies ? _random.Choose(Batches[0], Batches[1]) : same);
                PrePrepare(_nodes[i], n, d);
            }
            foreach (int i in Correct.Where(i => IsPrePrepared(i, n)).ToArray())
            {
                int support = Correct.Count(j => IsPrePrepared(j, n) && _nodes[j].Log[n].Digest == _nodes[i].Log[n].Digest);
                _nodes[i].Log[n].Prepared = support + _f >= (2 * _f) + 1 && _random.PerMille(delivered);
            }
            foreach (int i in Correct.Where(i => IsPrePrepared(i, n) && _nodes[i].Log[n].Prepared))
            {
                int support = Correct.Count(j => IsPrePrepared(j, n) && _nodes[j].Log[n].Prepared);
                if (support + _f >= (2 * _f) + 1)
                {
                    // It may have committed at somebody: from here on it must stand.
                    Assert.Equal(_committed[n] ??= _nodes[i].Log[n].Digest, _nodes[i].Log[n].Digest);
                    if (_random.PerMille(delivered))
                    {
                        _nodes[i].Committed.Add(n);
                    }
                }
            }
        }
        TakeCheckpoints();
    }

    private bool IsPrePrepared(int i, int n) =>
        _nodes[i].Active && _nodes[i].Log[n].PrePrepared && _nodes[i].Log[n].View.Value == _view;

    private void PrePrepare(Node node, int n, Digest d)
    {
        node.Log[n].Reset(new SeqNum(n), new View(_view), _pool);
        node.Log[n].SetPrePrepare(0, d, 0);
        node.Log[n].PrePrepared = true;
    }

    private void TakeCheckpoints()
    {
        foreach (int i in Correct)
        {
            _nodes[i].HasCheckpoint |= Enumerable.Range(1, CheckpointAt).All(n => _nodes[i].Committed.Contains(n));
        }
        if (Correct.Count(i => _nodes[i].HasCheckpoint) + _f >= (2 * _f) + 1)
        {
            foreach (int i in Correct.Where(i => _random.PerMille(500)))
            {
                // With the proof that it is stable a replica without it fetches the state.
                _nodes[i].HasCheckpoint = true;
                _nodes[i].Stable = CheckpointAt;
                _nodes[i].First = Math.Max(_nodes[i].First, CheckpointAt + 1);
                _nodes[i].Committed.UnionWith(Enumerable.Range(1, CheckpointAt).Select(n => (long)n));
            }
        }
    }

    private void ChangeView()
    {
        var messages = new ViewChangeFacts[_n];
        foreach (int i in Correct)
        {
            messages[i] = Leave(_nodes[i], i);
        }
        CheckItCanDecide([.. Correct.Select(i => messages[i])]);
        foreach (int i in Correct)
        {
            Enter(_nodes[i], null, 0);
        }
        bool lies = IsFaulty((int)(_view % _n));
        List<ViewChangeFacts> s = Collect(messages);
        foreach (int i in Correct.Where(_ => _random.PerMille(850)).ToArray())
        {
            s = lies ? Collect(messages) : s;
            if (NewViewDecision.TryChooseCheckpoint(s, _f, out SeqNum checkpoint, out Digest state) && Decide(s, checkpoint) is { } x)
            {
                CheckDecision(s, checkpoint, state, x);
                Enter(_nodes[i], x, checkpoint.Value);
            }
        }
    }

    private ViewChangeFacts Leave(Node node, int id)
    {
        for (long n = node.Stable + 1; n <= Numbers; n++)
        {
            if (node.Active && node.Log[n] is { PrePrepared: true } entry && entry.View.Value == _view - 1)
            {
                node.Sets.Add(entry);
            }
        }
        node.Sets.DiscardThrough(new SeqNum(node.Stable));
        List<ViewChangeEntry> c = node.Stable == 0 ? [new ViewChangeEntry(new SeqNum(0), State, default)] : [];
        if (node.HasCheckpoint)
        {
            c.Add(new ViewChangeEntry(new SeqNum(CheckpointAt), State, default));
        }
        return new ViewChangeFacts(new ReplicaId(id), new SeqNum(node.Stable), c, node.Sets.Prepared, node.Sets.PrePrepared);
    }

    /// <summary>Some view-changes that make a quorum: of correct replicas, and what the faulty ones say this time.</summary>
    private List<ViewChangeFacts> Collect(ViewChangeFacts[] messages)
    {
        int left = _n - ((2 * _f) + 1);
        var s = new List<ViewChangeFacts>();
        for (int i = 0; i < _n; i++)
        {
            if (left > 0 && _random.PerMille(IsFaulty(i) ? 200 : 500))
            {
                left--;
                continue;
            }
            s.Add(IsFaulty(i) ? Lie(messages, i) : messages[i]);
        }
        return s;
    }

    private ViewChangeFacts Lie(ViewChangeFacts[] messages, int id)
    {
        ViewChangeFacts copy = messages[Correct.ElementAt(_random.Below(_n - _f))];
        int kind = _random.Below(4);
        if (kind == 0)
        {
            return copy with { Replica = new ReplicaId(id) };
        }
        long h = _random.Choose(0L, 0L, CheckpointAt, 1L << 60);
        ViewChangeEntry[] c = [.. Enumerable.Range(0, 2).Where(_ => _random.PerMille(700)).Select(i =>
            new ViewChangeEntry(new SeqNum(h + (i * CheckpointAt)), _random.Choose(State, Batches[0]), default))];
        var p = new List<ViewChangeEntry>();
        var q = new List<ViewChangeEntry>();
        for (long n = h + 1; n <= h + Numbers; n++)
        {
            if (kind > 1 && _random.PerMille(700))
            {
                p.Add(new ViewChangeEntry(new SeqNum(n), AnyDigest(), new View(_random.Below(_view))));
            }
            for (int i = _random.Below(_f + 3); i > 0; i--)
            {
                q.Add(new ViewChangeEntry(new SeqNum(n), AnyDigest(), new View(_random.Below(_view))));
            }
        }
        return new ViewChangeFacts(new ReplicaId(id), new SeqNum(h), c, p, q);
    }

    private Digest AnyDigest() => _random.Choose(Batches[0], Batches[1], Batches[2], default);

    /// <summary>Some decision that S supports, as a lying primary might make it; null while there is none.</summary>
    private Digest[]? Decide(List<ViewChangeFacts> s, SeqNum checkpoint)
    {
        long last = NewViewDecision.HighestUseful(s, checkpoint, Numbers).Value;
        var x = new Digest[last - checkpoint.Value];
        for (int i = 0; i < x.Length; i++)
        {
            SeqNum n = checkpoint + 1 + i;
            Digest[] supported = [.. Batches.Append(default).Where(d => NewViewDecision.Supports(s, _f, n, d))];
            if (supported.Length == 0)
            {
                return null;
            }
            x[i] = _random.Choose(supported);
        }
        return x;
    }

    private void CheckDecision(List<ViewChangeFacts> s, SeqNum checkpoint, Digest state, Digest[] x)
    {
        Assert.True(checkpoint.Value is 0 or CheckpointAt);
        Assert.Equal(State, state);
        Assert.True(checkpoint.Value == 0 || Correct.Any(i => _nodes[i].HasCheckpoint));
        FromCheckpoint += checkpoint.Value == CheckpointAt ? 1 : 0;
        for (long n = checkpoint.Value + 1; n <= Numbers; n++)
        {
            Contested += s.SelectMany(m => m.Prepared.Where(e => e.Seq.Value == n).Select(e => e.Digest)).Distinct().Count() > 1 ? 1 : 0;
            if (_committed[n] is { } committed)
            {
                Assert.True(n - checkpoint.Value <= x.Length, $"view {_view}: number {n} committed and the new view ends before it");
                Assert.Equal(committed, x[n - checkpoint.Value - 1]);
                CommittedAndChosen++;
            }
        }
    }

    /// <summary>The view-changes of all correct replicas suffice for a checkpoint and for every number (A1, A2 or B).</summary>
    private void CheckItCanDecide(List<ViewChangeFacts> s)
    {
        Assert.True(NewViewDecision.TryChooseCheckpoint(s, _f, out SeqNum checkpoint, out _));
        long last = NewViewDecision.HighestUseful(s, checkpoint, Numbers).Value;
        for (long n = checkpoint.Value + 1; n <= last; n++)
        {
            Assert.True(NewViewDecision.TryChoose(s, _f, new SeqNum(n), static (_, _) => true, out _), $"view {_view}: nothing for {n}");
        }
    }

    private void Enter(Node node, Digest[]? x, long checkpoint)
    {
        node.Active = x is not null;
        Array.Clear(node.Proposed);
        if (x is null)
        {
            return;
        }
        node.First = Math.Max(checkpoint, node.Stable) + 1;
        for (int i = 0; i < x.Length && checkpoint + i < Numbers; i++)
        {
            node.Proposed[checkpoint + 1 + i] = x[i];
        }
        for (long n = node.First; n <= Numbers; n++)
        {
            if (node.Proposed[n] is { } d)
            {
                PrePrepare(node, (int)n, d);
            }
        }
    }
}
