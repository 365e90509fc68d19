using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>
/// The directories of the last operation on names, whose attributes came with its result: the kernel asks for them before
/// it does anything else there. Two, because a rename may change two.
/// </summary>
internal sealed class ChangedDirectories
{
    private KnownInode _newer = new(default);
    private KnownInode _older = new(default);

    public KnownInode? Find(FileHandle directory) =>
        _newer.Handle == directory ? _newer : _older.Handle == directory ? _older : null;

    public void Learn(in FileAttributes attributes, Asked asked)
    {
        KnownInode? known = Find(attributes.Handle);
        if (known is null)
        {
            _older = _newer;
            known = _newer = new KnownInode(attributes.Handle);
        }
        known.Learn(attributes, asked);
    }
}
