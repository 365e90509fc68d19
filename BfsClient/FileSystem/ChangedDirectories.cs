using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>
/// Directories in which names were changed here, with the attributes that came with the result: the kernel asks for them before it does
/// anything else there. They count until the next change of ours in the directory begins.
/// </summary>
/// <remarks>Epochs are numbers that grow with each beginning and each end of an operation on names.</remarks>
internal sealed class ChangedDirectories
{
    /// <summary>How many are remembered; one more, and all are forgotten.</summary>
    public const int Most = 1024;

    private readonly Dictionary<ulong, Directory> _directories = [];

    // The last change of directories that are not remembered, or of any.
    private long _othersChanged;

    /// <summary>A change of names in a directory begins or has ended.</summary>
    public void Changes(FileHandle directory, long epoch)
    {
        if (!_directories.TryGetValue(directory.Packed, out Directory? known))
        {
            if (_directories.Count == Most)
            {
                _directories.Clear();
                _othersChanged = epoch;
            }
            known = new Directory(directory);
            _directories.Add(directory.Packed, known);
        }
        known.Changed = epoch;
    }

    /// <summary>A change that may concern any directory begins or has ended.</summary>
    public void AllChange(long epoch) => _othersChanged = epoch;

    /// <summary>The epoch in which the directory's last change began or ended, or a later one.</summary>
    public long LastChange(FileHandle directory) =>
        Math.Max(_othersChanged, _directories.GetValueOrDefault(directory.Packed)?.Changed ?? 0);

    /// <summary>Takes attributes of a directory that is remembered, and returns the newest known.</summary>
    public FileAttributes Learn(in FileAttributes attributes, Asked asked) =>
        _directories.GetValueOrDefault(attributes.Handle.Packed)?.Learn(attributes, asked) ?? attributes;

    public bool TryGetFresh(FileHandle directory, long nowMicros, long maxAgeMicros, out FileAttributes attributes)
    {
        attributes = default;
        return _directories.TryGetValue(directory.Packed, out Directory? known)
            && known.TryGetFresh(nowMicros, Math.Max(_othersChanged, known.Changed), maxAgeMicros, out attributes);
    }

    private sealed class Directory(FileHandle handle) : KnownInode(handle)
    {
        public long Changed { get; set; }
    }
}
