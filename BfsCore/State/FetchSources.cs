using System.Numerics;

namespace BfsCore.State;

/// <summary>
/// Whom to fetch from (§8.4.2, pitfall 29): from all who hold the checkpoint in parallel, from each as much at a time as it is
/// seen to deliver. What is asked of one and does not come halves its window, what comes widens it, so that buffers on the way
/// are not overrun and a dead replica gets little. One whose answer was wrong is asked only when there is nobody else.
/// </summary>
public sealed class FetchSources
{
    /// <summary>Pages that may be under way from one replica at first, at least, and at most (2 MB).</summary>
    public const int FirstWindow = 64;
    public const int MinWindow = 15;
    public const int MaxWindow = 512;

    private sealed class Source
    {
        public int Window = FirstWindow;
        public int UnderWay;
        public bool Lossless = true;
    }

    private readonly Source[] _sources;
    private ulong _liars;
    private int _next;

    public FetchSources(int n)
    {
        _sources = new Source[n];
        for (int i = 0; i < n; i++)
        {
            _sources[i] = new Source();
        }
    }

    /// <summary>Replicas that gave wrong answers and are avoided, one bit each.</summary>
    public ulong Liars => _liars;

    /// <summary>How many pages may be under way from a replica now.</summary>
    public int WindowOf(ReplicaId replica) => _sources[replica.Value].Window;

    /// <summary>Chooses the next to ask, in turn, of those who hold the checkpoint and have room.</summary>
    /// <param name="holders">Who holds it, one bit each.</param>
    /// <param name="avoid">Whoever just failed; asked again only if it is the only one.</param>
    /// <param name="room">For how many pages it may be asked: at least one.</param>
    public bool TryChoose(ulong holders, ReplicaId? avoid, out ReplicaId source, out int room)
    {
        if ((holders & ~_liars) == 0)
        {
            // Better than nobody: a right answer is known by its digest.
            _liars &= ~holders;
        }
        ulong candidates = holders & ~_liars;
        if (avoid is { } failed)
        {
            ulong others = candidates & ~(1UL << failed.Value);
            // One that seemed to lie may have had its answer damaged on the way; one that is mute would be asked for ever.
            others = others != 0 ? others : holders & ~(1UL << failed.Value);
            candidates = others != 0 ? others : candidates;
        }
        for (int i = 0; i < _sources.Length; i++)
        {
            int at = (_next + i) % _sources.Length;
            room = _sources[at].Window - _sources[at].UnderWay;
            // Not for crumbs: a message should be worth its while.
            if ((candidates >> at & 1) != 0 && room >= Math.Min(MinWindow, _sources[at].Window))
            {
                _next = at + 1;
                source = new ReplicaId(at);
                return true;
            }
        }
        (source, room) = (default, 0);
        return false;
    }

    /// <summary>So many pages were asked of it; META-DATA counts as one.</summary>
    public void Asked(ReplicaId source, int pages) => _sources[source.Value].UnderWay += pages;

    /// <summary>So many of them came, or are no longer waited for.</summary>
    public void Settled(ReplicaId source, int pages)
    {
        _sources[source.Value].UnderWay -= pages;
        BfsAssert.That(_sources[source.Value].UnderWay >= 0);
    }

    /// <summary>Everything of one question came.</summary>
    public void Answered(ReplicaId source, int pages)
    {
        Source s = _sources[source.Value];
        s.Window = Math.Min(MaxWindow, s.Window + (s.Lossless ? Math.Max(1, pages / 2) : 1));
    }

    /// <summary>Something did not come in time.</summary>
    public void Late(ReplicaId source)
    {
        Source s = _sources[source.Value];
        s.Window = Math.Max(MinWindow, s.Window / 2);
        s.Lossless = false;
    }

    /// <summary>An answer that does not have the digest it must have (pitfall 28).</summary>
    public void Lied(ReplicaId source) => _liars |= 1UL << source.Value;

    /// <summary>A new transfer: nothing is under way. What is known of the replicas stays.</summary>
    public void Reset()
    {
        foreach (Source s in _sources)
        {
            s.UnderWay = 0;
        }
    }

    /// <summary>The lowest so many bits of a mask.</summary>
    public static ulong Lowest(ulong mask, int count)
    {
        ulong rest = mask;
        for (int i = 0; i < count && rest != 0; i++)
        {
            rest &= rest - 1;
        }
        return mask & ~rest;
    }

    /// <summary>What a question costs: its pages, or one.</summary>
    public static int CostOf(ulong mask) => Math.Max(1, BitOperations.PopCount(mask));
}
