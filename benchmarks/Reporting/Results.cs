using System.Text.Json;
using System.Text.Json.Serialization;

namespace BfsBench;

/// <summary>One figure, as the JSON file has it.</summary>
/// <param name="System">Which system it is of; <see cref="SystemNames"/>.</param>
/// <param name="Value">The median over the runs of one invocation.</param>
/// <param name="OverNoRep">Over NO-REP's median of the same invocation; null when there is none, and for percents.</param>
internal sealed record Figure(string Benchmark, string System, double Value, string Unit, int Runs, double Min, double Max,
    double? OverNoRep);

/// <summary>Collects runs of interleaved systems and turns them into figures.</summary>
internal sealed class Results
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.Strict,
    };

    private readonly Dictionary<(string Benchmark, string System), (string Unit, List<double> Values)> _runs = [];
    private readonly List<(string Benchmark, string System)> _order = [];
    private readonly List<string> _notes = [];

    /// <summary>What somebody who looks at the figures has to know: sizes, and what was left out and why.</summary>
    public IReadOnlyList<string> Notes => _notes;

    public void Add(string benchmark, string system, string unit, double value)
    {
        if (!double.IsFinite(value))
        {
            throw new InvalidOperationException($"{benchmark} of {system} is no number");
        }
        if (!_runs.TryGetValue((benchmark, system), out (string Unit, List<double> Values) run))
        {
            run = (unit, []);
            _runs.Add((benchmark, system), run);
            _order.Add((benchmark, system));
        }
        run.Values.Add(value);
    }

    public void Note(string text)
    {
        if (!_notes.Contains(text))
        {
            _notes.Add(text);
        }
    }

    /// <summary>Something did not do what it should: the figures lack it, and the whole run counts as failed.</summary>
    public void Failed(string text)
    {
        AnyFailure = true;
        Note(text);
        Output.Warn(text);
    }

    public bool AnyFailure { get; private set; }

    public IReadOnlyList<Figure> Figures() =>
        [.. _order.Select(key =>
        {
            (string unit, List<double> values) = _runs[key];
            double median = Statistics.Median(values);
            double noRep = unit != "%" && _runs.TryGetValue((key.Benchmark, SystemNames.NoRep), out (string Unit, List<double> Values) run)
                ? Statistics.Median(run.Values) : 0;
            return new Figure(key.Benchmark, key.System, median, unit, values.Count, values.Min(), values.Max(),
                noRep == 0 ? null : median / noRep);
        })];

    public RunFigures ToRun(string name) => new(name, Figures());

    /// <summary>The figures as a JSON array.</summary>
    public string ToJson() => JsonSerializer.Serialize(Figures(), Json) + "\n";

    /// <summary>The figures that a file has, as <see cref="ToJson"/> makes them.</summary>
    /// <exception cref="BenchException">There is no such file, or it has something else.</exception>
    public static IReadOnlyList<Figure> Read(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            return JsonSerializer.Deserialize<Figure[]>(file, Json) is { } figures && figures.All(f => f is { Benchmark: not null, System: not null, Unit: not null })
                ? figures
                : throw new BenchException($"{path} has no figures: it must be what --json FILE wrote") { ExitCode = 2 };
        }
        catch (JsonException e)
        {
            throw new BenchException($"{path} has no figures: it must be what --json FILE wrote ({e.Message})", e) { ExitCode = 2 };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BenchException($"cannot read {path}: {e.Message}", e) { ExitCode = 2 };
        }
    }
}
