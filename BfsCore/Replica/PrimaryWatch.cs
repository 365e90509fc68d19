namespace BfsCore.Replication;

/// <summary>
/// Judges whether a primary is as fast as it could be (pitfall 9: one that delays every batch to just within the timeout).
/// Time is cut into windows. A window's throughput counts against the primary only if requests waited here during most of it;
/// it must reach a share of the best window of the last views, and the share rises while the view lasts. All figures are
/// this replica's own; a wrong judgement costs one view change, and there is at least <see cref="GraceMicros"/> between two.
/// </summary>
public sealed class PrimaryWatch(int n)
{
    /// <summary>Length of a window at least, microseconds.</summary>
    private const long ShortestWindowMicros = 250_000;

    /// <summary>Response times in a window: over a slow network nothing at all comes about in a short one.</summary>
    private const int WindowResponses = 4;

    /// <summary>What a new view is given before it is judged, microseconds.</summary>
    public const long GraceMicros = 5_000_000;

    /// <summary>Windows in which the required share rises from a quarter to a half of the best.</summary>
    private const int RisingWindows = 64;

    /// <summary>Bytes of requests that count as much as one request more.</summary>
    private const int BytesPerUnit = 4096;

    // The best window of each of the last n views, this one's included: when all primaries have become slower, so has
    // the work, and what was possible once is forgotten.
    private readonly long[] _best = new long[n];
    private long _view;
    private long _enteredMicros;
    private long _windowStartMicros;
    private long _lastMicros;
    private long _waitedMicros;
    private long _units;
    private int _judged;
    private bool _waiting;

    /// <summary>How long a window is while requests take so long; what a slow primary can add to it is bounded.</summary>
    public static long WindowMicros(long responseMicros) => Math.Clamp(WindowResponses * responseMicros, ShortestWindowMicros, GraceMicros);

    /// <summary>A request of a batch was executed.</summary>
    public void Executed(int operationBytes) => _units += 1 + (operationBytes / BytesPerUnit);

    public void EnterView(View view, long nowMicros)
    {
        _view = view.Value;
        _enteredMicros = nowMicros;
        _best[_view % n] = 0;
        _judged = 0;
        StartWindow(nowMicros);
    }

    /// <summary>What came about in this window says nothing of the primary: this replica was catching up.</summary>
    public void Disregard(long nowMicros) => StartWindow(nowMicros);

    /// <summary>Time has passed.</summary>
    /// <param name="waiting">Whether requests wait from now on.</param>
    /// <param name="othersLeft">Whether another replica has left this view: then half of the best is required at once.</param>
    /// <param name="responseMicros">How long a request takes, usually.</param>
    /// <returns>True when the primary was too slow in the window that has ended.</returns>
    public bool IsTooSlow(long nowMicros, bool waiting, bool othersLeft, long responseMicros)
    {
        _waitedMicros += _waiting ? nowMicros - _lastMicros : 0;
        _lastMicros = nowMicros;
        _waiting = waiting;
        long length = nowMicros - _windowStartMicros;
        if (length < WindowMicros(responseMicros))
        {
            return false;
        }
        long rate = _units * 1_000_000 / length;
        bool counts = _waitedMicros * 4 >= length * 3 && nowMicros - _enteredMicros >= GraceMicros;
        StartWindow(nowMicros);
        _best[_view % n] = Math.Max(_best[_view % n], rate);
        if (!counts)
        {
            return false;
        }
        long best = 0;
        foreach (long candidate in _best)
        {
            best = Math.Max(best, candidate);
        }
        int share = othersLeft ? 2 * RisingWindows : RisingWindows + Math.Min(_judged++, RisingWindows);
        return rate < best * share / (4 * RisingWindows);
    }

    private void StartWindow(long nowMicros)
    {
        _windowStartMicros = _lastMicros = nowMicros;
        _waitedMicros = 0;
        _units = 0;
    }
}
