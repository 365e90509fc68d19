namespace BfsCore.Replication;

/// <summary>A log that keeps nothing: for benchmarks and for tests in which no process ends.</summary>
public sealed class ForgetfulVoteLog : IVoteLog
{
    private byte[] _room = new byte[4096];
    private int _reserved;

    public long Bytes { get; private set; }

    public Span<byte> Reserve(int bytes)
    {
        if (_room.Length < bytes)
        {
            _room = new byte[bytes * 2];
        }
        _reserved = bytes;
        return _room.AsSpan(0, bytes);
    }

    public void Append() => Bytes += _reserved;

    public void Begin() => Bytes = 0;

    public void KeepBoth() { }

    public void Switch() { }

    public void Abandon() { }

    public void Read(LogRecordHandler handler) { }
}
