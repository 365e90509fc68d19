using System.CommandLine;

namespace BfsBench;

/// <summary>./bfs bench report: figures of earlier runs beside what is asked, their plots, and one page of all.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        Argument<FileInfo[]> files = new("FILE") { Description = "Figures that --json wrote; where several have figures of a kind, plots show those of the run with most of them", Arity = ArgumentArity.OneOrMore };
        Option<FileInfo?> report = new("--report") { Description = "Write plots and figures to this file, as one HTML page", HelpName = "FILE" };
        Option<DirectoryInfo?> plots = new("--plots") { Description = "Write each plot to this directory, as an SVG file", HelpName = "DIR" };
        Option<FileInfo?> markdown = new("--markdown") { Description = "Write the table of what is asked to this file, as Markdown", HelpName = "FILE" };
        var command = new Command("report", "What is asked beside the figures of earlier runs, and their plots.") { files, report, plots, markdown };
        command.SetAction(parsed => Run([.. parsed.GetValue(files)!.Select(f => f.FullName)], parsed.GetValue(report)?.FullName,
            parsed.GetValue(plots)?.FullName, parsed.GetValue(markdown)?.FullName));
        return command;
    }

    private static int Run(IReadOnlyList<string> files, string? report, string? plots, string? markdown)
    {
        RunFigures[] runs = [.. files.Select(f => new RunFigures(Path.GetFileNameWithoutExtension(f), Results.Read(f)))];
        var table = new GoalTable(runs);
        table.Print(Output.Console);
        if (table.Rows.Count == 0)
        {
            Output.Say("none of what is asked was measured in these runs");
        }
        if (markdown is not null)
        {
            Write(markdown, table.ToMarkdown());
        }
        if (report is not null)
        {
            Write(report, HtmlReport.Render(runs, [], "BFS benchmarks", $"Figures of {string.Join(", ", runs.Select(r => r.Name))}."));
        }
        if (plots is not null)
        {
            foreach (Plot plot in PlotCatalog.For(runs))
            {
                Write(Path.Combine(plots, plot.FileName), plot.Drawing.Svg);
            }
        }
        return 0;
    }

    private static void Write(string path, string text)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
            Output.Say($"wrote {path}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BenchException($"cannot write {path}: {e.Message}", e) { ExitCode = 2 };
        }
    }
}
