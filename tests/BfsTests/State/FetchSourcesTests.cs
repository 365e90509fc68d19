using BfsCore;
using BfsCore.State;

namespace BfsTests.State;

/// <summary>Whom a transfer asks, and for how much at a time (pitfall 29).</summary>
public sealed class FetchSourcesTests
{
    private const ulong All = 0b1110;

    private static ReplicaId Choose(FetchSources sources, ulong holders = All, ReplicaId? avoid = null)
    {
        Assert.True(sources.TryChoose(holders, avoid, out ReplicaId source, out int room));
        Assert.InRange(room, 1, FetchSources.MaxWindow);
        return source;
    }

    [Fact]
    public void Holders_are_asked_in_turn()
    {
        var sources = new FetchSources(4);
        Assert.Equal([1, 2, 3, 1], Enumerable.Range(0, 4).Select(_ => Choose(sources).Value));
        Assert.Equal(2, Choose(sources, 0b100).Value);
        Assert.False(sources.TryChoose(0, null, out _, out _));
    }

    [Fact]
    public void A_full_window_leaves_the_turn_to_others_until_something_comes()
    {
        var sources = new FetchSources(4);
        sources.Asked(new ReplicaId(1), FetchSources.FirstWindow);
        Assert.DoesNotContain(1, Enumerable.Range(0, 6).Select(_ => Choose(sources).Value));
        Assert.False(sources.TryChoose(0b10, null, out _, out _));
        sources.Settled(new ReplicaId(1), FetchSources.MinWindow);
        Assert.Equal(1, Choose(sources, 0b10).Value);
    }

    [Fact]
    public void The_window_grows_with_what_comes_and_halves_with_what_does_not()
    {
        var sources = new FetchSources(4);
        var one = new ReplicaId(1);
        for (int i = 0; i < 100; i++)
        {
            sources.Answered(one, 64);
        }
        Assert.Equal(FetchSources.MaxWindow, sources.WindowOf(one));
        sources.Late(one);
        Assert.Equal(FetchSources.MaxWindow / 2, sources.WindowOf(one));
        sources.Answered(one, 64);
        Assert.Equal((FetchSources.MaxWindow / 2) + 1, sources.WindowOf(one));
        for (int i = 0; i < 20; i++)
        {
            sources.Late(one);
        }
        Assert.Equal(FetchSources.MinWindow, sources.WindowOf(one));
        Assert.Equal(FetchSources.FirstWindow, sources.WindowOf(new ReplicaId(2)));
    }

    [Fact]
    public void A_liar_is_asked_only_when_there_is_nobody_else()
    {
        var sources = new FetchSources(4);
        sources.Lied(new ReplicaId(2));
        Assert.Equal(0b100ul, sources.Liars);
        Assert.DoesNotContain(2, Enumerable.Range(0, 6).Select(_ => Choose(sources).Value));
        Assert.Equal(2, Choose(sources, 0b100).Value);
    }

    /// <summary>Simulator seed 589: its answer had been damaged on the way, and the other holder said nothing.</summary>
    [Fact]
    public void One_that_seemed_to_lie_is_asked_when_all_others_fail()
    {
        var sources = new FetchSources(4);
        sources.Lied(new ReplicaId(1));
        Assert.True(sources.TryChoose(0b011, avoid: new ReplicaId(0), out ReplicaId source, out _));
        Assert.Equal(1, source.Value);
    }

    [Fact]
    public void Whoever_failed_is_asked_again_only_when_it_is_the_only_one()
    {
        var sources = new FetchSources(4);
        var failed = new ReplicaId(1);
        Assert.DoesNotContain(1, Enumerable.Range(0, 6).Select(_ => Choose(sources, avoid: failed).Value));
        Assert.Equal(1, Choose(sources, 0b10, failed).Value);
    }

    [Theory]
    [InlineData(0b1011_0000, 2, 0b0011_0000)]
    [InlineData(0b1011_0000, 9, 0b1011_0000)]
    [InlineData(0, 3, 0)]
    public void The_lowest_bits_of_a_mask(ulong mask, int count, ulong lowest) =>
        Assert.Equal(lowest, FetchSources.Lowest(mask, count));
}
