using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>
/// An inode that is open here or has writes under way. Others need no memory: the handle is in the kernel's node
/// identifier.
/// </summary>
internal sealed class Node(FileHandle handle) : KnownInode(handle)
{
    public int OpenCount { get; set; }

    /// <summary>It lost its last name while it was open here: to be released when the last open is gone.</summary>
    public bool Orphaned { get; set; }

    /// <summary>A directory as it was opened last, until its attributes are asked for.</summary>
    public OpenFile? JustOpened { get; set; }

    public WriteQueue Writes { get; } = new();

    /// <summary>Moves with every operation of ours that may change the content, when it begins and when it ends.</summary>
    public long Changes { get; private set; }

    public bool InUse => OpenCount > 0 || !Writes.IsEmpty;

    public void ContentChanges() => Changes++;
}
