using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsSim.Services;

/// <summary>
/// A service that looks at the time of what it executes: one that no correct clock allows was accepted from a liar (§5.4).
/// </summary>
/// <param name="latestNanos">Where the clock of a correct replica may be at most, with the skew that backups tolerate.</param>
public sealed class TimedService(IService inner, Func<long> latestNanos) : IService
{
    public void Open(StateRegion state) => inner.Open(state);

    public void StateReplaced() => inner.StateReplaced();

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => inner.IsReadOnly(operation);

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        SimulationException.Require(context.TimeNanos <= latestNanos(),
            $"an operation is executed at {context.TimeNanos} ns, later than any correct clock allows");
        return inner.Execute(context, operation, result);
    }
}
