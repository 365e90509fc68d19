namespace BfsSim;

/// <summary>How often what happened in one run or in many, by name.</summary>
public sealed class Tally
{
    private readonly SortedDictionary<string, long> _counts = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, long> Counts => _counts;

    public long this[string name] => _counts.GetValueOrDefault(name);

    public void Add(string name, long count = 1)
    {
        if (count != 0)
        {
            _counts[name] = this[name] + count;
        }
    }

    public void Add(Tally other)
    {
        foreach ((string name, long count) in other._counts)
        {
            Add(name, count);
        }
    }
}
