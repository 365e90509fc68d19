using BfsCore;
using BfsCore.Client;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsTests.Engine;

/// <summary>Which replies make a certificate (§2.3.2, §5.1.2).</summary>
public sealed class ClientSlotTests
{
    private const int N = 4;
    private const int Quorum = 3;

    private readonly ClientSlot _slot = new(N);

    private void Add(int replica, int view, bool tentative, string result = "result", long state = 0)
    {
        byte[] buffer = new byte[200];
        byte[] bytes = [.. result.Select(c => (byte)c)];
        int size = Reply.Write(buffer, MessageFormat.Macs(N), tentative ? ReplyFlags.Tentative : ReplyFlags.None, new View(view), 1, 1,
            new ClientId(Limits.FirstClientId), 0, new ReplicaId(replica), ContentDigest.Of(bytes), new SeqNum(state), bytes);
        Assert.True(Reply.TryParse(buffer.AsSpan(0, size), MessageFormat.Macs(N), out Reply reply));
        _slot.Add(reply, withResult: true);
    }

    private int Agreeing => _slot.CountAgreeing(ContentDigest.Of("result"u8));

    /// <summary>A request may be in one batch in one view and in another in the next, and neither may have prepared at a quorum.</summary>
    [Fact]
    public void Tentative_replies_of_different_views_do_not_count_together()
    {
        Add(0, view: 26, tentative: true);
        Add(1, view: 26, tentative: true);
        Add(2, view: 27, tentative: true);
        Assert.Equal(2, Agreeing);
        Add(2, view: 26, tentative: true);
        Assert.Equal(Quorum, Agreeing);
    }

    [Fact]
    public void Committed_ones_count_whatever_the_view()
    {
        Add(0, view: 1, tentative: false);
        Add(1, view: 2, tentative: false);
        Add(2, view: 3, tentative: false);
        Assert.Equal(Quorum, Agreeing);
    }

    [Fact]
    public void Committed_ones_count_with_tentative_ones_of_their_view()
    {
        Add(0, view: 5, tentative: true);
        Add(1, view: 5, tentative: false);
        Add(2, view: 6, tentative: false);
        Assert.Equal(2, Agreeing);
        Add(3, view: 5, tentative: true);
        Assert.Equal(Quorum, Agreeing);
    }

    /// <summary>
    /// Batch 8 wrote what batch 7 had changed back to what it was. Who answers from before 7, and who from a tentative 8, say the same; if
    /// 8 is undone, what somebody else has read after 7 was newer.
    /// </summary>
    [Fact]
    public void Tentative_reads_of_different_states_do_not_count_together()
    {
        _slot.Asked = 0b1111;
        Add(0, view: 5, tentative: false, state: 6);
        Add(1, view: 5, tentative: true, state: 8);
        Add(2, view: 5, tentative: true, state: 8);
        Assert.Equal(2, Agreeing);
        Assert.False(_slot.CannotReach(Quorum));
        Add(3, view: 5, tentative: true, state: 7);
        Assert.Equal(2, Agreeing);
        Add(0, view: 5, tentative: false, state: 8);
        Assert.Equal(Quorum, Agreeing);
    }

    [Fact]
    public void Committed_reads_count_whatever_the_state()
    {
        Add(0, view: 5, tentative: false, state: 6);
        Add(1, view: 5, tentative: false, state: 7);
        Assert.False(_slot.AnyTentative);
        Add(2, view: 5, tentative: true, state: 7);
        Assert.Equal((2, true), (Agreeing, _slot.AnyTentative));
        Add(3, view: 6, tentative: false, state: 8);
        Assert.Equal(Quorum, Agreeing);
    }

    [Fact]
    public void What_is_still_to_come_may_be_of_any_state()
    {
        _slot.Asked = 0b0111;
        Add(0, view: 5, tentative: true, state: 7);
        Add(1, view: 5, tentative: true, state: 7);
        Assert.False(_slot.CannotReach(Quorum));
        Add(2, view: 5, tentative: true, state: 8);
        Assert.True(_slot.CannotReach(Quorum));
        _slot.Asked = 0b1111;
        Assert.False(_slot.CannotReach(Quorum));
        Add(1, view: 5, tentative: true, state: 8);
        Assert.False(_slot.CannotReach(Quorum));
        Add(1, view: 5, tentative: false, state: 6);
        Assert.True(_slot.CannotReach(Quorum));
    }

    [Fact]
    public void Other_results_do_not_count()
    {
        Add(0, view: 5, tentative: true);
        Add(1, view: 5, tentative: true, "another");
        Add(2, view: 5, tentative: true);
        Assert.Equal(2, Agreeing);
        Add(1, view: 5, tentative: true);
        Assert.Equal(Quorum, Agreeing);
    }
}
