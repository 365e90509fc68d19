using BfsCore;
using BfsReplica;

namespace BfsTests.Commands;

/// <summary>The arguments of a replica process, and when it saves.</summary>
public sealed class ReplicaProcessTests
{
    [Theory]
    [InlineData("which process? run, keyholder or monitor")]
    [InlineData("unknown command '--cluster'", "--cluster", "/x", "--id", "1")]
    [InlineData("--cluster is missing", "run", "--id", "1")]
    [InlineData("--id is missing", "keyholder", "--cluster", "/x")]
    [InlineData("--id needs a value", "monitor", "--cluster", "/x", "--id")]
    [InlineData("--id needs a replica's number, not '-1'", "run", "--cluster", "/x", "--id", "-1")]
    [InlineData("--id needs a replica's number, not '1e3'", "run", "--cluster", "/x", "--id", "1e3")]
    [InlineData("unknown option '--frob'", "run", "--cluster", "/x", "--frob", "1")]
    [InlineData("unknown option '--recover'", "keyholder", "--cluster", "/x", "--id", "1", "--recover")]
    [InlineData("unknown option '--manifest'", "run", "--cluster", "/x", "--id", "1", "--manifest", "0")]
    [InlineData("unknown command 'frob'", "frob")]
    public void Wrong_arguments_are_named(string message, params string[] arguments)
    {
        Assert.Null(ReplicaOptions.Parse(arguments, out string error));
        Assert.Equal(message, error);
    }

    [Fact]
    public void Right_arguments_are_taken()
    {
        Assert.Equal(new ReplicaOptions(Role.KeyHolder, "/x", new ReplicaId(3)),
            ReplicaOptions.Parse(["keyholder", "--id", "3", "--cluster", "/x"], out string error));
        Assert.Equal("", error);
        Assert.Equal(new ReplicaOptions(Role.Run, "/x", new ReplicaId(3)) { Recover = true, Monitored = true },
            ReplicaOptions.Parse(["run", "--recover", "--id", "3", "--monitored", "--cluster", "/x"], out error));
        Assert.Equal(new ReplicaOptions(Role.Monitor, "/x", new ReplicaId(3)) { Manifest = "ab" },
            ReplicaOptions.Parse(["monitor", "--id", "3", "--manifest", "ab", "--cluster", "/x"], out error));
        Assert.Null(ReplicaOptions.Parse(["--help"], out error));
        Assert.Equal("", error);
    }

    /// <summary>Not while something is executed, once when nothing has been for two seconds, and not again for the same.</summary>
    [Fact]
    public void It_is_time_to_save_when_nothing_more_is_executed()
    {
        var quiet = new QuietTime();
        quiet.Saved(100);
        Assert.Equal("------", Seconds(quiet, 100, 100, 100, 100, 100, 100));
        Assert.Equal("-----", Seconds(quiet, 101, 102, 103, 103, 104));
        Assert.Equal("-s", Seconds(quiet, 104, 104));
        // A save that failed is tried again, but not at once.
        quiet.Failed();
        Assert.Equal(new string('-', 29) + "ss", Seconds(quiet, [.. Enumerable.Repeat(104L, 31)]));
        quiet.Saved(104);
        Assert.Equal("---", Seconds(quiet, 104, 104, 104));
    }

    private static string Seconds(QuietTime quiet, params long[] executed) =>
        string.Concat(executed.Select(e => quiet.IsTimeToSave(e) ? 's' : '-'));
}
