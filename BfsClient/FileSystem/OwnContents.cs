namespace BfsClient.FileSystem;

/// <summary>The contents of files that were made here and are being written: a bounded number of bytes for the whole mount.</summary>
internal sealed class OwnContents
{
    /// <summary>A file that grows longer is read from the replicas, bytes.</summary>
    public const int MaxFileBytes = 16 << 20;

    /// <summary>Most bytes for all files together.</summary>
    public const int MaxBytes = 32 << 20;

    private readonly List<OwnContent> _all = [];

    // That all contents have memory for.
    private int _bytes;

    /// <summary>The file is empty, and what is written through this opening is to be added.</summary>
    public void Keep(OpenFile file, Freshness freshness)
    {
        var content = new OwnContent(file, freshness);
        _all.Add(content);
        file.Own = content;
    }

    /// <summary>Adds what is written to a file, if there is room for it.</summary>
    /// <param name="maxAgeMicros">How long ago a file may have been opened; the memory of others is free.</param>
    public bool TryWrite(OwnContent content, ulong offset, ReadOnlySpan<byte> data, long nowMicros, long maxAgeMicros)
    {
        if (offset > MaxFileBytes || offset + (ulong)data.Length > MaxFileBytes)
        {
            return false;
        }
        while (content.CapacityBytes < (int)offset + data.Length)
        {
            if (_bytes + OwnContent.ChunkBytes > MaxBytes)
            {
                DropOthers(content, nowMicros, maxAgeMicros);
            }
            if (_bytes + OwnContent.ChunkBytes > MaxBytes)
            {
                return false;
            }
            content.Grow();
            _bytes += OwnContent.ChunkBytes;
        }
        content.Write((int)offset, data);
        return true;
    }

    /// <summary>The file's content is not known any more, or not of use.</summary>
    public void Drop(OwnContent content)
    {
        _bytes -= content.CapacityBytes;
        content.Release();
        _all.Remove(content);
        content.File.Own = null;
    }

    /// <summary>Drops what does not count any more.</summary>
    private void DropOthers(OwnContent keep, long nowMicros, long maxAgeMicros)
    {
        for (int i = _all.Count - 1; i >= 0; i--)
        {
            if (_all[i] != keep && !_all[i].IsValid(nowMicros, maxAgeMicros))
            {
                Drop(_all[i]);
            }
        }
    }
}
