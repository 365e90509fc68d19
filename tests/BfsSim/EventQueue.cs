namespace BfsSim;

/// <summary>Something that happens at a moment of virtual time.</summary>
/// <param name="Message">For a delivery the message; otherwise null.</param>
/// <param name="Action">What to do when it is no delivery.</param>
public readonly record struct SimEvent(int From, int To, byte[]? Message, Action? Action);

/// <summary>Virtual time: events in order of their time, those of one moment in the order they were made.</summary>
public sealed class EventQueue
{
    private readonly PriorityQueue<SimEvent, (long Time, long Order)> _queue = new();
    private long _order;

    /// <summary>Microseconds since the start.</summary>
    public long NowMicros { get; private set; }

    /// <summary>How many events have happened.</summary>
    public long Happened { get; private set; }

    public void Deliver(long delayMicros, int from, int to, byte[] message) =>
        _queue.Enqueue(new SimEvent(from, to, message, null), (NowMicros + delayMicros, _order++));

    /// <summary>Does something after a delay.</summary>
    public void After(long delayMicros, Action action) =>
        _queue.Enqueue(new SimEvent(0, 0, null, action), (NowMicros + Math.Max(delayMicros, 0), _order++));

    /// <summary>The next event, if there is one before <paramref name="endMicros"/>; time moves to it, or to the end.</summary>
    public bool TryNext(long endMicros, out SimEvent next)
    {
        if (_queue.TryPeek(out next, out (long Time, long Order) priority) && priority.Time < endMicros)
        {
            _queue.Dequeue();
            NowMicros = priority.Time;
            Happened++;
            return true;
        }
        NowMicros = endMicros;
        return false;
    }
}
