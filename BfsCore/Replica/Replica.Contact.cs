namespace BfsCore.Replication;

/// <summary>
/// Whom this replica hears. One that does not hear 2f others cannot bring about a view change (§2.3.5) and would leave its view
/// alone: when its links are whole again, it would be in a view that nobody else goes to, and of no use. It waits instead;
/// correct replicas that can reach each other always send something (§5.2), so each of them hears 2f others in the end.
/// </summary>
public sealed partial class Replica
{
    private readonly long[] _heardMicros;
    private bool _cutOff;

    // Since when it must have heard enough others; zero until a wait has ended, and again when it waits for something else.
    private long _cutOffSinceMicros;

    private bool HearsEnoughSince(long micros)
    {
        int count = 0;
        for (int i = 0; i < _n; i++)
        {
            count += i != Id.Value && _heardMicros[i] > micros ? 1 : 0;
        }
        return count >= 2 * _config.F;
    }

    /// <summary>
    /// The time for the primary is up: whether this replica heard too few others during it. Then it goes on waiting, and has
    /// heard enough once each of them has said something, however seldom they do when nothing comes about.
    /// </summary>
    private bool WaitsCutOff()
    {
        if (_cutOffSinceMicros == 0)
        {
            _cutOffSinceMicros = _now.MonotonicMicros - ViewTimeoutMicros;
        }
        _cutOff = !HearsEnoughSince(_cutOffSinceMicros);
        if (_cutOff)
        {
            _viewDeadlineMicros = _batchWait.DeadlineMicros = _requestWait.DeadlineMicros = long.MaxValue;
        }
        return _cutOff;
    }

    /// <summary>When enough others are heard again, they have the usual time to tell what came about meanwhile.</summary>
    private void EndCutOff()
    {
        if (_cutOff && HearsEnoughSince(_cutOffSinceMicros))
        {
            _cutOff = false;
            WaitAnew(ref _batchWait);
            WaitAnew(ref _requestWait);
        }
    }

    private void WaitAnew(ref Wait wait) =>
        wait.DeadlineMicros = wait.What == 0 ? long.MaxValue : _now.MonotonicMicros + ViewTimeoutMicros;
}
