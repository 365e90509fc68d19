using BfsCore;
using BfsCore.State;
using BfsReplica.Snfsd;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsBench;

/// <summary>
/// The file service on memory in this process, asked as the relay asks it, with a checkpoint after as many batches as a
/// replica takes one: what an operation costs a server besides the protocol.
/// </summary>
internal sealed class LocalVolume : FileCaller, IDisposable
{
    /// <summary>K (§2.3.4); one operation in a batch, which is the worst case.</summary>
    private const int CheckpointPeriod = 128;

    private readonly PagedState _pages;
    private readonly FileService _service;
    private long _number;

    public LocalVolume(long sizeBytes)
    {
        _pages = new PagedState(sizeBytes);
        var client = new ClientInfo(new ClientId(Limits.FirstClientId), "client", new byte[65], RootSquash: false, []);
        _service = new FileService(new ClusterConfig { Replicas = [], Clients = [client] });
        _service.Open(_pages.Window(0, sizeBytes));
        _pages.AmendFirstCheckpoint();
    }

    protected override int Execute(ReadOnlySpan<byte> operation, Span<byte> result, bool readOnly)
    {
        _number += readOnly ? 0 : 1;
        _pages.ReadOnlyGuard = readOnly;
        int written = _service.Execute(new ExecutionContext(new ClientId(Limits.FirstClientId), _number, readOnly), operation, result);
        _pages.ReadOnlyGuard = false;
        if (!readOnly && _number % CheckpointPeriod == 0)
        {
            _pages.TakeCheckpoint(new SeqNum(_number));
            _pages.DiscardBefore(new SeqNum(_number));
        }
        return written;
    }

    public void Dispose() => _pages.Dispose();
}
