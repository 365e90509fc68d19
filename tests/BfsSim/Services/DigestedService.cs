using BfsCore;
using BfsCore.State;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsSim.Services;

/// <summary>
/// A service whose word on the pages of its results is not believed: the digest that a replica makes of them must be that of
/// the result. Replicas that all say the same wrong one would contradict neither each other nor, as the read is ordered after
/// all, any history.
/// </summary>
public sealed class DigestedService(IService inner) : IService
{
    public void Open(StateRegion state) => inner.Open(state);

    public void StateReplaced() => inner.StateReplaced();

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => inner.IsReadOnly(operation);

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
    {
        int length = inner.Execute(context, operation, result);
        if (context.ResultPages is { } pages)
        {
            Digest digest = pages.Complete(result[..length], whole: false);
            pages.Complete(result[..length], whole: true);
            SimulationException.Require(digest == ContentDigest.Of(result[..length]),
                "the digests of pages that a result is said to consist of are not those of its content");
        }
        return length;
    }
}
