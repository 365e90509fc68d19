using System.Diagnostics;
using System.Text.Json;
using BfsBench;
using BfsTests.Mounted;

namespace BfsTests.Benchmarks;

/// <summary>./bfs bench as people call it.</summary>
public sealed class CommandTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("bfs-benchtest-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static CommandResult Bench(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(Path.Combine(ClusterFixture.Project, "bfs"), ["bench", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new CommandResult(process.ExitCode, output, error.GetAwaiter().GetResult());
    }

    [Theory]
    [InlineData("Required command was not provided")]
    [InlineData("unknown command or argument 'frob'", "frob")]
    [InlineData("unknown option '--frob'", "micro", "--frob")]
    [InlineData("unknown option '--copies'", "micro", "--copies", "2")]
    [InlineData("--copies must be from 1", "andrew", "--copies", "0")]
    [InlineData("'many'", "andrew", "--copies", "many")]
    [InlineData("--quick and --thesis say different sizes", "andrew", "--quick", "--thesis")]
    [InlineData("unknown option '--thesis'", "micro", "--thesis")]
    [InlineData("--runs must be from 1", "files", "--runs", "-1")]
    [InlineData("--scale must be above 0", "postmark", "--scale", "0")]
    [InlineData("there is no 'NFS'; there are BFS, NO-REP", "andrew", "--systems", "local,NFS")]
    [InlineData("--json: cannot write /nowhere/x.json", "checkpoint", "--json", "/nowhere/x.json")]
    [InlineData("--report: cannot write /proc/x.html", "checkpoint", "--report", "/proc/x.html")]
    [InlineData("Required argument missing", "report")]
    [InlineData("cannot read /nowhere/x.json", "report", "/nowhere/x.json")]
    [InlineData("has no figures: it must be what --json FILE wrote", "report", "/etc/passwd")]
    public void Wrong_usage_ends_with_2(string message, params string[] arguments)
    {
        CommandResult result = Bench(arguments);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Help_names_the_command_as_one_types_it()
    {
        CommandResult result = Bench("--help").Succeeded();
        Assert.Contains("bfs bench [command]", result.Output, StringComparison.Ordinal);
        Assert.Contains("andrew", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("serve", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Checkpoints_leave_json_and_a_report_beside_it()
    {
        string json = Path.Combine(_root, "c.json");
        Bench("checkpoint", "--quick", "--runs", "2", "--json", json).Succeeded();
        Assert.Contains(JsonDocument.Parse(File.ReadAllText(json)).RootElement.EnumerateArray(),
            f => f.GetProperty("benchmark").GetString() == "checkpoint-page-random" && f.GetProperty("value").GetDouble() > 0);
        Assert.Contains("<svg", File.ReadAllText(Path.Combine(_root, "c.html")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_report_of_earlier_figures_has_a_table_plots_and_a_page()
    {
        string json = Path.Combine(_root, "c.json"), plots = Path.Combine(_root, "plots"), page = Path.Combine(_root, "p.html"), markdown = Path.Combine(_root, "t.md");
        File.WriteAllText(json, """
            [{"benchmark": "checkpoint-page-random", "system": "BFS", "value": 2.5, "unit": "us", "runs": 1, "min": 2.5, "max": 2.5, "overNoRep": null},
             {"benchmark": "transfer-idle", "system": "BFS", "value": 700, "unit": "MB/s", "runs": 1, "min": 700, "max": 700, "overNoRep": null}]
            """);
        CommandResult result = Bench("report", json, "--plots", plots, "--report", page, "--markdown", markdown).Succeeded();
        Assert.Contains("2.50 ✓", result.Output, StringComparison.Ordinal);
        Assert.Contains("| 2.50 ✓ |", File.ReadAllText(markdown), StringComparison.Ordinal);
        Assert.Equal(["state-transfer.svg", "what-is-asked-of-bfs-and-what-was-measured.svg"], Directory.GetFiles(plots).Select(Path.GetFileName).Order());
        Assert.Contains("state transfer", File.ReadAllText(page), StringComparison.OrdinalIgnoreCase);
        Assert.Equal(2, Bench("report", json, "--markdown", "/proc/x.md").ExitCode);
    }

    /// <summary>Everything that a drive's run makes is gone afterwards, also when it is told to stop in the middle.</summary>
    [Theory]
    [Trait("Category", "Mounted")]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Andrew_on_a_drive_leaves_figures_and_nothing_else(bool interrupted)
    {
        string json = Path.Combine(_root, "a.json");
        var start = new ProcessStartInfo(Path.Combine(ClusterFixture.Project, "bfs"),
            ["bench", "andrew", "--copies", "1", "--runs", "1", "--systems", "NO-REP,local", "--json", json])
        { RedirectStandardOutput = true, RedirectStandardError = true };
        // What it makes is made here, so that it can be found.
        start.Environment["TMPDIR"] = _root;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (interrupted)
        {
            ClusterFixture.WaitFor(() => File.ReadAllText("/proc/self/mounts").Contains(_root, StringComparison.Ordinal));
            // Not SIGINT: what a shell starts in the background ignores that, and so does what it starts.
            using Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"]);
            await kill.WaitForExitAsync();
        }
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == (interrupted ? 143 : 0), $"{process.ExitCode} {await output} {await error}");
        Assert.Empty(Directory.GetDirectories(_root));
        Assert.DoesNotContain(_root, File.ReadAllText("/proc/self/mounts"), StringComparison.Ordinal);
        Assert.Empty(Directory.GetDirectories("/dev/shm", $"bfs-bench-*-{process.Id}-*"));
        Assert.DoesNotContain(Directory.GetDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)), d => CommandLine(d).Contains(_root, StringComparison.Ordinal));
        if (!interrupted)
        {
            JsonElement[] figures = [.. JsonDocument.Parse(File.ReadAllText(json)).RootElement.EnumerateArray()];
            Assert.Equal(12, figures.Length);
            double total = figures.Single(f => f.GetProperty("benchmark").GetString() == "andrew-total" && f.GetProperty("system").GetString() == "local").GetProperty("value").GetDouble();
            double phases = AndrewBenchmark.Phases.Sum(p => figures.Single(f => f.GetProperty("benchmark").GetString() == $"andrew-{p}" && f.GetProperty("system").GetString() == "local").GetProperty("value").GetDouble());
            Assert.Equal(total, phases, 6);
        }
    }

    private static string CommandLine(string process)
    {
        try
        {
            return File.ReadAllText(process + "/cmdline");
        }
        catch (IOException)
        {
            return "";
        }
    }
}
