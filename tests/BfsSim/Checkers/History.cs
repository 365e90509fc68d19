namespace BfsSim.Checkers;

/// <summary>An operation as its client saw it. Moments are places in one order of all invocations and responses.</summary>
public sealed class HistoryEntry
{
    public required int Client { get; init; }
    public required byte[] Operation { get; init; }
    public required long Invoked { get; init; }

    /// <summary>Null while the operation is outstanding.</summary>
    public byte[]? Result { get; set; }
    public long Returned { get; set; } = long.MaxValue;
}

/// <summary>Everything that clients asked and were answered.</summary>
public sealed class History
{
    private long _moment;

    public List<HistoryEntry> Entries { get; } = [];

    public HistoryEntry Invoke(int client, byte[] operation)
    {
        var entry = new HistoryEntry { Client = client, Operation = operation, Invoked = _moment++ };
        Entries.Add(entry);
        return entry;
    }

    public void Return(HistoryEntry entry, ReadOnlySpan<byte> result)
    {
        SimulationException.Require(entry.Result is null, "an operation completed twice");
        entry.Result = result.ToArray();
        entry.Returned = _moment++;
    }
}
