using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace BfsSim.Fuzz;

/// <summary>The command <c>fuzz</c>.</summary>
internal static class FuzzCommand
{
    public static Command Create()
    {
        Option<long> inputs = new("--inputs") { Description = "how many", DefaultValueFactory = _ => 10_000_000 };
        Option<long> seed = new("--seed") { Description = "what decides them all", DefaultValueFactory = _ => Random.Shared.NextInt64(1L << 40) };
        Option<double> minutes = new("--minutes") { Description = "stop after this time", DefaultValueFactory = _ => 1e6 };
        Option<int> threads = new("--threads") { Description = "how many at a time", DefaultValueFactory = _ => Environment.ProcessorCount };
        Option<string?> repeat = new("--repeat") { Description = "SEED:NUMBER of a failure, to see it again" };
        Command command = new("fuzz", "Gives hostile bytes to replicas, clients and all parsers; anything thrown is a failure.")
            { inputs, seed, minutes, threads, repeat };
        command.SetAction(result => result.GetValue(repeat) is { } which
            ? Repeat(which)
            : Run(result.GetValue(seed), result.GetValue(inputs), TimeSpan.FromMinutes(result.GetValue(minutes)), result.GetValue(threads)));
        return command;
    }

    private static int Run(long seed, long inputs, TimeSpan time, int threads)
    {
        AnsiConsole.WriteLine($"seed {seed}");
        var runner = new FuzzRunner(seed, threads);
        runner.Run(inputs, time, AnsiConsole.Console);
        runner.Report(AnsiConsole.Console);
        AnsiConsole.WriteLine(runner.InputsDone < inputs ? $"{runner.InputsDone} of {inputs} inputs done" : $"all {inputs} inputs done");
        return runner.Failures == 0 ? 0 : 1;
    }

    private static int Repeat(string which)
    {
        string[] parts = which.Split(':');
        if (parts.Length != 2 || !long.TryParse(parts[0], CultureInfo.InvariantCulture, out long seed)
            || !long.TryParse(parts[1], CultureInfo.InvariantCulture, out long number) || number < 0)
        {
            AnsiConsole.WriteLine("--repeat takes SEED:NUMBER");
            return 2;
        }
        var runner = new FuzzRunner(seed, 1);
        runner.Repeat(number, AnsiConsole.Console);
        return runner.Failures == 0 ? 0 : 1;
    }
}
