using System.Buffers;

namespace BfsClient.FileSystem;

/// <summary>
/// All that a file holds which was empty when it was opened for reading and writing, while it is written through that opening: assemblers and
/// linkers write a file in parts, out of order, and read them again. Kept by <see cref="OwnContents"/>.
/// </summary>
internal sealed class OwnContent(OpenFile file, Freshness freshness)
{
    /// <summary>Memory is taken in chunks of so many bytes.</summary>
    public const int ChunkBytes = 64 << 10;

    private readonly List<byte[]> _chunks = [];
    private Freshness _freshness = freshness;

    public OpenFile File { get; } = file;

    /// <summary>Bytes of the file.</summary>
    public int Length { get; private set; }

    /// <summary>Whether a write did not begin at the end: more of the kind will follow, and what is written will be read.</summary>
    public bool IsWrittenOutOfOrder { get; private set; }

    /// <summary>Bytes that there is memory for.</summary>
    public int CapacityBytes => _chunks.Count * ChunkBytes;

    /// <summary>Whether it is still what the file may be said to hold.</summary>
    /// <param name="maxAgeMicros">How long ago the file may have been opened.</param>
    public bool IsValid(long nowMicros, long maxAgeMicros) => _freshness.Holds(File.Node, nowMicros, maxAgeMicros);

    /// <summary>What has just happened to the file is in here: one of its own writes began or has its result.</summary>
    public void Follow() => _freshness.Follow(File.Node);

    /// <summary>Takes one chunk more.</summary>
    public void Grow() => _chunks.Add(ArrayPool<byte>.Shared.Rent(ChunkBytes));

    /// <summary>Gives all memory back.</summary>
    public void Release()
    {
        _chunks.ForEach(chunk => ArrayPool<byte>.Shared.Return(chunk));
        _chunks.Clear();
        Length = 0;
    }

    /// <summary>Adds what is written to the file; there is memory for it.</summary>
    public void Write(int offset, ReadOnlySpan<byte> data)
    {
        IsWrittenOutOfOrder |= offset != Length;
        // A hole reads as zeros.
        while (Length < offset)
        {
            Span<byte> hole = At(Length, offset - Length);
            hole.Clear();
            Length += hole.Length;
        }
        Length = Math.Max(Length, offset + data.Length);
        while (data.Length > 0)
        {
            Span<byte> place = At(offset, data.Length);
            data[..place.Length].CopyTo(place);
            offset += place.Length;
            data = data[place.Length..];
        }
    }

    /// <summary>Copies what there is from an offset on: as many bytes as it returns.</summary>
    public int Read(ulong offset, Span<byte> destination)
    {
        int start = (int)Math.Min(offset, (ulong)Length);
        int count = Math.Min(destination.Length, Length - start);
        for (int done = 0; done < count;)
        {
            Span<byte> part = At(start + done, count - done);
            part.CopyTo(destination[done..]);
            done += part.Length;
        }
        return count;
    }

    /// <summary>As much of a range as lies in its first chunk.</summary>
    private Span<byte> At(int offset, int count)
    {
        int within = offset % ChunkBytes;
        return _chunks[offset / ChunkBytes].AsSpan(within, Math.Min(count, ChunkBytes - within));
    }
}
