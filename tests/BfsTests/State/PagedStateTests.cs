using BfsCore;
using BfsCore.State;
using Xunit;

namespace BfsTests.State;

/// <summary>Checkpoints by copy-on-write and their digests (§5.3.1).</summary>
public class PagedStateTests
{
    private static void Fill(PagedState state, long page, byte value) =>
        state.Modify(page * PagedState.PageBytes, PagedState.PageBytes).Fill(value);

    [Theory]
    [InlineData(1, new long[] { 1, 1 })]
    [InlineData(64, new long[] { 1, 64 })]
    [InlineData(65, new long[] { 1, 2, 65 })]
    [InlineData(4096, new long[] { 1, 64, 4096 })]
    [InlineData(4097, new long[] { 1, 2, 65, 4097 })]
    public void The_partition_tree_has_one_root_and_families_of_64(long pages, long[] nodes)
    {
        using var state = new PagedState(pages * PagedState.PageBytes);
        Assert.Equal(nodes.Length, state.Levels);
        Assert.Equal(nodes, Enumerable.Range(0, state.Levels).Select(state.NodesAt));
    }

    /// <summary>These digests are part of the protocol: replicas of different versions compare them.</summary>
    [Fact]
    public void Digests_are_frozen()
    {
        using var state = new PagedState(5000L * PagedState.PageBytes);
        Assert.True(state.CheckpointDigest(new SeqNum(0)).IsZero);

        Fill(state, 0, 1);
        Fill(state, 4999, 2);
        state.TakeCheckpoint(new SeqNum(128));
        Assert.Equal("3431383721510cf1c211de027cf958c183e16db5fabb6b230eb284c85e196aa9",
            state.NodeDigestAt(new SeqNum(128), state.Levels - 1, 0).ToString());
        Assert.Equal("bb953cecc6f924f38d3cb0625711d50885b3c59526c388215276e68cfeb6c1cc",
            state.CheckpointDigest(new SeqNum(128)).ToString());

        state.Modify(77 * 4096 + 5, 3)[1] = 9;
        state.TakeCheckpoint(new SeqNum(256));
        Assert.Equal("46b91d79891bf896f8db27bc542dd85d95a3b13b903067cc205e3fad97e8aaa0",
            state.CheckpointDigest(new SeqNum(256)).ToString());
    }

    [Fact]
    public void The_digest_depends_on_the_content_alone()
    {
        using var once = new PagedState(100 * PagedState.PageBytes);
        Fill(once, 70, 3);
        once.TakeCheckpoint(new SeqNum(128));

        using var twice = new PagedState(100 * PagedState.PageBytes);
        Fill(twice, 70, 1);
        Fill(twice, 2, 5);
        twice.TakeCheckpoint(new SeqNum(64));
        Fill(twice, 70, 3);
        Fill(twice, 2, 0);
        twice.TakeCheckpoint(new SeqNum(128));

        Assert.Equal(once.CheckpointDigest(new SeqNum(128)), twice.CheckpointDigest(new SeqNum(128)));
        Assert.True(twice.NodeDigestAt(new SeqNum(128), twice.Levels - 1, 2).IsZero);
    }

    [Fact]
    public void A_page_is_copied_once_per_epoch_and_a_page_of_zeros_never()
    {
        using var state = new PagedState(10 * PagedState.PageBytes);
        Fill(state, 4, 1);
        Fill(state, 4, 2);
        Assert.Equal(0, state.PagesCopied);
        Assert.Equal(1, state.ModifiedPagesInEpoch);
        state.TakeCheckpoint(new SeqNum(1));
        Fill(state, 4, 3);
        Fill(state, 4, 4);
        Assert.Equal(1, state.PagesCopied);
        Assert.Equal(2, state.PageAt(new SeqNum(1), 4)[0]);
        Assert.Equal(1, state.PagesHashed);
    }

    /// <summary>Whose digest was computed when the operation arrived: unless the page was modified again, or the content is elsewhere.</summary>
    [Fact]
    public void A_copy_of_a_block_of_the_operation_is_not_hashed()
    {
        using var state = new PagedState(10 * PagedState.PageBytes);
        byte[] operation = new byte[17 + (3 * PagedState.PageBytes)];
        new Random(1).NextBytes(operation);
        Digest[] blocks = [.. Enumerable.Range(0, 3).Select(i => PartitionTree.PageDigest(Block(i)))];
        state.Operation.Set(operation, operation.Length, blocks, blocks.Length);
        state.SetPage(0, Block(0));
        state.SetPage(4096, Block(1));
        state.SetPage(2 * 4096, Block(2));
        state.Modify((2 * 4096) + 5, 1)[0]++;
        state.SetPage(3 * 4096, Block(0).ToArray());
        state.SetPage(4 * 4096, operation.AsSpan(18, 4096));
        Fill(state, 5, 1);
        state.SetPage(5 * 4096, Block(1));
        state.Operation.Clear();
        state.SetPage(6 * 4096, Block(0));
        Assert.True(state.TryGetDigest(0, out Digest digest) && digest == blocks[0]);
        Assert.False(state.TryGetDigest(2, out _) || state.TryGetDigest(3, out _));
        state.TakeCheckpoint(new SeqNum(1));
        // Pages 2, 3, 4 and 6.
        Assert.Equal(4, state.PagesHashed);
        for (int page = 0; page < 10; page++)
        {
            Assert.Equal(PartitionTree.PageDigest(state.PageAt(new SeqNum(1), page)), state.NodeDigestAt(new SeqNum(1), 1, page));
        }
        state.ReadOnlyGuard = true;
        Assert.Throws<BfsAssertException>(() => state.SetPage(0, Block(1)));
        Assert.Throws<BfsAssertException>(() => state.SetPage(1, Block(1)));

        Span<byte> Block(int i) => operation.AsSpan(17 + (i * 4096), 4096);
    }

    [Fact]
    public void A_modification_across_pages_records_all_of_them()
    {
        using var state = new PagedState(4 * PagedState.PageBytes);
        state.Modify(4095, 4098).Fill(7);
        Assert.Equal(3, state.ModifiedPagesInEpoch);
        state.TakeCheckpoint(new SeqNum(1));
        Assert.Equal([false, false, false, true],
            Enumerable.Range(0, 4).Select(p => state.NodeDigestAt(new SeqNum(1), 1, p).IsZero));
    }

    [Fact]
    public void An_empty_modification_records_nothing()
    {
        using var state = new PagedState(2 * PagedState.PageBytes);
        Assert.Equal(0, state.Modify(4096, 0).Length);
        Assert.Equal(0, state.Modify(8192, 0).Length);
        Assert.Equal(0, state.ModifiedPagesInEpoch);
    }

    /// <summary>§5.1.3: a read-only execution must not change the state, not even pages recorded before.</summary>
    [Fact]
    public void While_the_guard_is_on_a_modification_asserts()
    {
        using var state = new PagedState(4 * PagedState.PageBytes);
        Fill(state, 1, 1);
        state.ReadOnlyGuard = true;
        Assert.Throws<BfsAssertException>(() => Fill(state, 1, 2));
        Assert.Throws<BfsAssertException>(() => Fill(state, 2, 2));
        Assert.Throws<BfsAssertException>(() => state.RollbackTo(new SeqNum(0)));
        state.TakeCheckpoint(new SeqNum(1));
        Assert.True(state.ReadOnlyGuard);
        Assert.Throws<BfsAssertException>(() => Fill(state, 1, 2));
        state.ReadOnlyGuard = false;
        Fill(state, 1, 2);
        Assert.Equal(2, state.Read(4096, 1)[0]);
    }

    [Fact]
    public void Windows_lie_inside_the_state()
    {
        using var state = new PagedState(2 * PagedState.PageBytes);
        StateRegion region = state.Window(4096, 4096);
        region.Modify(0, 1)[0] = 8;
        Assert.Equal(8, state.Read(4096, 1)[0]);
        Assert.Throws<BfsAssertException>(() => state.Window(4096, 4097));
        Assert.Throws<BfsAssertException>(() => region.Modify(4096, 1)[0] = 1);
    }

    /// <summary>§5.1.2: a tentative execution, a checkpoint of it included, can be undone.</summary>
    [Fact]
    public void Rolling_back_restores_pages_digests_and_checkpoints()
    {
        using var state = new PagedState(200 * PagedState.PageBytes);
        Fill(state, 100, 1);
        state.TakeCheckpoint(new SeqNum(128));
        Digest before = state.CheckpointDigest(new SeqNum(128));
        Fill(state, 100, 2);
        Fill(state, 150, 2);
        state.TakeCheckpoint(new SeqNum(256));
        Fill(state, 100, 3);

        state.RollbackTo(new SeqNum(128));

        Assert.Equal(new SeqNum(128), state.LastCheckpoint);
        Assert.False(state.HasCheckpoint(new SeqNum(256)));
        Assert.Equal(1, state.Read(100 * 4096, 1)[0]);
        Assert.Equal(0, state.Read(150 * 4096, 1)[0]);
        Assert.Equal(before, state.CheckpointDigest(new SeqNum(128)));
        state.TakeCheckpoint(new SeqNum(256));
        Assert.Equal(before, state.CheckpointDigest(new SeqNum(256)));
    }

    [Fact]
    public void Only_held_checkpoints_answer()
    {
        using var state = new PagedState(4096);
        state.TakeCheckpoint(new SeqNum(128));
        state.TakeCheckpoint(new SeqNum(256));
        state.DiscardBefore(new SeqNum(128));
        Assert.Equal(2, state.CheckpointCount);
        Assert.Equal(new SeqNum(128), state.CheckpointAt(0));
        Assert.Throws<BfsAssertException>(() => state.CheckpointDigest(new SeqNum(0)));
        Assert.Throws<BfsAssertException>(() => state.RollbackTo(new SeqNum(0)));
        Assert.Throws<BfsAssertException>(() => state.TakeCheckpoint(new SeqNum(256)));
        Assert.Throws<BfsAssertException>(() => state.DiscardBefore(new SeqNum(257)));
    }

    /// <summary>An interior digest commits to each child by itself: moving a difference between children shows (pitfall 28).</summary>
    [Fact]
    public void Exchanged_pages_change_the_root()
    {
        using var a = new PagedState(2 * PagedState.PageBytes);
        Fill(a, 0, 1);
        Fill(a, 1, 2);
        a.TakeCheckpoint(new SeqNum(1));
        using var b = new PagedState(2 * PagedState.PageBytes);
        Fill(b, 0, 2);
        Fill(b, 1, 1);
        b.TakeCheckpoint(new SeqNum(1));
        Assert.NotEqual(a.CheckpointDigest(new SeqNum(1)), b.CheckpointDigest(new SeqNum(1)));
    }

    [Fact]
    public void The_steady_state_allocates_nothing()
    {
        using var state = new PagedState(4096L * PagedState.PageBytes);
        long allocated = 0;
        for (int epoch = 1; epoch <= 20; epoch++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 300; i++)
            {
                state.Modify((i * 13 % 4096) * 4096L + epoch, 4)[0]++;
            }
            state.TakeCheckpoint(new SeqNum(epoch * 128));
            state.DiscardBefore(new SeqNum((epoch - 1) * 128));
            long after = GC.GetAllocatedBytesForCurrentThread();
            allocated = epoch > 5 ? allocated + after - before : 0;
        }
        Assert.Equal(0, allocated);
    }

    /// <summary>A large blank region costs address space only: its metadata is touched where pages are used.</summary>
    [Fact]
    public void A_large_blank_state_is_ready_at_once()
    {
        using var state = new PagedState(8L << 30);
        Fill(state, state.PageCount - 1, 1);
        state.TakeCheckpoint(new SeqNum(1));
        Assert.Equal(1, state.PagesHashed);
        Assert.False(state.CheckpointDigest(new SeqNum(1)).IsZero);
    }
}
