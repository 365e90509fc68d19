using BfsCore.State;

namespace BfsCore;

/// <summary>What an execution may depend on besides the state and the operation: agreed choices only (§5.4, §6.2).</summary>
/// <param name="Client">Who asked; authenticated.</param>
/// <param name="TimeNanos">
/// Agreed time in nanoseconds since 1970: greater than at every earlier batch. In a read-only execution the time of the
/// last executed batch.
/// </param>
/// <param name="ReadOnly">The state must not change: <see cref="StateRegion.Modify(long, int)"/> asserts.</param>
/// <param name="ResultPages">
/// Where the service may say which parts of its result are whole pages instead of copying them; null when nobody asks.
/// </param>
public readonly record struct ExecutionContext(ClientId Client, long TimeNanos, bool ReadOnly, ResultPages? ResultPages = null);

/// <summary>
/// A deterministic service to replicate (§6.2). Everything that must survive is kept in the <see cref="StateRegion"/>;
/// anything kept outside is a cache that the service can rebuild, and is dropped when <see cref="StateReplaced"/> is called.
/// </summary>
public interface IService
{
    /// <summary>
    /// Called once before anything else. A blank region (all zero bytes) is to be formatted here; the same bytes on every
    /// replica.
    /// </summary>
    void Open(StateRegion state);

    /// <summary>Called after a rollback or a state transfer changed the region under the service: drop every cache.</summary>
    void StateReplaced();

    /// <summary>
    /// Whether the operation cannot change the state (§5.1.3). It looks at the bytes alone and takes any bytes, since a
    /// faulty client may flag a write as read-only.
    /// </summary>
    bool IsReadOnly(ReadOnlySpan<byte> operation);

    /// <summary>
    /// Executes one operation and writes its result into <paramref name="result"/> (<see cref="Limits.MaxResultBytes"/>
    /// long). Any bytes are a valid input: what is not understood gets an error as its result.
    /// </summary>
    /// <returns>The length of the result in bytes.</returns>
    int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result);
}
