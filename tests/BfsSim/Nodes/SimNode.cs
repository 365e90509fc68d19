using BfsCore;
using BfsSim.Network;

namespace BfsSim.Nodes;

/// <summary>
/// A process: an inbox, a clock of its own, and an event loop as in a real process, which handles what has arrived and
/// then lets time pass.
/// </summary>
public abstract class SimNode
{
    private const int LongestWakeUpMicros = 60;
    public const long WallStartNanos = 1_700_000_000_000_000_000;

    private readonly EventQueue _events;
    private readonly SimRandom _random;
    private readonly Queue<(int From, byte[] Message)> _inbox = new();
    private readonly long _monotonicStart;
    private readonly long _wallSkewNanos;
    private bool _wakeUpScheduled;
    private long _timerMicros = long.MaxValue;

    protected SimNode(int address, EventQueue events, SimRandom random, int clockSkewMillis)
    {
        (Address, _events, _random) = (address, events, random);
        _monotonicStart = random.Below(1L << 40);
        _wallSkewNanos = (random.Below((2L * clockSkewMillis) + 1) - clockSkewMillis) * 1_000_000;
    }

    public int Address { get; }

    /// <summary>Stopped: neither hears nor says anything.</summary>
    public bool Crashed { get; private set; }

    protected Instant Now =>
        new(_monotonicStart + _events.NowMicros, WallStartNanos + _wallSkewNanos + (_events.NowMicros * 1000));

    protected abstract void Step(byte[] message, SourceAddress source);

    protected abstract void Tick(Instant now);

    protected abstract long NextDeadlineMicros { get; }

    public void Crash()
    {
        Crashed = true;
        _inbox.Clear();
    }

    /// <summary>Runs again; what it knows is for the caller to restore.</summary>
    protected void Revive()
    {
        Crashed = false;
        _timerMicros = long.MaxValue;
    }

    public void Deliver(int from, byte[] message)
    {
        if (!Crashed)
        {
            _inbox.Enqueue((from, message));
            WakeUpSoon();
        }
    }

    /// <summary>Lets the event loop run once more, because something else than a message happened.</summary>
    public void WakeUpSoon()
    {
        if (!_wakeUpScheduled)
        {
            _wakeUpScheduled = true;
            _events.After(_random.Below(LongestWakeUpMicros), WakeUp);
        }
    }

    private void WakeUp()
    {
        _wakeUpScheduled = false;
        if (Crashed)
        {
            return;
        }
        while (_inbox.TryDequeue(out (int From, byte[] Message) next))
        {
            Step(next.Message, NodePort.AddressOf(next.From));
        }
        Tick(Now);
        ScheduleTimer();
    }

    private void ScheduleTimer()
    {
        long deadline = NextDeadlineMicros;
        if (deadline == long.MaxValue)
        {
            _timerMicros = long.MaxValue;
            return;
        }
        // A deadline that has passed already is for the next round of the loop.
        long at = Math.Max(deadline - _monotonicStart, _events.NowMicros + 1);
        if (at != _timerMicros)
        {
            _timerMicros = at;
            _events.After(at - _events.NowMicros, () => OnTimer(at));
        }
    }

    private void OnTimer(long at)
    {
        if (at == _timerMicros)
        {
            _timerMicros = long.MaxValue;
            WakeUpSoon();
        }
    }
}
