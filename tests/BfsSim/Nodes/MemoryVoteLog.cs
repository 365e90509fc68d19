using BfsCore;

namespace BfsSim.Nodes;

/// <summary>A vote log that outlives its replica, as a file outlives a process.</summary>
public sealed class MemoryVoteLog : IVoteLog
{
    private List<byte[]> _valid = [];
    private List<byte[]>? _begun;
    private byte[] _reserved = [];

    public long Bytes { get; private set; }

    public Span<byte> Reserve(int bytes) => _reserved = new byte[bytes];

    public void Append()
    {
        (_begun ?? _valid).Add(_reserved);
        Bytes += _reserved.Length;
    }

    public void Begin() => (_begun, Bytes) = ([], 0);

    public void Switch() => (_valid, _begun) = (_begun!, null);

    public void Abandon() => (_begun, Bytes) = (null, _valid.Sum(r => (long)r.Length));

    /// <summary>What a process would find that starts now.</summary>
    public MemoryVoteLog Copy() => new() { _valid = [.. _valid], Bytes = _valid.Sum(r => (long)r.Length) };

    public void Read(LogRecordHandler handler)
    {
        foreach (byte[] record in _valid)
        {
            handler(record);
        }
    }
}
