using BfsClient.FileSystem;
using BfsCore.FileProtocol;
using BfsCore.Hosting;

namespace BfsTests.Fuse;

/// <summary>
/// A remote file system over a drive in memory, or over the service that the test gives, driven by the test on its own thread.
/// </summary>
internal sealed class FileSystemFixture : IDisposable
{
    public static readonly Caller Root = new(0, 0);

    private readonly SynchronizationContext? _context = SynchronizationContext.Current;

    public FileSystemFixture(bool strict = false, int slots = 64, long attributeMicros = 1_000_000, long timeoutMicros = 0,
        Executor? service = null, Func<long>? clock = null, bool timers = true)
    {
        // As on a relay's thread: continuations run where the operation completes.
        SynchronizationContext.SetSynchronizationContext(null);
        Invoker = new TestInvoker(Loop, service ?? Drive.Execute, slots, turns: 2, timeoutMicros);
        Files = new RemoteFileSystem(Invoker, new FileSystemOptions(attributeMicros, strict, Root),
            clock ?? (() => Loop.Now.MonotonicMicros), (time, action) =>
            {
                TimersAsked.Add(time);
                if (timers)
                {
                    Loop.AddTimer(time, action);
                }
            });
    }

    public EventLoop Loop { get; } = new();

    /// <summary>After what times the file system wanted to be called, in the order in which it asked.</summary>
    public List<TimeSpan> TimersAsked { get; } = [];

    public MemoryDrive Drive { get; } = new();
    public TestInvoker Invoker { get; }
    public RemoteFileSystem Files { get; }

    /// <summary>Runs the loop until the call has its result.</summary>
    public T Wait<T>(ValueTask<T> pending) => Wait(pending.AsTask());

    public T Wait<T>(Task<T> task)
    {
        while (!task.IsCompleted)
        {
            Loop.RunOnce();
        }
        return task.GetAwaiter().GetResult();
    }

    public OpenFile Create(string name, OpenMode mode = OpenMode.ReadWrite)
    {
        // As on a relay's thread: continuations run where the operation completes.
        SynchronizationContext.SetSynchronizationContext(null);
        Outcome<OpenFile> outcome = Wait(Files.CreateAsync(Root, FileHandle.Root, System.Text.Encoding.UTF8.GetBytes(name), 0x1A4, mode));
        Assert.Equal(Errno.Ok, outcome.Error);
        return outcome.Value;
    }

    public void Dispose()
    {
        Loop.Dispose();
        SynchronizationContext.SetSynchronizationContext(_context);
    }
}
