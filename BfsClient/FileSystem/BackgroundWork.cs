using System.Runtime.CompilerServices;

namespace BfsClient.FileSystem;

/// <summary>
/// Runs what nobody waits for, and counts it. An exception is a bug of ours: it comes out of whatever completed the work,
/// and so out of the event loop.
/// </summary>
internal sealed class BackgroundWork
{
    private readonly Stack<Watcher> _pool = new();

    /// <summary>How much is under way.</summary>
    public int Count { get; private set; }

    public void Start(ValueTask task)
    {
        ValueTaskAwaiter awaiter = task.GetAwaiter();
        if (awaiter.IsCompleted)
        {
            awaiter.GetResult();
            return;
        }
        Count++;
        if (!_pool.TryPop(out Watcher? watcher))
        {
            watcher = new Watcher(this);
        }
        watcher.Watch(awaiter);
    }

    private sealed class Watcher
    {
        private readonly BackgroundWork _owner;
        private readonly Action _done;
        private ValueTaskAwaiter _awaiter;

        public Watcher(BackgroundWork owner)
        {
            _owner = owner;
            _done = Done;
        }

        public void Watch(ValueTaskAwaiter awaiter)
        {
            _awaiter = awaiter;
            awaiter.UnsafeOnCompleted(_done);
        }

        private void Done()
        {
            ValueTaskAwaiter awaiter = _awaiter;
            _awaiter = default;
            _owner.Count--;
            _owner._pool.Push(this);
            awaiter.GetResult();
        }
    }
}
