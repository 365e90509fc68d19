using System.CommandLine;

namespace BfsClient.Commands;

/// <summary>bfs bench: a program of its own, which the script "bfs" in the project's directory builds and runs.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        Argument<string[]> arguments = new("ARGUMENTS") { Description = "See ./bfs bench --help", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("bench", "Measure: latency, throughput, Andrew, PostMark and more, beside other systems; see ./bfs bench --help.") { arguments };
        command.SetAction(int (_) => throw new CommandException("the benchmarks run from the project's directory: ./bfs bench"));
        return command;
    }
}
