using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

// Files that were empty when they were opened, and are written and read here.
public sealed partial class RemoteFileSystem
{
    private readonly OwnContents _own = new();

    /// <summary>A file that is empty when it is opened for reading and writing is known whole, and stays so while it is written here.</summary>
    private void KeepIfEmpty(OpenFile open, in FileAttributes attributes, long askedMicros)
    {
        const OpenMode needed = OpenMode.ReadWrite | OpenMode.WithContent;
        if ((open.Mode & needed) == needed && MayKeepContent && attributes.SizeBytes == 0 && open.Node.Writes.IsEmpty
            && attributes.CtimeNanos == open.Node.LatestCtimeNanos)
        {
            _own.Keep(open, new Freshness(attributes, askedMicros, open.Node.Changes));
        }
    }

    /// <summary>All that the file holds, if it was empty when it was opened and nothing else is known of it.</summary>
    private OwnContent? OwnContent(OpenFile file) => file.Own is { } content && content.IsValid(_nowMicros(), _options.AttributeMicros) ? content : null;

    /// <summary>Takes note of a write in what is kept of the file.</summary>
    /// <returns>Whether the write may wait for others: reads do not need it at the replicas, and the file is being written out of order.</returns>
    private bool WriteToContent(OpenFile file, ulong offset, ReadOnlySpan<byte> data)
    {
        OwnContent? content = OwnContent(file);
        file.Node.ContentChanges();
        if (content is null || !_own.TryWrite(content, offset, data, _nowMicros(), _options.AttributeMicros))
        {
            DropOwn(file);
            return false;
        }
        content.Follow();
        return content.IsWrittenOutOfOrder;
    }

    /// <summary>A write of the file has its result, which is all that happened to it.</summary>
    private static void FollowOwn(OwnContent? content, in FileAttributes known)
    {
        if (content is not null && known.SizeBytes <= (ulong)content.Length)
        {
            content.Follow();
        }
    }

    public bool TryGetOwnSize(OpenFile file, out FileAttributes attributes)
    {
        if (!file.Node.Writes.IsEmpty && OwnContent(file) is { } content)
        {
            attributes = file.Node.Latest with { SizeBytes = (ulong)content.Length };
            return true;
        }
        attributes = default;
        return false;
    }

    private bool TryReadOwn(OpenFile file, ulong offset, Span<byte> destination, out int count)
    {
        if (OwnContent(file) is { } content)
        {
            count = content.Read(offset, destination);
            return true;
        }
        DropOwn(file);
        count = 0;
        return false;
    }

    private void DropOwn(OpenFile file)
    {
        if (file.Own is { } content)
        {
            _own.Drop(content);
        }
    }
}
