using System.Text.Json;
using Spectre.Console;

namespace BfsSim;

/// <summary>What many runs were like together. Used by several threads.</summary>
public sealed class RunTotals(string? profile)
{
    private readonly Lock _lock = new();
    private readonly Tally _times = new();
    private readonly Tally _runs = new();
    private readonly SortedDictionary<long, string> _failures = [];
    private readonly DateTime _start = DateTime.UtcNow;
    private long _seeds;

    public long Seeds => Interlocked.Read(ref _seeds);

    /// <summary>Seeds that violated something, and what.</summary>
    public IReadOnlyDictionary<long, string> Failures => _failures;

    public long Operations
    {
        get
        {
            lock (_lock)
            {
                return _times[SimResult.OperationsName];
            }
        }
    }

    /// <summary>Runs a seed and adds what came of it.</summary>
    /// <returns>What it violated, or null.</returns>
    public string? Run(long seed)
    {
        (SimResult? result, string? failure) = Try(seed);
        lock (_lock)
        {
            Interlocked.Increment(ref _seeds);
            if (failure is not null)
            {
                _failures[seed] = failure;
            }
            if (result is not null)
            {
                _times.Add(result.Tally);
                foreach (string name in result.Tally.Counts.Keys)
                {
                    _runs.Add(name);
                }
            }
        }
        return failure;
    }

    /// <summary>The command that repeats a seed.</summary>
    public static string CommandFor(long seed, string? profile = null) =>
        $"dotnet run --project tests/BfsSim -c Release -- seed {seed}{(profile is null ? "" : $" --profile {profile}")}";

    public void WriteTable(TextWriter output)
    {
        lock (_lock)
        {
            var table = new Table().Border(TableBorder.Rounded).AddColumn("what");
            table.AddColumn(new TableColumn("in runs").RightAligned()).AddColumn(new TableColumn("times").RightAligned());
            foreach ((string name, long times) in _times.Counts)
            {
                table.AddRow(Markup.Escape(name), $"{_runs[name]:N0}", $"{times:N0}");
            }
            IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
            console.Write(table);
            output.WriteLine($"{_seeds:N0} seeds in {(DateTime.UtcNow - _start).TotalSeconds:N0} s, "
                + $"{_times[SimResult.OperationsName]:N0} operations, {_failures.Count} failed");
            foreach ((long seed, string failure) in _failures)
            {
                output.WriteLine($"  {CommandFor(seed)}    {failure}");
            }
        }
    }

    /// <summary>The same as JSON: seeds, operations, failures, and of everything that happened in how many runs and how often.</summary>
    public void WriteJson(string path)
    {
        lock (_lock)
        {
            using FileStream file = File.Create(path);
            using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true });
            json.WriteStartObject();
            json.WriteNumber("seeds", _seeds);
            json.WriteNumber("operations", _times[SimResult.OperationsName]);
            json.WriteNumber("seconds", (long)(DateTime.UtcNow - _start).TotalSeconds);
            json.WriteStartObject("failures");
            foreach ((long seed, string failure) in _failures)
            {
                json.WriteString($"{seed}", failure);
            }
            json.WriteEndObject();
            json.WriteStartObject("counts");
            foreach ((string name, long times) in _times.Counts)
            {
                json.WriteStartObject(name);
                json.WriteNumber("runs", _runs[name]);
                json.WriteNumber("times", times);
                json.WriteEndObject();
            }
            json.WriteEndObject();
            json.WriteEndObject();
        }
    }

    /// <summary>Runs a seed: what it was like, or what it violated.</summary>
    private (SimResult? Result, string? Failure) Try(long seed)
    {
        try
        {
            using var simulation = new Simulation(seed, adjust: profile is null ? null : SimProfiles.All[profile]);
            return (simulation.Run(), null);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return (null, e is SimulationException ? e.Message : $"{e.GetType().Name}: {e.Message}");
        }
    }
}
