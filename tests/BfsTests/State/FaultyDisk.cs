using BfsCore.Hosting.Storage;

namespace BfsTests.State;

/// <summary>
/// A disk that fails from a chosen change on. With <see cref="CutPower"/> it also loses, of the writes that were not
/// synced, a random part, some of them torn, as a disk with a cache may.
/// </summary>
internal sealed class FaultyDisk(string directory) : IStateDisk
{
    private readonly StateDisk _inner = new(directory);
    private readonly Dictionary<StatePart, byte[]> _synced = [];
    private readonly List<(StatePart Part, Func<byte[], byte[]> Change)> _unsynced = [];

    /// <summary>How many more changes succeed.</summary>
    public int ChangesLeft { get; set; } = int.MaxValue;

    public int Changes { get; private set; }

    public long Length(StatePart part) => _inner.Length(part);

    public void Resize(StatePart part, long bytes)
    {
        BeforeChange(part);
        _inner.Resize(part, bytes);
        _unsynced.Add((part, content => Sized(content, bytes)));
    }

    public void Write(StatePart part, long offset, ReadOnlySpan<byte> bytes)
    {
        BeforeChange(part);
        _inner.Write(part, offset, bytes);
        byte[] written = bytes.ToArray();
        _unsynced.Add((part, content => Overwritten(content, offset, written)));
    }

    public void PunchImage(long offset, long length)
    {
        BeforeChange(StatePart.Image);
        _inner.PunchImage(offset, length);
        _unsynced.Add((StatePart.Image, content => Overwritten(content, offset, new byte[length])));
    }

    public void Sync(StatePart part)
    {
        BeforeChange(part);
        _inner.Sync(part);
        _unsynced.RemoveAll(change => change.Part == part);
        _synced[part] = Content(part);
    }

    public void ReplaceMeta(ReadOnlySpan<byte> meta)
    {
        CountChange();
        _inner.ReplaceMeta(meta);
    }

    public void Read(StatePart part, long offset, Span<byte> bytes) => _inner.Read(part, offset, bytes);

    public bool TryNextData(long from, out long start, out long end) => _inner.TryNextData(from, out start, out end);

    public byte[] ReadMeta() => _inner.ReadMeta();

    /// <summary>In chunks of which even a small state has some.</summary>
    public MappedImage MapImage() => _inner.MapImage(chunkPages: 64);

    public void Dispose() => _inner.Dispose();

    /// <summary>What is on the files afterwards is what was synced and a random part of what was not.</summary>
    public void CutPower(Random random)
    {
        ChangesLeft = int.MaxValue;
        foreach ((StatePart part, byte[] synced) in _synced)
        {
            byte[] content = synced;
            foreach ((_, Func<byte[], byte[]> change) in _unsynced.Where(c => c.Part == part))
            {
                content = random.Next(4) switch
                {
                    0 => content,
                    1 => Torn(content, change(content), random),
                    _ => change(content),
                };
            }
            _inner.Resize(part, 0);
            _inner.Resize(part, content.Length);
            _inner.Write(part, 0, content);
        }
    }

    private void BeforeChange(StatePart part)
    {
        if (!_synced.ContainsKey(part))
        {
            _synced[part] = Content(part);
        }
        CountChange();
    }

    private void CountChange()
    {
        if (ChangesLeft-- <= 0)
        {
            ChangesLeft = 0;
            throw new IOException("No space left on device");
        }
        Changes++;
    }

    private byte[] Content(StatePart part)
    {
        var content = new byte[_inner.Length(part)];
        _inner.Read(part, 0, content);
        return content;
    }

    private static byte[] Sized(byte[] content, long bytes)
    {
        var sized = new byte[bytes];
        content.AsSpan(0, (int)Math.Min(content.Length, bytes)).CopyTo(sized);
        return sized;
    }

    private static byte[] Overwritten(byte[] content, long offset, byte[] bytes)
    {
        byte[] result = Sized(content, Math.Max(content.Length, offset + bytes.Length));
        bytes.CopyTo(result, offset);
        return result;
    }

    private static byte[] Torn(byte[] before, byte[] after, Random random)
    {
        byte[] result = Sized(before, after.Length);
        int until = random.Next(after.Length + 1) / 512 * 512;
        after.AsSpan(0, until).CopyTo(result);
        return result;
    }
}
