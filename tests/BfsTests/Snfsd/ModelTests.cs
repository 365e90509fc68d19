using BfsReplica.Snfsd;
using FsCheck;
using FsCheck.Fluent;

namespace BfsTests.Snfsd;

/// <summary>snfsd against the plain model, with random operations: every result, every attribute, every byte.</summary>
public sealed class ModelTests
{
    private static readonly Arbitrary<Step[]> Steps = Gen.Choose(0, 9_999).ArrayOf(5)
        .Select(n => new Step(n[0], n[1], n[2], n[3], n[4]))
        .ArrayOf()
        .Resize(250)
        .ToArbitrary();

    [Fact]
    public void Random_operations_give_what_the_model_gives() =>
        Prop.ForAll(Steps, static steps =>
        {
            using var driver = new ModelDriver();
            driver.Run(steps);
            Assert.Empty(ConsistencyCheck.Run(driver.Volume.Service));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));

    [Fact]
    public void Random_bytes_in_operations_leave_a_consistent_volume()
    {
        using var volume = new TestVolume(2 << 20);
        var entropy = new Engine.TestEntropy(21);
        byte[] operation = new byte[120];
        for (int i = 0; i < 60_000; i++)
        {
            entropy.Fill(operation);
            operation[0] = (byte)(operation[0] % 22);
            operation[1] = operation[2] = operation[3] = 0;
            operation.AsSpan(4, 8).Clear();
            operation[12] = (byte)(operation[12] % 8);
            operation.AsSpan(13, 7).Clear();
            operation[20] = (byte)(1 + (operation[20] % 2));
            operation[21] = 0;
            volume.Execute(operation.AsSpan(0, 20 + (operation[119] % 100)));
        }
        Assert.Empty(ConsistencyCheck.Run(volume.Service));
    }
}
