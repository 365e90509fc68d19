using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsSim.Checkers;

/// <summary>An operation as replicas executed it.</summary>
public readonly record struct WitnessedOperation(ClientId Client, long TimeNanos, byte[] Operation);

/// <summary>
/// The order in which replicas executed operations. Agreed time grows with every batch, so it names the batch, whichever
/// replica executed it and however often.
/// </summary>
public sealed class WitnessLog
{
    private readonly SortedDictionary<(long TimeNanos, int Replica), List<WitnessedOperation>> _batches = [];

    /// <summary>A replica begins a batch, perhaps again after a rollback.</summary>
    public List<WitnessedOperation> Begin(long timeNanos, int replica) => _batches[(timeNanos, replica)] = [];

    /// <summary>What correct replicas executed, in order. Every batch counts once; all that executed it did the same.</summary>
    public List<WitnessedOperation> Order(AgreementChecker agreement)
    {
        var order = new List<WitnessedOperation>();
        List<WitnessedOperation>? previous = null;
        long previousTime = long.MinValue;
        foreach (((long time, int replica), List<WitnessedOperation> batch) in _batches)
        {
            if (agreement.IsFaulty(new ReplicaId(replica)))
            {
                continue;
            }
            if (time == previousTime)
            {
                SimulationException.Require(Same(previous!, batch), $"replica {replica} executed other operations at time {time}");
                continue;
            }
            order.AddRange(batch);
            (previous, previousTime) = (batch, time);
        }
        return order;
    }

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
    private long _timeNanos = long.MinValue;
    private List<WitnessedOperation> _batch = [];

    public void Open(StateRegion state) => inner.Open(state);

    public void StateReplaced()
    {
        _timeNanos = long.MinValue;
        inner.StateReplaced();
    }

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => inner.IsReadOnly(operation);

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        if (!context.ReadOnly)
        {
            if (context.TimeNanos != _timeNanos)
            {
                _timeNanos = context.TimeNanos;
                _batch = log.Begin(_timeNanos, replica);
            }
            _batch.Add(new WitnessedOperation(context.Client, context.TimeNanos, operation.ToArray()));
        }
        return inner.Execute(context, operation, result);
    }
}
