namespace BfsBench;

/// <summary>A directory in memory: what the programs themselves cost.</summary>
internal sealed class LocalDirectory : IFileSystemUnderTest
{
    private Scratch? _scratch;

    public string Name => SystemNames.Local;

    public string? WhyNot() => null;

    public string Start()
    {
        _scratch = new Scratch("local", inMemory: true);
        return _scratch.Path;
    }

    public void Report(Results results)
    {
    }

    public void Dispose() => _scratch?.Dispose();
}
