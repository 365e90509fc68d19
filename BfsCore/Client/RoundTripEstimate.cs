namespace BfsCore.Client;

/// <summary>
/// Adaptive retransmission (§5.2, [KP91]): smoothed response time and deviation, doubled per attempt, with random
/// backoff. Integers in microseconds, as everything here is deterministic.
/// </summary>
internal sealed class RoundTripEstimate
{
    private const long InitialTimeoutMicros = 150_000;
    private const long ShortestTimeoutMicros = 50_000;
    private const long ShortestResultWaitMicros = 3_000;
    private const long LongestTimeoutMicros = 2_000_000;

    private long _smoothed8;
    private long _deviation4;

    /// <summary>A response time of an operation that was sent once (Karn's rule).</summary>
    public void Measured(long micros)
    {
        if (_smoothed8 == 0)
        {
            _smoothed8 = micros * 8;
            _deviation4 = micros * 2;
            return;
        }
        long error = micros - (_smoothed8 / 8);
        _smoothed8 += error;
        _deviation4 += Math.Abs(error) - (_deviation4 / 4);
    }

    /// <summary>How long to wait for a result when a certificate of digests is complete already.</summary>
    public long ResultWaitMicros => Math.Clamp(_smoothed8 / 8, ShortestResultWaitMicros, ShortestTimeoutMicros);

    /// <summary>How long to wait at this attempt; the jitter (0 to 255) adds up to half again.</summary>
    public long TimeoutMicros(int attempts, byte jitter)
    {
        long basis = _smoothed8 == 0 ? InitialTimeoutMicros : (_smoothed8 / 8) + _deviation4;
        basis = Math.Clamp(basis, ShortestTimeoutMicros, LongestTimeoutMicros) << Math.Min(attempts, 6);
        basis = Math.Min(basis, LongestTimeoutMicros);
        return attempts == 0 ? basis : basis + (basis * jitter / 512);
    }
}
