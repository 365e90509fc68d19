namespace BfsCore.Client;

/// <summary>
/// Chooses who sends a result in full (§5.1.1): all replicas in turn, except those whose results did not come lately. A
/// dead or lying replica would otherwise delay every n-th operation by a timeout. Each failure doubles the number of
/// operations for which a replica is passed over; a result that comes in time forgives them.
/// </summary>
internal sealed class ReplierChoice(int n)
{
    private const int FirstPenalty = 32;
    private const int MaxDoublings = 12;

    private readonly long[] _avoidUntil = new long[n];
    private readonly int[] _failures = new int[n];
    private long _operations;
    private int _next;

    public ushort Next()
    {
        _operations++;
        for (int i = 0; i < n; i++)
        {
            int candidate = _next;
            _next = _next + 1 == n ? 0 : _next + 1;
            if (_avoidUntil[candidate] <= _operations)
            {
                return (ushort)candidate;
            }
        }
        return (ushort)_next;
    }

    public void Succeeded(int replica) => _failures[replica] = 0;

    public void Failed(int replica)
    {
        _avoidUntil[replica] = _operations + ((long)FirstPenalty << _failures[replica]);
        _failures[replica] = Math.Min(_failures[replica] + 1, MaxDoublings);
    }
}
