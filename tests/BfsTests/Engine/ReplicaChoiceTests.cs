using BfsCore.Client;

namespace BfsTests.Engine;

/// <summary>Whom a client asks (§5.1.1, §5.1.3).</summary>
public sealed class ReplicaChoiceTests
{
    private const ulong All = 0b1111;

    [Fact]
    public void Those_who_answer_first_are_asked_until_all_are_asked_again()
    {
        var choice = new ReplicaChoice(4, 3);
        Assert.Equal(All, choice.NextReaders());
        choice.AnsweredFirst(0b1101);
        for (int i = 0; i < 64; i++)
        {
            Assert.Equal(0b1101ul, choice.NextReaders());
        }
        Assert.Equal(All, choice.NextReaders());
        choice.AnsweredFirst(0b0111);
        Assert.Equal(0b0111ul, choice.NextReaders());
        choice.NotEnough();
        Assert.Equal(All, choice.NextReaders());
    }

    [Fact]
    public void Who_failed_is_not_preferred_while_others_are_enough()
    {
        var choice = new ReplicaChoice(4, 3);
        choice.NextReplier(All);
        choice.Failed(0b0001);
        choice.AnsweredFirst(0b0111);
        Assert.Equal(0b1110ul, choice.NextReaders());
        choice.Failed(0b0010);
        choice.AnsweredFirst(0b0111);
        Assert.Equal(All, choice.NextReaders());
        for (int i = 0; i < 40; i++)
        {
            choice.NextReplier(All);
        }
        choice.AnsweredFirst(0b0111);
        Assert.Equal(0b0111ul, choice.NextReaders());
    }

    [Fact]
    public void Repliers_take_turns_among_those_asked_who_did_not_fail()
    {
        var choice = new ReplicaChoice(4, 3);
        Assert.Equal([0, 1, 2, 3, 0], Enumerable.Range(0, 5).Select(_ => (int)choice.NextReplier(All)));
        Assert.Equal([1, 3, 1, 3], Enumerable.Range(0, 4).Select(_ => (int)choice.NextReplier(0b1010)));
        choice.Failed(0b1000);
        Assert.Equal([1, 1, 1], Enumerable.Range(0, 3).Select(_ => (int)choice.NextReplier(0b1010)));
        Assert.Equal(3, choice.NextReplier(0b1000));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(64, 43)]
    public void Any_number_of_replicas_is_served(int n, int quorum)
    {
        var choice = new ReplicaChoice(n, quorum);
        Assert.Equal(choice.All, choice.NextReaders());
        Assert.Equal(n, System.Numerics.BitOperations.PopCount(choice.All));
        choice.AnsweredFirst(choice.All >> (n - quorum));
        Assert.Equal(quorum, System.Numerics.BitOperations.PopCount(choice.NextReaders()));
        Assert.Equal([.. Enumerable.Range(0, n)], Enumerable.Range(0, n).Select(_ => (int)choice.NextReplier(choice.All)));
    }
}
