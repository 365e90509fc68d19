using BfsClient.FileSystem;

namespace BfsClient.Fuse;

/// <summary>Open files by the number that the kernel holds for them.</summary>
internal sealed class HandleTable
{
    private readonly List<OpenFile?> _files = [null];
    private readonly Stack<int> _free = new();

    /// <summary>A number for the file, never zero.</summary>
    public ulong Add(OpenFile file)
    {
        if (_free.TryPop(out int index))
        {
            _files[index] = file;
            return (ulong)index;
        }
        _files.Add(file);
        return (ulong)(_files.Count - 1);
    }

    public OpenFile? Find(ulong handle) => handle < (ulong)_files.Count ? _files[(int)handle] : null;

    public OpenFile? Remove(ulong handle)
    {
        OpenFile? file = Find(handle);
        if (file is not null)
        {
            _files[(int)handle] = null;
            _free.Push((int)handle);
        }
        return file;
    }
}
