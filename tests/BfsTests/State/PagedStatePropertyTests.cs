using BfsCore;
using BfsCore.State;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BfsTests.State;

/// <summary>The paged state against full copies and recomputed trees, over random sequences (§5.3.1).</summary>
public class PagedStatePropertyTests
{
    // Over 64 pages, so that there are three levels; few enough that pages meet again.
    private const int Pages = 70;

    /// <summary>One step; what it means depends on the numbers, so that every shrunk sequence is valid too.</summary>
    public readonly record struct Step(int Kind, int Where, int Length, byte Value);

    private static Arbitrary<Step[]> Sequences()
    {
        Gen<Step> step = Gen.Choose(0, 99).SelectMany(kind =>
            Gen.Choose(0, Pages * PagedState.PageBytes - 1).SelectMany(where =>
                Gen.Choose(0, 3 * PagedState.PageBytes).SelectMany(length =>
                    Gen.Choose(0, 2).Select(value => new Step(kind, where, length, (byte)value)))));
        return Arb.From(step.ArrayOf());
    }

    [Fact]
    public void It_behaves_like_full_copies()
    {
        Config config = Config.QuickThrowOnFailure.WithMaxTest(150).WithEndSize(120);
        Check.One(config, Prop.ForAll(Sequences(), Holds));
    }

    private static bool Holds(Step[] steps)
    {
        using var state = new PagedState(Pages * PagedState.PageBytes);
        var reference = new ReferenceState(Pages);
        long number = 0;
        foreach (Step step in steps)
        {
            switch (step.Kind)
            {
                case < 75:
                    Modify(state, reference, step);
                    break;
                case < 90:
                    number++;
                    state.TakeCheckpoint(new SeqNum(number));
                    reference.TakeCheckpoint(number);
                    break;
                case < 95:
                    long oldest = Pick(reference, step);
                    state.DiscardBefore(new SeqNum(oldest));
                    reference.DiscardBefore(oldest);
                    break;
                default:
                    number = Pick(reference, step);
                    state.RollbackTo(new SeqNum(number));
                    reference.RollbackTo(number);
                    break;
            }
            if (!SameMemory(state, reference))
            {
                return false;
            }
        }
        return SameCheckpoints(state, reference);
    }

    private static long Pick(ReferenceState reference, Step step) =>
        reference.Checkpoints[step.Where % reference.Checkpoints.Count];

    private static void Modify(PagedState state, ReferenceState reference, Step step)
    {
        if (step.Kind % 4 == 1)
        {
            Set(state, reference, step);
            return;
        }
        // Half of the other modifications make whole pages, so that pages become zero again and contents recur.
        bool whole = step.Kind % 2 == 0;
        int offset = whole ? step.Where / PagedState.PageBytes * PagedState.PageBytes : step.Where;
        int length = whole ? PagedState.PageBytes : Math.Min(step.Length, reference.Memory.Length - offset);
        state.Modify(offset, length).Fill(step.Value);
        reference.Memory.AsSpan(offset, length).Fill(step.Value);
    }

    /// <summary>A page becomes a copy of a block of the operation, of what is equal to one, or of what lies across two.</summary>
    private static void Set(PagedState state, ReferenceState reference, Step step)
    {
        const int Head = 100;
        const int Block = PagedState.PageBytes;
        byte[] operation = new byte[Head + (3 * Block) + 8];
        for (int i = 0; i < 3; i++)
        {
            operation.AsSpan(Head + (i * Block), Block).Fill((byte)(step.Value * i));
        }
        Digest[] blocks = [.. Enumerable.Range(0, 3).Select(i => PartitionTree.PageDigest(operation.AsSpan(Head + (i * Block), Block)))];
        state.Operation.Set(operation, end: Head + (3 * Block), blocks, 3);
        int from = (step.Length % 4) switch { 3 => step.Where % (Head + Block), var block => Head + (block * Block) };
        byte[] copy = [.. operation.AsSpan(from, Block)];
        int offset = step.Where / Block * Block;
        state.SetPage(offset, step.Where % 5 == 0 ? copy : operation.AsSpan(from, Block));
        copy.CopyTo(reference.Memory, offset);
        state.Operation.Clear();
    }

    private static bool SameMemory(PagedState state, ReferenceState reference) =>
        state.Read(0, reference.Memory.Length).SequenceEqual(reference.Memory);

    private static bool SameCheckpoints(PagedState state, ReferenceState reference)
    {
        List<long> numbers = reference.Checkpoints;
        if (state.CheckpointCount != numbers.Count || state.LastCheckpoint.Value != numbers[^1])
        {
            return false;
        }
        for (int i = 0; i < numbers.Count; i++)
        {
            if (state.CheckpointAt(i).Value != numbers[i] || !SameCheckpoint(state, reference, numbers[i]))
            {
                return false;
            }
        }
        return true;
    }

    private static bool SameCheckpoint(PagedState state, ReferenceState reference, long n)
    {
        List<List<byte[]>> tree = reference.TreeAt(n);
        for (int level = 0; level < state.Levels; level++)
        {
            for (int index = 0; index < state.NodesAt(level); index++)
            {
                if (state.NodeDigestAt(new SeqNum(n), level, index) != Digest.Read(tree[level][index]))
                {
                    return false;
                }
            }
        }
        for (int page = 0; page < Pages; page++)
        {
            if (!state.PageAt(new SeqNum(n), page).SequenceEqual(reference.PageAt(n, page)))
            {
                return false;
            }
        }
        return state.Levels == tree.Count;
    }
}
