using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BfsCore.Hosting.Storage;

/// <summary>What the image on disk is: the description beside it.</summary>
/// <param name="Pages">Size in pages of 4 KB.</param>
/// <param name="Checkpoint">The checkpoint that the image holds.</param>
/// <param name="Root">Its root digest.</param>
/// <param name="CleanStop">The process ended after this was saved, with nothing executed in between.</param>
/// <param name="Cluster">Which cluster it was made for; zero when that is not known.</param>
internal readonly record struct StateMeta(long Pages, SeqNum Checkpoint, Digest Root, bool CleanStop, Digest Cluster = default)
{
    public const int SizeBytes = 128;

    /// <summary>Format 1 does not say which cluster.</summary>
    private const int OldSizeBytes = 96;

    private const ulong Magic = 0x4554_4154_5353_4642; // "BFSSTATE"
    private const uint OldFormat = 1;
    private const uint Format = 2;
    private const int ClusterOffset = 64;
    private const int ChecksumBytes = 32;

    public byte[] Encode()
    {
        var bytes = new byte[SizeBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), Format);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), CleanStop ? 1u : 0u);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), Pages);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), Checkpoint.Value);
        Root.Write(bytes.AsSpan(32));
        Cluster.Write(bytes.AsSpan(ClusterOffset));
        SHA256.HashData(bytes.AsSpan(0, SizeBytes - ChecksumBytes), bytes.AsSpan(SizeBytes - ChecksumBytes));
        return bytes;
    }

    /// <summary>Null when the bytes are not a description that this version understands.</summary>
    public static StateMeta? Decode(ReadOnlySpan<byte> bytes)
    {
        Span<byte> checksum = stackalloc byte[ChecksumBytes];
        if (bytes.Length is not (SizeBytes or OldSizeBytes))
        {
            return null;
        }
        SHA256.HashData(bytes[..^ChecksumBytes], checksum);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]);
        long pages = BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]);
        long checkpoint = BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]);
        if (!checksum.SequenceEqual(bytes[^ChecksumBytes..])
            || BinaryPrimitives.ReadUInt64LittleEndian(bytes) != Magic
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != (bytes.Length == SizeBytes ? Format : OldFormat)
            || flags > 1 || pages < 1 || checkpoint < 0)
        {
            return null;
        }
        Digest cluster = bytes.Length == SizeBytes ? Digest.Read(bytes[ClusterOffset..]) : default;
        return new StateMeta(pages, new SeqNum(checkpoint), Digest.Read(bytes[32..]), flags == 1, cluster);
    }
}
