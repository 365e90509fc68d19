using Spectre.Console;

namespace BfsClient.Commands;

/// <summary>Shows people at a terminal that something takes its time; says nothing elsewhere.</summary>
internal static class Progress
{
    private const int WidthInFiles = 160;

    /// <summary>The terminal; or for files and pipes, plain text in lines that are not folded.</summary>
    public static IAnsiConsole Console
    {
        get
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

    public static T While<T>(string what, Func<T> work) => System.Console.IsOutputRedirected
        ? work()
        : AnsiConsole.Status().Start(Markup.Escape(what) + " ...", _ => work());
}
