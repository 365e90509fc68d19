using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>What operations brought of an inode's attributes.</summary>
internal class KnownInode(FileHandle handle)
{
    private const uint SetIdBits = 0xC00;

    private FileAttributes _latest;
    private Asked _latestAsked;

    public FileHandle Handle { get; } = handle;

    /// <summary>The newest attributes known.</summary>
    protected internal FileAttributes Latest => _latest;

    /// <summary>Change time of the newest attributes known; 0 if none are.</summary>
    public long LatestCtimeNanos => _latest.CtimeNanos;

    /// <summary>Whether the file is set-user-ID or set-group-ID, as far as known.</summary>
    public bool HasSetId => (_latest.Mode & SetIdBits) != 0;

    /// <summary>
    /// Takes attributes that an operation brought, and returns the newest known: change times only grow, so that replies
    /// that overtake each other do no harm.
    /// </summary>
    /// <param name="asked">When the operation was sent.</param>
    public FileAttributes Learn(in FileAttributes attributes, Asked asked)
    {
        if (attributes.CtimeNanos >= _latest.CtimeNanos)
        {
            (_latest, _latestAsked) = (attributes, asked);
        }
        return _latest;
    }

    /// <summary>The newest known, without taking these.</summary>
    public FileAttributes Newest(in FileAttributes attributes) =>
        attributes.CtimeNanos >= _latest.CtimeNanos ? attributes : _latest;

    /// <summary>Attributes younger than the given age, if no operation of ours may have changed them since.</summary>
    /// <param name="changed">The epoch of the last one that may have.</param>
    public bool TryGetFresh(long nowMicros, long changed, long maxAgeMicros, out FileAttributes attributes)
    {
        attributes = _latest;
        return _latest.CtimeNanos != 0 && nowMicros - _latestAsked.Micros < maxAgeMicros && _latestAsked.Epoch >= changed;
    }
}

/// <summary>When a question was asked.</summary>
/// <param name="Micros">On the loop's clock.</param>
/// <param name="Epoch">Moves with every operation of ours that touches names.</param>
internal readonly record struct Asked(long Micros, long Epoch);
