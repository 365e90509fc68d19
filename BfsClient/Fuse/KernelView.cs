using BfsCore.FileProtocol;

namespace BfsClient.Fuse;

/// <summary>
/// What the kernel has of each inode, for close-to-open: an open file must not be served from attributes or pages that the
/// replicas have since outdated. A reply that was sent shows nothing: the thread that it is for may be suspended before it acts on
/// it, while another opens the file; and the kernel ignores attributes that it asked for before it took others. So this says
/// what is sure. Bounded; what is forgotten counts as outdated.
/// </summary>
internal sealed class KernelView
{
    /// <summary>Beyond so many nodes, at some 50 bytes each, all are forgotten.</summary>
    public const int MaxNodes = 1 << 18;

    private readonly Dictionary<ulong, Entry> _entries = [];

    // Whether the kernel has nothing of the nodes that are not here.
    private bool _isComplete = true;

    /// <summary>The kernel gets these attributes.</summary>
    /// <param name="lookups">How many more times it has to forget the node.</param>
    public void Told(in FileAttributes attributes, ulong lookups = 0)
    {
        ulong node = attributes.Handle.Packed;
        long ctime = attributes.CtimeNanos;
        if (!_entries.TryGetValue(node, out Entry entry) && _isComplete)
        {
            entry.Attributes = ctime;
        }
        // Older ones that are on their way as well may be the ones that it takes.
        bool areOlder = ctime < entry.Attributes;
        Keep(node, entry with { Told = ctime, Attributes = areOlder ? 0 : entry.Attributes, Lookups = entry.Lookups + lookups });
    }

    /// <summary>A file is opened and these are its attributes now.</summary>
    /// <param name="attributesHold">Whether the kernel's attributes, if it still has any, are these. If not, it is to drop them at once.</param>
    /// <returns>Whether pages that the kernel has cached are the file's content.</returns>
    public bool Opened(in FileAttributes attributes, out bool attributesHold)
    {
        ulong node = attributes.Handle.Packed;
        long ctime = attributes.CtimeNanos;
        _entries.TryGetValue(node, out Entry entry);
        attributesHold = entry.Attributes == ctime;
        Keep(node, entry with { Told = ctime, Attributes = ctime });
        return entry.Pages == ctime;
    }

    /// <summary>
    /// A file whose opening said that pages do not hold is read: so its opening has returned, and before that the kernel dropped
    /// the pages.
    /// </summary>
    /// <param name="attributes">Those of the opening.</param>
    public void PagesDropped(in FileAttributes attributes)
    {
        if (_entries.TryGetValue(attributes.Handle.Packed, out Entry entry))
        {
            _entries[attributes.Handle.Packed] = entry with { Pages = Math.Max(entry.Pages, attributes.CtimeNanos) };
        }
    }

    /// <summary>
    /// Whether the kernel may have pages of the file: it read it, and nothing was heard of a change since. They may be
    /// outdated all the same.
    /// </summary>
    public bool MayHavePages(ulong node) =>
        _entries.TryGetValue(node, out Entry entry) && entry.Pages != 0 && entry.Pages == entry.Told;

    /// <summary>The file was written to here, so that the next open finds another change time.</summary>
    public void Written(ulong node)
    {
        if (_entries.TryGetValue(node, out Entry entry) && entry.Pages != 0)
        {
            _entries[node] = entry with { Pages = 0 };
        }
    }

    /// <param name="lookups">How many of those that it was told are forgotten; with the last, the kernel has nothing of the node.</param>
    public void Forget(ulong node, ulong lookups)
    {
        if (_entries.TryGetValue(node, out Entry entry))
        {
            if (entry.Lookups <= lookups)
            {
                _entries.Remove(node);
            }
            else
            {
                _entries[node] = entry with { Lookups = entry.Lookups - lookups };
            }
        }
    }

    private void Keep(ulong node, Entry entry)
    {
        if (_entries.Count >= MaxNodes && !_entries.ContainsKey(node))
        {
            _entries.Clear();
            _isComplete = false;
        }
        _entries[node] = entry;
    }

    /// <param name="Told">Change time in the attributes last given to the kernel.</param>
    /// <param name="Attributes">The kernel's attributes, if it has any that count, are of this change time or a later one; 0: not known.</param>
    /// <param name="Pages">The same of the pages that it has cached.</param>
    /// <param name="Lookups">How many times it has to forget the node.</param>
    private record struct Entry(long Told, long Attributes, long Pages, ulong Lookups);
}
