using BfsBench;

namespace BfsTests.Benchmarks;

public sealed class TurnTests
{
    [Fact]
    public void Every_second_run_goes_the_other_way() => Assert.Equal(
        [(0, "a"), (0, "b"), (0, "c"), (1, "c"), (1, "b"), (1, "a"), (2, "a"), (2, "b"), (2, "c")],
        FileBenchmark.Turns(["a", "b", "c"], 3));

    [Fact]
    public void BFS_is_measured_beside_what_it_is_compared_with_most()
    {
        string[] names = [.. SystemCatalog.All(quick: true).Select(s => s.Name)];
        Assert.Equal([SystemNames.Bfs, SystemNames.NoRep], names[..2]);
        Assert.Equal(names.Length, names.Distinct().Count());
    }
}
