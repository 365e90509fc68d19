using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsSim.Checkers;

/// <summary>An operation as replicas executed it.</summary>
public readonly record struct WitnessedOperation(ClientId Client, long TimeNanos, byte[] Operation);

/// <summary>
/// The order in which replicas executed operations, of batches that committed. Agreed time grows with every batch, so it
/// names the batch, whichever replica executed it and however often.
/// </summary>
public sealed class WitnessLog
{
    private readonly SortedDictionary<long, List<WitnessedOperation>> _batches = [];

    /// <summary>A correct replica knows that a batch it executed has committed.</summary>
    public void Add(int replica, List<WitnessedOperation> batch)
    {
        long time = batch[0].TimeNanos;
        if (!_batches.TryAdd(time, batch))
        {
            SimulationException.Require(Same(_batches[time], batch), $"replica {replica} executed other operations at time {time}");
        }
    }

    /// <summary>What correct replicas executed, in order. Every batch counts once; all that executed it did the same.</summary>
    public List<WitnessedOperation> Order => [.. _batches.Values.SelectMany(batch => batch)];

    private static bool Same(List<WitnessedOperation> a, List<WitnessedOperation> b)
    {
        bool same = a.Count == b.Count;
        for (int i = 0; same && i < a.Count; i++)
        {
            same = a[i].Client == b[i].Client && a[i].Operation.AsSpan().SequenceEqual(b[i].Operation);
        }
        return same;
    }
}

/// <summary>A service whose ordered executions are written down.</summary>
public sealed class WitnessedService(IService inner, WitnessLog log, int replica) : IService
{
    private List<WitnessedOperation> _batch = [];

    public void Open(StateRegion state) => inner.Open(state);

    /// <summary>What was executed last is undone, or has been followed by what was fetched.</summary>
    public void StateReplaced()
    {
        _batch = [];
        inner.StateReplaced();
    }

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => inner.IsReadOnly(operation);

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        if (!context.ReadOnly)
        {
            if (_batch.Count == 0 || _batch[0].TimeNanos != context.TimeNanos)
            {
                _batch = [];
            }
            _batch.Add(new WitnessedOperation(context.Client, context.TimeNanos, operation.ToArray()));
        }
        return inner.Execute(context, operation, result);
    }

    /// <summary>What was executed last has committed.</summary>
    public void Commit()
    {
        if (_batch.Count > 0)
        {
            log.Add(replica, _batch);
        }
    }
}
