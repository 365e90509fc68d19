using System.Diagnostics;
using Spectre.Console;

namespace BfsBench;

/// <summary>Where tables and progress go: the terminal, or plain text in lines that are not folded.</summary>
internal static class Output
{
    private const int WidthInFiles = 200;

    private static readonly TimeSpan BetweenLines = TimeSpan.FromSeconds(15);

    public static IAnsiConsole Console { get; } = Create();

    /// <summary>Something that must not be overlooked.</summary>
    public static void Warn(string text) => Console.MarkupLineInterpolated($"[bold yellow]{text}[/]");

    public static void Say(string text) => Console.WriteLine(text);

    /// <summary>Shows how far a piece of work is; in a file, by a line now and then.</summary>
    /// <param name="work">Gets what it has to call after each step, with what that was.</param>
    public static void WithProgress(string what, int steps, Action<Action<string>> work)
    {
        if (System.Console.IsOutputRedirected)
        {
            Console.WriteLine(what + " ...");
            var watch = Stopwatch.StartNew();
            int done = 0;
            work(next =>
            {
                done++;
                if (watch.Elapsed > BetweenLines)
                {
                    Console.WriteLine($"  {done} of {steps} steps done; {next}");
                    watch.Restart();
                }
            });
            return;
        }
        Console.Progress().HideCompleted(false).Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(),
            new PercentageColumn(), new ElapsedTimeColumn(), new SpinnerColumn()).Start(progress =>
            {
                ProgressTask task = progress.AddTask(Markup.Escape(what), maxValue: steps);
                work(next =>
                {
                    task.Increment(1);
                    task.Description = Markup.Escape(next.Length == 0 ? what : $"{what}: {next}");
                });
                task.Value = steps;
                task.Description = Markup.Escape(what);
            });
    }

    private static IAnsiConsole Create()
    {
        if (!System.Console.IsOutputRedirected)
        {
            return AnsiConsole.Console;
        }
        IAnsiConsole plain = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(System.Console.Out),
        });
        plain.Profile.Width = WidthInFiles;
        return plain;
    }
}
