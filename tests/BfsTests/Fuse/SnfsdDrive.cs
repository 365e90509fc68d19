using BfsCore;
using BfsCore.State;
using BfsReplica.Snfsd;

namespace BfsTests.Fuse;

/// <summary>
/// The real file service in this process: one replica's worth, without the protocol. Two clients may use it from two
/// threads.
/// </summary>
internal sealed class SnfsdDrive : IDisposable
{
    private const int Clients = 2;

    private readonly PagedState _state;
    private readonly FileService _service;
    private readonly Lock _lock = new();
    private long _timeNanos;

    public SnfsdDrive(long sizeBytes = 1L << 30)
    {
        _state = new PagedState(sizeBytes);
        IEnumerable<ClientInfo> clients = Enumerable.Range(0, Clients).Select(i =>
            new ClientInfo(new ClientId(Limits.FirstClientId + i), $"client {i}", default, RootSquash: false, []));
        _service = new FileService(new ClusterConfig { Replicas = [], Clients = [.. clients] });
        _service.Open(_state.Window(0, sizeBytes));
    }

    /// <summary>Executes as one of the clients.</summary>
    public Executor As(int client) => (operation, result) => Execute(client, operation, result);

    public void Dispose() => _state.Dispose();

    private int Execute(int client, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        lock (_lock)
        {
            bool readOnly = _service.IsReadOnly(operation);
            _timeNanos = Math.Max(_timeNanos + 1, (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100);
            _state.ReadOnlyGuard = readOnly;
            ClientId id = new(Limits.FirstClientId + client);
            return _service.Execute(new BfsCore.ExecutionContext(id, _timeNanos, readOnly), operation, result);
        }
    }
}
