using System.CommandLine;
using System.CommandLine.Parsing;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;

namespace BfsBench;

/// <summary>The command line: ./bfs bench.</summary>
internal static class BenchProgram
{
    /// <summary>What people type; help would show the name of the assembly.</summary>
    private const string CommandName = "bfs bench";

    private const string Serve = "serve";

    /// <returns>The exit code: 0, 1 when something failed, 2 when something was asked wrongly.</returns>
    public static int Run(string[] args)
    {
        var root = new RootCommand("Benchmarks of BFS, after chapter 8 of the thesis: figures are medians, and ratios are within one run.");
        foreach (Benchmark benchmark in BenchmarkCatalog.All)
        {
            root.Subcommands.Add(BenchmarkCommand.Create(benchmark));
        }
        root.Subcommands.Add(ReportCommand.Create());
        root.Subcommands.Add(ServeCommand());
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            Console.Error.WriteLine($"{CommandName}: "
                + (parsed.UnmatchedTokens.Count > 0 ? $"unknown {(parsed.UnmatchedTokens[0].StartsWith('-') ? "option" : "command or argument")} '{parsed.UnmatchedTokens[0]}'"
                    : parsed.Errors[0].Message));
            Console.Error.WriteLine($"Try '{CommandName}{(parsed.CommandResult.Command == root ? "" : " " + parsed.CommandResult.Command.Name)} --help'.");
            return 2;
        }
        using var output = new StringWriter();
        var how = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null, Output = output };
        try
        {
            // A server has nothing to take away, and ends at once when it is told to.
            return parsed.CommandResult.Command.Name == Serve ? parsed.Invoke(how) : CleanUp.Around(() => parsed.Invoke(how));
        }
        catch (BenchException e)
        {
            Console.Error.WriteLine($"{CommandName}: {e.Message}");
            return e.ExitCode;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException or ClusterFileException or TransportException)
        {
            Console.Error.WriteLine($"{CommandName}: {e.Message}");
            return 1;
        }
        finally
        {
            Console.Out.Write(output.ToString().Replace(typeof(BenchProgram).Assembly.GetName().Name!, CommandName, StringComparison.Ordinal));
        }
    }

    private static Command ServeCommand()
    {
        Option<string> cluster = new("--cluster") { Required = true };
        Option<int> id = new("--id") { Required = true };
        Option<string> service = new("--service") { DefaultValueFactory = _ => "null" };
        Option<bool> probe = new("--probe");
        var serve = new Command(Serve, "One server process of a benchmark.") { cluster, id, service, probe };
        serve.Hidden = true;
        serve.SetAction(parsed => BenchCluster.Serve(parsed.GetValue(cluster)!, parsed.GetValue(id), parsed.GetValue(service)!, parsed.GetValue(probe)));
        return serve;
    }
}
