using BfsCore;
using BfsCore.State;

namespace BfsTests.State;

/// <summary>Results that consist of pages (§5.1.1), and their digests, whatever became of the pages.</summary>
public sealed class ResultPagesTests : IDisposable
{
    private const int Page = PagedState.PageBytes;

    /// <summary>The service's region begins here.</summary>
    private const int First = 2;

    private readonly PagedState _state = new(20 * Page);
    private readonly ResultPages _pages;
    private readonly StateRegion _region;

    public ResultPagesTests()
    {
        _pages = new ResultPages(_state, First * Page);
        _region = _state.Window(First * Page, 18 * Page);
        for (int i = 0; i < 8; i++)
        {
            _region.Modify(i * Page, Page).Fill((byte)(i + 1));
        }
        _state.TakeCheckpoint(new SeqNum(1));
    }

    public void Dispose() => _state.Dispose();

    /// <summary>
    /// Reads pages behind a head of so many bytes; asserts that the digest is that of the pages, that they are written where the
    /// result is sent, and otherwise no more than those that have to be hashed.
    /// </summary>
    /// <returns>How many blocks were known, and how many hashed.</returns>
    private (long Known, long Hashed) Read(int headBytes, params int[] pages)
    {
        byte[] result = new byte[headBytes + (pages.Length * Page)];
        Array.Fill(result, (byte)77);
        byte[] right = [.. result];
        (long known, long hashed) = (_pages.BlocksKnown, _pages.BlocksHashed);
        _pages.Clear();
        for (int i = 0; i < pages.Length; i++)
        {
            _region.Read(pages[i] * Page, Page).CopyTo(right.AsSpan(headBytes + (i * Page)));
            _pages.Place(headBytes + (i * Page), pages[i] * Page);
        }
        Assert.Equal(ContentDigest.Of(right), _pages.Complete(result, whole: false));
        var outcome = (_pages.BlocksKnown - known, _pages.BlocksHashed - hashed);
        Assert.Equal(outcome.Item1, pages.Select((_, i) => result[headBytes + (i * Page)]).Count(b => b == 77));
        Assert.Equal(ContentDigest.Of(right), _pages.Complete(result, whole: true));
        Assert.Equal(right, result);
        return outcome;
    }

    [Fact]
    public void Pages_that_were_not_modified_since_the_checkpoint_are_not_hashed()
    {
        long hashed = _state.PagesHashed;
        Assert.Equal((5, 0), Read(4, 0, 3, 3, 7, 12));
        Assert.Equal((1, 0), Read(0, 5));
        Assert.Equal((0, 0), Read(20));
        Assert.Equal(hashed, _state.PagesHashed);
    }

    [Fact]
    public void Pages_that_were_modified_are_hashed_until_the_next_checkpoint()
    {
        _region.Modify((3 * Page) + 9, 1)[0] = 5;
        _region.Modify(4 * Page, Page).Clear();
        Assert.Equal((2, 2), Read(4, 2, 3, 4, 5));
        _state.TakeCheckpoint(new SeqNum(2));
        Assert.Equal((4, 0), Read(4, 2, 3, 4, 5));
    }

    [Fact]
    public void After_a_rollback_the_checkpoints_digests_count()
    {
        _region.Modify(3 * Page, Page).Fill(99);
        _state.TakeCheckpoint(new SeqNum(2));
        _region.Modify(2 * Page, Page).Fill(98);
        Assert.Equal((1, 1), Read(4, 2, 3));
        _state.RollbackTo(new SeqNum(1));
        Assert.Equal((2, 0), Read(4, 2, 3));
    }

    [Fact]
    public void Pages_that_a_transfer_installs_count()
    {
        byte[] content = new byte[Page];
        content.AsSpan().Fill(50);
        _state.InstallPage(First + 3, content, PartitionTree.PageDigest(content));
        Assert.Equal((2, 0), Read(4, 2, 3));
        using var other = new PagedState(_state.SizeBytes);
        _state.Read(0, (int)_state.SizeBytes).CopyTo(other.Modify(0, (int)_state.SizeBytes));
        other.TakeCheckpoint(new SeqNum(5));
        Assert.True(_state.TryCompleteTransfer(new SeqNum(5), other.CheckpointDigest(new SeqNum(5))));
        Assert.Equal((2, 0), Read(4, 2, 3));
    }

    [Fact]
    public void Of_a_damaged_page_the_digest_is_right()
    {
        byte[] right = _region.Read(3 * Page, Page).ToArray();
        Engine.StateCheckingTests.Memory(_state)[((First + 3) * Page) + 5] ^= 1;
        _pages.Place(0, 3 * Page);
        byte[] result = new byte[Page];
        Assert.Equal(ContentDigest.Of(right), _pages.Complete(result, whole: true));
        Assert.NotEqual(right, result);
        // Once the damage was found, the tree says what is there, for a comparison with others.
        _state.RecomputeDigest(First + 3);
        Assert.Equal((1, 0), Read(0, 3));
    }

    [Fact]
    public void Zeros_are_known_without_a_page()
    {
        byte[] right = new byte[4 + (2 * Page)];
        right[^1] = 1;
        byte[] result = [.. right];
        result.AsSpan(4, Page).Fill(77);
        _pages.PlaceZeros(4);
        Assert.Equal(ContentDigest.Of(right), _pages.Complete(result, whole: false));
        Assert.Equal((1, 1), (_pages.BlocksKnown, _pages.BlocksHashed));
        _pages.Complete(result, whole: true);
        Assert.Equal(right, result);
    }

    [Fact]
    public void What_lies_elsewhere_than_the_digests_blocks_is_hashed()
    {
        byte[] right = new byte[(3 * Page) + 100];
        new Random(1).NextBytes(right);
        byte[] result = [.. right];
        _region.Read(2 * Page, Page).CopyTo(right.AsSpan(0));
        _region.Read(5 * Page, Page).CopyTo(right.AsSpan(Page + 100));
        _region.Read(6 * Page, Page).CopyTo(right.AsSpan(right.Length - Page));
        _pages.Place(0, 2 * Page);
        _pages.Place(Page + 100, 5 * Page);
        _pages.Place(right.Length - Page, 6 * Page);
        Assert.Equal(ContentDigest.Of(right), _pages.Complete(result, whole: false));
        Assert.Equal((2, 1), (_pages.BlocksKnown, _pages.BlocksHashed));
        // A result that became shorter than what was said of it, by whole blocks and by half of one.
        foreach (int length in new[] { (2 * Page) + 100, 1000 })
        {
            byte[] shorter = new byte[length];
            result.AsSpan(0, length).CopyTo(shorter);
            Assert.Equal(ContentDigest.Of(right.AsSpan(0, length)), _pages.Complete(shorter, whole: true));
            Assert.Equal(right[..length], shorter);
        }
    }

    [Fact]
    public void Only_pages_of_the_state_in_the_order_of_the_result_can_be_said()
    {
        Assert.Throws<BfsAssertException>(() => _pages.Place(0, 17));
        Assert.Throws<BfsAssertException>(() => _pages.Place(0, -Page));
        Assert.Throws<BfsAssertException>(() => _pages.Place(0, 18 * Page));
        Assert.Throws<BfsAssertException>(() => _pages.Place(-1, 0));
        Assert.Throws<BfsAssertException>(() => _pages.Place(Limits.MaxResultBytes - Page + 1, 0));
        _pages.Place(100, 0);
        Assert.Throws<BfsAssertException>(() => _pages.Place(100 + Page - 1, Page));
        _pages.Place(100 + Page, Page);
        for (int i = 2; 100 + ((i + 1) * Page) <= Limits.MaxResultBytes; i++)
        {
            _pages.Place(100 + (i * Page), Page);
        }
    }
}
