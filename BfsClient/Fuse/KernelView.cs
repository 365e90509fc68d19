using BfsCore.FileProtocol;

namespace BfsClient.Fuse;

/// <summary>
/// What the kernel was told of each inode, for close-to-open: an open file must not be served from attributes or pages
/// that the replicas have since outdated. Bounded; what is forgotten counts as outdated.
/// </summary>
internal sealed class KernelView
{
    private const int MaxNodes = 1 << 16;

    private readonly Dictionary<ulong, Entry> _entries = [];

    /// <summary>The kernel gets these attributes.</summary>
    public void Told(in FileAttributes attributes)
    {
        ulong node = attributes.Handle.Packed;
        _entries.TryGetValue(node, out Entry entry);
        Keep(node, entry with { AttributeCtime = attributes.CtimeNanos });
    }

    /// <summary>
    /// A file is opened and these are its attributes now.
    /// </summary>
    /// <param name="attributesHold">Whether the kernel's attributes, if it still has any, are these.</param>
    /// <returns>Whether pages that the kernel has cached are the file's content.</returns>
    public bool Opened(in FileAttributes attributes, out bool attributesHold)
    {
        ulong node = attributes.Handle.Packed;
        _entries.TryGetValue(node, out Entry entry);
        attributesHold = entry.AttributeCtime == attributes.CtimeNanos;
        bool pagesHold = entry.PagesCtime == attributes.CtimeNanos;
        Keep(node, new Entry(attributes.CtimeNanos, attributes.CtimeNanos));
        return pagesHold;
    }

    /// <summary>
    /// Whether the kernel may have pages of the file: it opened the file, and nothing was heard of a change since. They may be
    /// outdated all the same.
    /// </summary>
    public bool MayHavePages(ulong node) =>
        _entries.TryGetValue(node, out Entry entry) && entry.PagesCtime != 0 && entry.PagesCtime == entry.AttributeCtime;

    /// <summary>The file was written to here, so that the next open finds another change time.</summary>
    public void Written(ulong node)
    {
        if (_entries.TryGetValue(node, out Entry entry) && entry.PagesCtime != 0)
        {
            _entries[node] = entry with { PagesCtime = 0 };
        }
    }

    public void Forget(ulong node) => _entries.Remove(node);

    private void Keep(ulong node, Entry entry)
    {
        if (_entries.Count >= MaxNodes && !_entries.ContainsKey(node))
        {
            _entries.Clear();
        }
        _entries[node] = entry;
    }

    /// <param name="AttributeCtime">Change time in the attributes last given to the kernel.</param>
    /// <param name="PagesCtime">Change time at the last open: cached pages are of this version, or newer; 0: outdated.</param>
    private readonly record struct Entry(long AttributeCtime, long PagesCtime);
}
