using System.Text;
using BfsCore;
using BfsCore.State;
using BfsSim;
using BfsSim.Checkers;
using BfsSim.Nodes;
using BfsSim.Services;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsTests.Simulator;

/// <summary>The example service of docs/library.md.</summary>
public sealed class KeyValueServiceTests : IDisposable
{
    private readonly PagedState _pages = new(8 * PagedState.PageBytes);
    private readonly KeyValueService _service = new();
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];

    public KeyValueServiceTests() => _service.Open(_pages.Window(0, _pages.SizeBytes));

    public void Dispose() => _pages.Dispose();

    private byte[] Execute(byte[] operation) =>
        _result[.._service.Execute(new ExecutionContext(new ClientId(1024), 1, false), operation, _result)];

    private string Execute(char kind, string key, string value = "")
    {
        byte[] result = Execute([(byte)kind, (byte)key.Length, .. Encoding.ASCII.GetBytes(key), .. Encoding.ASCII.GetBytes(value)]);
        return result[0] + Encoding.ASCII.GetString(result.AsSpan(1));
    }

    [Fact]
    public void It_puts_gets_and_appends()
    {
        Assert.Equal("1", Execute('g', "k"));
        Assert.Equal("1", Execute('p', "k", "v"));
        Assert.Equal("0v", Execute('p', "k", "w"));
        Assert.Equal("0wx", Execute('a', "k", "x"));
        Assert.Equal("0wx", Execute('g', "k"));
        Assert.Equal("1new", Execute('a', "other", "new"));
    }

    [Fact]
    public void What_does_not_fit_is_refused_and_changes_nothing()
    {
        Assert.Equal("2", Execute('p', "k", new string('v', KeyValueService.MaxValueBytes + 1)));
        Assert.Equal("1", Execute('g', "k"));
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal("1", Execute('p', $"key{i}", "v"));
        }
        Assert.Equal("2", Execute('p', "one too many", "v"));
        Assert.Equal("0v", Execute('g', "key7"));
    }

    [Fact]
    public void Any_bytes_are_an_operation()
    {
        var random = new SimRandom(5);
        for (int i = 0; i < 20_000; i++)
        {
            var operation = new byte[random.Below(12)];
            random.Fill(operation);
            Assert.NotEmpty(Execute(operation));
        }
    }

    /// <summary>The model that histories are checked against says the same.</summary>
    [Fact]
    public void It_agrees_with_its_model()
    {
        var random = new SimRandom(6);
        SimOptions options = SimOptions.Draw(random) with { Operations = 3000, Keys = 6, LargeValuesPerMille = 300, ReadsPerMille = 300 };
        var workload = new KeyValueWorkload(options, random);
        var model = new KeyValueModel();
        var states = new Dictionary<string, string>();
        while (workload.Remaining > 0)
        {
            byte[] operation = workload.Next().Operation;
            string key = model.ObjectOf(operation);
            (states[key], byte[] expected) = model.Apply(states.GetValueOrDefault(key, model.InitialState), operation);
            Assert.Equal(expected, Execute(operation));
        }
    }

    [Fact]
    public void The_guide_shows_the_code_that_runs()
    {
        string root = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(root, "BfsFs.sln")))
        {
            root = Path.GetDirectoryName(root)!;
        }
        string source = File.ReadAllText(Path.Combine(root, "tests/BfsSim/Services/KeyValueService.cs"));
        string shown = source[source.IndexOf("public sealed class", StringComparison.Ordinal)..];
        Assert.Contains(shown, File.ReadAllText(Path.Combine(root, "docs/library.md")), StringComparison.Ordinal);
    }
}
