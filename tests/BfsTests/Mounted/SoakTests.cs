using System.Text.RegularExpressions;

namespace BfsTests.Mounted;

/// <summary>Programs on a drive notice nothing but a pause when one primary after another is killed (§2.3.5).</summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class SoakTests : IDisposable
{
    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    /// <summary>The script checks what each program made and that the replicas agree in the end; its cluster is its own.</summary>
    [Fact]
    public void Git_compilers_and_databases_finish_while_the_primary_is_killed_again_and_again()
    {
        CommandResult result = _cluster.Script("scripts/soak.sh", "--kills", "4", "--size", "512M").Succeeded();
        Assert.Matches(new Regex("^4 primaries killed in [0-9]+ s; [1-9][0-9]* rounds of work", RegexOptions.Multiline), result.Output);
        Assert.Equal(4, Regex.Count(result.Output, "^killed replica [0-3], primary of view", RegexOptions.Multiline));
    }

    [Theory]
    [InlineData("--kills")]
    [InlineData("--kills", "none")]
    [InlineData("--minutes", "0")]
    [InlineData("--frob")]
    public void Wrong_arguments_are_refused(params string[] arguments) =>
        Assert.Equal(2, _cluster.Script("scripts/soak.sh", arguments).ExitCode);

    /// <summary>What the soak relies on: a round of work fails when something is not as it should be.</summary>
    [Fact]
    public void A_round_of_work_notices_a_wrong_file()
    {
        string tree = _cluster.PathOf("tree");
        _cluster.Script("scripts/workload.sh", "make-tree", tree, "20").Succeeded();
        _cluster.Script("scripts/workload.sh", "round", _cluster.PathOf("good"), tree).Succeeded();
        Assert.NotEqual(0, _cluster.Script("scripts/workload.sh", "round", _cluster.PathOf("bad"), Path.Combine(tree, "missing")).ExitCode);
        // A file that changes under the copy of it: the first comparison must find it.
        string wrapped = _cluster.PathOf("bin");
        Directory.CreateDirectory(wrapped);
        File.WriteAllText(Path.Combine(wrapped, "diff"), "#!/bin/sh\nprintf x >> \"$(find \"$3\" -type f | head -1)\"; exec /usr/bin/diff \"$@\"\n");
        _cluster.Work("/", $"""
            chmod +x {wrapped}/diff
            ! PATH={wrapped}:$PATH {ClusterFixture.Project}/scripts/workload.sh round {_cluster.PathOf("changed")} {tree}
            """);
    }
}
