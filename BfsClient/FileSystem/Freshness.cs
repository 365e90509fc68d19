using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>Whether a content that is kept is still what the file may be said to hold: until anything newer is known of it.</summary>
/// <param name="attributes">What the content came with.</param>
/// <param name="askedMicros">When the operation that brought it was sent.</param>
/// <param name="changes">What the node's count of changes was then.</param>
internal struct Freshness(in FileAttributes attributes, long askedMicros, long changes)
{
    private readonly long _askedMicros = askedMicros;
    private long _ctimeNanos = attributes.CtimeNanos;
    private long _changes = changes;

    /// <summary>What has just happened to the file is known too: one of its own writes began or has its result.</summary>
    public void Follow(Node node) => (_changes, _ctimeNanos) = (node.Changes, node.LatestCtimeNanos);

    /// <param name="maxAgeMicros">How long ago it may have been asked for.</param>
    public readonly bool Holds(Node node, long nowMicros, long maxAgeMicros) =>
        node.Changes == _changes && node.LatestCtimeNanos == _ctimeNanos && nowMicros - _askedMicros < maxAgeMicros;
}
