namespace BfsCore.Client;

/// <summary>
/// Adaptive retransmission (§5.2, [KP91]): smoothed response time and deviation, doubled per attempt, with random
/// backoff. Integers in microseconds, as everything here is deterministic.
/// </summary>
internal sealed class RoundTripEstimate
{
    private const long InitialTimeoutMicros = 150_000;
    private const long ShortestTimeoutMicros = 50_000;

    /// <summary>
    /// All replicas have a large request since it was sent: there is nothing to hurry them with, and many of them under way make
    /// each other wait, above all while images are saved.
    /// </summary>
    private const long ShortestLargeTimeoutMicros = 100_000;

    private const long ShortestResultWaitMicros = 3_000;

    private const long ShortestQuorumWaitMicros = 5_000;

    private const long LongestTimeoutMicros = 2_000_000;

    /// <summary>Response times below this are not called slow, whatever was possible once.</summary>
    private const long NeverSlowMicros = 5_000;

    private long _smoothed8;
    private long _best8;
    private long _deviation4;

    /// <summary>A response time of an operation that was sent once (Karn's rule).</summary>
    public void Measured(long micros)
    {
        micros = Math.Max(micros, 1);
        if (_smoothed8 == 0)
        {
            _smoothed8 = micros * 8;
            _deviation4 = micros * 2;
            _best8 = _smoothed8;
            return;
        }
        long error = micros - (_smoothed8 / 8);
        _smoothed8 += error;
        _deviation4 += Math.Abs(error) - (_deviation4 / 4);
        // What was possible once is forgotten by and by: the work may have become heavier.
        _best8 = Math.Min(_smoothed8, _best8 + (_best8 / 256) + 1);
    }

    /// <summary>
    /// Operations take several times what they took before. The backups should see what waits, to judge the primary by it
    /// (pitfall 9); they do not when requests go to the primary alone.
    /// </summary>
    public bool IsSlow => _smoothed8 > 4 * _best8 && _smoothed8 > 8 * NeverSlowMicros;

    /// <summary>How long to wait for a result when a certificate of digests is complete already.</summary>
    public long ResultWaitMicros => Math.Clamp(_smoothed8 / 8, ShortestResultWaitMicros, ShortestTimeoutMicros);

    /// <summary>How long to wait for the answers of a preferred quorum before all replicas are asked.</summary>
    public long QuorumWaitMicros => Math.Clamp((_smoothed8 / 8) + _deviation4, ShortestQuorumWaitMicros, ShortestTimeoutMicros);

    /// <summary>How long to wait at this attempt; the jitter (0 to 255) adds up to half again.</summary>
    /// <param name="large">The request went to all replicas the first time (§5.1.5).</param>
    public long TimeoutMicros(int attempts, byte jitter, bool large = false)
    {
        long basis = _smoothed8 == 0 ? InitialTimeoutMicros : (_smoothed8 / 8) + _deviation4;
        basis = Math.Clamp(basis, large ? ShortestLargeTimeoutMicros : ShortestTimeoutMicros, LongestTimeoutMicros) << Math.Min(attempts, 6);
        basis = Math.Min(basis, LongestTimeoutMicros);
        return attempts == 0 ? basis : basis + (basis * jitter / 512);
    }
}
