using System.Diagnostics;
using System.Globalization;
using BfsCore;
using BfsCore.Hosting.Recovery;
using Spectre.Console;

namespace BfsClient.Commands;

/// <summary>Shows the phases of a recovery as they begin: what is under way at a terminal, plain lines elsewhere.</summary>
internal static class RecoveryProgress
{
    public static MonitorLine? Show(ReplicaId id, Func<Action<MonitorLine>, MonitorLine?> run)
    {
        var watch = Stopwatch.StartNew();
        if (Console.IsOutputRedirected)
        {
            return run(line => Cli.Say(Line(watch, line.Text ?? line.Phase ?? "")));
        }
        return AnsiConsole.Status().Start($"recovering replica {id.Value} ...", context =>
        {
            string? phase = null;
            return run(line =>
            {
                if (line.Text is { } text)
                {
                    AnsiConsole.WriteLine(Line(watch, text));
                }
                if (line.Phase is { } next)
                {
                    if (phase is not null)
                    {
                        AnsiConsole.WriteLine(Line(watch, phase + ": done"));
                    }
                    phase = next;
                    context.Status($"recovering replica {id.Value}: {Markup.Escape(phase)} ...");
                }
            });
        });
    }

    private static string Line(Stopwatch watch, string text) =>
        string.Create(CultureInfo.InvariantCulture, $"{watch.Elapsed.TotalSeconds,7:F2} s  {text}");
}
