using BfsCore;

namespace BfsSim.Nodes;

/// <summary>A vote log that outlives its replica, as a file outlives a process.</summary>
public sealed class MemoryVoteLog : IVoteLog
{
    private List<byte[]> _valid = [];
    private List<byte[]>? _begun;
    private bool _both;
    private byte[] _reserved = [];

    public long Bytes { get; private set; }

    public Span<byte> Reserve(int bytes) => _reserved = new byte[bytes];

    public void Append()
    {
        _begun?.Add(_reserved);
        if (_begun is null || _both)
        {
            _valid.Add(_reserved);
        }
        Bytes += _reserved.Length;
    }

    public void Begin() => (_begun, Bytes) = ([], 0);

    public void KeepBoth()
    {
        _both = true;
        Count();
    }

    public void Switch()
    {
        (_valid, _begun, _both) = (_begun!, null, false);
        Count();
    }

    public void Abandon()
    {
        (_begun, _both) = (null, false);
        Count();
    }

    /// <summary>What a process would find that starts now.</summary>
    public MemoryVoteLog Copy() => new() { _valid = [.. _valid], Bytes = _valid.Sum(r => (long)r.Length) };

    private void Count() => Bytes = _valid.Sum(r => (long)r.Length);

    public void Read(LogRecordHandler handler)
    {
        foreach (byte[] record in _valid)
        {
            handler(record);
        }
    }
}
