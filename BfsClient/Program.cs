using System.CommandLine;
using System.CommandLine.Parsing;
using BfsClient.Commands;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;

var root = new RootCommand("BFS: a drive that keeps giving right answers while some of the machines that store it fail or lie.")
{
    ClusterCommands.Create(), MountCommand.Create(), UnmountCommand.Create(), StatusCommand.Create(),
    ReplicaCommands.Create(), RecoveryCommands.Recover(), RecoveryCommands.List(), FaultCommands.Create(), RelayCommand.Create(),
    BenchCommand.Create(),
};
root.WithExamples("""
    bfs cluster init
    bfs cluster start
    bfs mount ~/bfs
    bfs status
    bfs recover 2
    bfs unmount ~/bfs
    bfs cluster stop
    """);
Help.ShowExamples(root);

ParseResult parsed = root.Parse(args);
if (UsageProblem(parsed) is { } problem)
{
    Console.Error.WriteLine("bfs: " + problem);
    Console.Error.WriteLine($"Try '{string.Join(' ', PathOf(parsed.CommandResult))} --help'.");
    return 2;
}
try
{
    return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (CommandException e)
{
    Console.Error.WriteLine("bfs: " + e.Message);
    return e.ExitCode;
}
catch (Exception e) when (e is ClusterFileException or TransportException or IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine("bfs: " + e.Message);
    return 1;
}

// A word that looks like an option and is none would otherwise be taken as an argument, and the next one blamed.
static string? UsageProblem(ParseResult parsed)
{
    if (parsed.Errors.Count == 0 && !parsed.CommandResult.Tokens.Any(LooksLikeOption))
    {
        return null;
    }
    string? word = parsed.UnmatchedTokens.FirstOrDefault(t => t.StartsWith('-'))
        ?? parsed.CommandResult.Tokens.FirstOrDefault(LooksLikeOption)?.Value;
    return word is not null ? $"unknown option '{word}'"
        : parsed.UnmatchedTokens.Count > 0 ? $"unknown command or argument '{parsed.UnmatchedTokens[0]}'"
        : parsed.Errors[0].Message;
}

static bool LooksLikeOption(Token token) => token.Type == TokenType.Argument && token.Value.Length > 1 && token.Value[0] == '-';

static IEnumerable<string> PathOf(CommandResult result)
{
    IEnumerable<string> above = result.Parent is CommandResult parent ? PathOf(parent) : [];
    return above.Append(result.Command is RootCommand ? "bfs" : result.Command.Name);
}
