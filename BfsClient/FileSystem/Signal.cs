using System.Threading.Tasks.Sources;

namespace BfsClient.FileSystem;

/// <summary>Something to wait for on the loop's thread. Pooled; who waits continues inside <see cref="Set"/>.</summary>
internal sealed class Signal : IValueTaskSource
{
    [ThreadStatic]
    private static Stack<Signal>? s_pool;

    private ManualResetValueTaskSourceCore<bool> _source;

    public static Signal Rent() => (s_pool ??= new Stack<Signal>()).TryPop(out Signal? signal) ? signal : new Signal();

    /// <summary>To be awaited exactly once.</summary>
    public ValueTask Task => new(this, _source.Version);

    public void Set() => _source.SetResult(true);

    public void GetResult(short token)
    {
        _source.GetResult(token);
        _source.Reset();
        (s_pool ??= new Stack<Signal>()).Push(this);
    }

    public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token,
        ValueTaskSourceOnCompletedFlags flags) => _source.OnCompleted(continuation, state, token, flags);
}
