using System.Diagnostics;
using System.Runtime.InteropServices;

namespace BfsCore.Hosting;

/// <summary>What is driven by the loop's time: an engine and its transport.</summary>
public interface ILoopClient
{
    /// <summary>Called before the inputs of a wake-up are read, and again after them.</summary>
    void Tick(Instant now);

    /// <summary>When <see cref="Tick"/> is wanted at the latest, monotonic microseconds.</summary>
    long NextDeadlineMicros { get; }

    /// <summary>Whether input is due at any moment, because something is under way that others take part in.</summary>
    bool ExpectsInput { get; }

    /// <summary>The last thing in a wake-up: whatever was gathered goes out.</summary>
    void Flush();
}

/// <summary>
/// One thread that waits for descriptors, timers and posted work, and runs everything to completion in turn. In each
/// wake-up: time, all inputs that are there, time again (which ends the batch of inputs, §5.1.4), output.
/// </summary>
public sealed partial class EventLoop : IDisposable
{
    private const short PollIn = 1;
    private const long LongestWaitMicros = 1_000_000;

    /// <summary>
    /// So long after the last input a loop that expects more gives the processor to others instead of sleeping. To sleep and to be
    /// woken costs both sides more than most messages do, above all where processors are virtual.
    /// </summary>
    private const long PatienceMicros = 100;

    /// <summary>
    /// A loop that slept so long has patience only when it has gone on for <see cref="WarmUpMicros"/> since. An operation that comes alone is
    /// done sooner without: the patient keep processors from processes that were woken to do their part, as sched_yield gives way only to
    /// those to which the scheduler owes time.
    /// </summary>
    private const long RestMicros = 500;

    private const long WarmUpMicros = 1000;

    /// <summary>A whole number: the clock counts nanoseconds.</summary>
    private static readonly long TicksPerMicro = Stopwatch.Frequency / 1_000_000;

    private readonly int _wake;
    private readonly List<Action> _readers = [];
    private readonly List<ILoopClient> _clients = [];
    private readonly PriorityQueue<Action, long> _timers = new();
    private readonly Lock _lock = new();
    private readonly long _startTicks = Stopwatch.GetTimestamp();
    private List<Action> _posted = [];
    private List<Action> _running = [];
    private readonly Queue<Action> _deferred = new();
    private PollFd[] _polled = [];
    private bool _hadInput;
    private long _goingOnSince;
    private volatile bool _stopped;

    public EventLoop()
    {
        _wake = Check(EventFd(0, 0x80800), "eventfd");
        AddReader(_wake, DrainWake);
    }

    /// <summary>The time now.</summary>
    public Instant Now => new(Micros, (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100);

    /// <summary>The monotonic half of it, which alone costs half as much.</summary>
    private long Micros => (Stopwatch.GetTimestamp() - _startTicks) / TicksPerMicro;

    /// <summary>Calls <paramref name="onReadable"/> whenever the descriptor has input; it is to read all there is, up to a bound.</summary>
    public void AddReader(int fd, Action onReadable)
    {
        _polled = [.. _polled, new PollFd { Fd = fd, Events = PollIn }];
        _readers.Add(onReadable);
    }

    /// <summary>Not to be called from within a reader's action.</summary>
    public void RemoveReader(int fd)
    {
        int at = Array.FindIndex(_polled, p => p.Fd == fd);
        if (at >= 0)
        {
            _polled = [.. _polled[..at], .. _polled[(at + 1)..]];
            _readers.RemoveAt(at);
        }
    }

    public void AddClient(ILoopClient client) => _clients.Add(client);

    public void RemoveClient(ILoopClient client) => _clients.Remove(client);

    /// <summary>Runs an action once after a time, on the loop's thread.</summary>
    public void AddTimer(TimeSpan after, Action action) =>
        _timers.Enqueue(action, Micros + (after.Ticks / 10));

    /// <summary>Runs an action in the present wake-up, after its inputs were handled; only from the loop's own thread.</summary>
    public void Defer(Action action) => _deferred.Enqueue(action);

    /// <summary>Runs an action on the loop's thread, from any thread.</summary>
    public void Post(Action action)
    {
        lock (_lock)
        {
            _posted.Add(action);
        }
        Wake();
    }

    /// <summary>Ends <see cref="Run"/> after the present wake-up; from any thread.</summary>
    public void Stop()
    {
        _stopped = true;
        Wake();
    }

    /// <summary>Runs until <see cref="Stop"/>.</summary>
    public void Run()
    {
        while (!_stopped)
        {
            RunOnce();
        }
    }

    /// <summary>One wake-up: waits for something to happen and handles it.</summary>
    public void RunOnce()
    {
        int count = Wait();
        TickAll();
        for (int i = 0; i < _polled.Length && count > 0; i++)
        {
            if (_polled[i].Returned != 0)
            {
                _polled[i].Returned = 0;
                count--;
                _readers[i]();
            }
        }
        RunPosted();
        RunTimers();
        while (_deferred.TryDequeue(out Action? action))
        {
            action();
        }
        TickAll();
        foreach (ILoopClient client in _clients)
        {
            client.Flush();
        }
    }

    private int Wait()
    {
        int count = _hadInput && ExpectsInput() ? WaitAwake() : 0;
        if (count == 0)
        {
            long asleep = Micros;
            count = Poll(Math.Max(0, DeadlineMicros(asleep) - asleep));
            long awake = Micros;
            _goingOnSince = awake - asleep >= RestMicros ? awake : _goingOnSince;
        }
        _hadInput = count > 0;
        return count;
    }

    private int WaitAwake()
    {
        long now = Micros;
        if (now - _goingOnSince < WarmUpMicros)
        {
            return 0;
        }
        long until = Math.Min(now + PatienceMicros, DeadlineMicros(now));
        int count;
        do
        {
            _ = SchedYield();
            count = Poll(0);
        }
        while (count == 0 && Micros < until);
        return count;
    }

    private bool ExpectsInput()
    {
        foreach (ILoopClient client in _clients)
        {
            if (client.ExpectsInput)
            {
                return true;
            }
        }
        return false;
    }

    private unsafe int Poll(long waitMicros)
    {
        var timeout = new TimeSpec { Seconds = (nint)(waitMicros / 1_000_000), Nanos = (nint)(waitMicros % 1_000_000 * 1000) };
        fixed (PollFd* polled = _polled)
        {
            return PPoll(polled, (nuint)_polled.Length, &timeout, null);
        }
    }

    private void TickAll()
    {
        Instant now = Now;
        foreach (ILoopClient client in _clients)
        {
            client.Tick(now);
        }
    }

    private long DeadlineMicros(long now)
    {
        long deadline = now + LongestWaitMicros;
        foreach (ILoopClient client in _clients)
        {
            deadline = Math.Min(deadline, client.NextDeadlineMicros);
        }
        if (_timers.TryPeek(out _, out long timer))
        {
            deadline = Math.Min(deadline, timer);
        }
        return deadline;
    }

    private void RunTimers()
    {
        while (_timers.TryPeek(out Action? action, out long due) && due <= Micros)
        {
            _timers.Dequeue();
            action();
        }
    }

    private void RunPosted()
    {
        lock (_lock)
        {
            (_posted, _running) = (_running, _posted);
        }
        foreach (Action action in _running)
        {
            action();
        }
        _running.Clear();
    }

    private unsafe void Wake()
    {
        ulong one = 1;
        _ = Write(_wake, &one, sizeof(ulong));
    }

    private unsafe void DrainWake()
    {
        ulong value;
        _ = Read(_wake, &value, sizeof(ulong));
    }

    public void Dispose() => _ = Close(_wake);

    private static int Check(int result, string call) =>
        result >= 0 ? result : throw new IOException($"{call}: {Marshal.GetLastPInvokeErrorMessage()}");

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds;
        public nint Nanos;
    }

    [LibraryImport("libc", EntryPoint = "ppoll", SetLastError = true)]
    private static unsafe partial int PPoll(PollFd* fds, nuint count, TimeSpec* timeout, void* signals);

    [LibraryImport("libc", EntryPoint = "sched_yield")]
    private static partial int SchedYield();

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static unsafe partial nint Read(int fd, void* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static unsafe partial nint Write(int fd, void* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int fd);
}

/// <summary>The operating system's randomness.</summary>
public sealed class SystemEntropy : IEntropy
{
    public void Fill(Span<byte> bytes) => System.Security.Cryptography.RandomNumberGenerator.Fill(bytes);
}
