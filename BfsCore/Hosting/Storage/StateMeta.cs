using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BfsCore.Hosting.Storage;

/// <summary>What the image on disk is: the description beside it.</summary>
/// <param name="Pages">Size in pages of 4 KB.</param>
/// <param name="Checkpoint">The checkpoint that the image holds.</param>
/// <param name="Root">Its root digest.</param>
/// <param name="CleanStop">The process ended after this was saved, with nothing executed in between.</param>
/// <param name="Used">
/// From this page on the checkpoint has zeros only. Whatever the image holds there was written by a save that did not come to its end.
/// </param>
/// <param name="Cluster">Which cluster it was made for; zero when that is not known.</param>
internal readonly record struct StateMeta(
    long Pages, SeqNum Checkpoint, Digest Root, bool CleanStop, long Used, Digest Cluster = default)
{
    public const int SizeBytes = 136;

    private const ulong Magic = 0x4554_4154_5353_4642; // "BFSSTATE"
    private const int ClusterOffset = 64;
    private const int UsedOffset = 96;
    private const int ChecksumBytes = 32;

    /// <summary>By format from 1 on. The first does not say which cluster, the second not what is used.</summary>
    private static readonly int[] SizesBytes = [96, 128, SizeBytes];

    public byte[] Encode()
    {
        var bytes = new byte[SizeBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), (uint)SizesBytes.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), CleanStop ? 1u : 0u);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), Pages);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), Checkpoint.Value);
        Root.Write(bytes.AsSpan(32));
        Cluster.Write(bytes.AsSpan(ClusterOffset));
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(UsedOffset), Used);
        SHA256.HashData(bytes.AsSpan(0, SizeBytes - ChecksumBytes), bytes.AsSpan(SizeBytes - ChecksumBytes));
        return bytes;
    }

    /// <summary>Null when the bytes are not a description that this version understands.</summary>
    public static StateMeta? Decode(ReadOnlySpan<byte> bytes)
    {
        int format = Array.IndexOf(SizesBytes, bytes.Length) + 1;
        if (format == 0)
        {
            return null;
        }
        Span<byte> checksum = stackalloc byte[ChecksumBytes];
        SHA256.HashData(bytes[..^ChecksumBytes], checksum);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]);
        long pages = BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]);
        long checkpoint = BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]);
        Digest cluster = format >= 2 ? Digest.Read(bytes[ClusterOffset..]) : default;
        long used = format >= 3 ? BinaryPrimitives.ReadInt64LittleEndian(bytes[UsedOffset..]) : pages;
        bool valid = checksum.SequenceEqual(bytes[^ChecksumBytes..])
            && BinaryPrimitives.ReadUInt64LittleEndian(bytes) == Magic
            && BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) == format
            && flags <= 1 && pages >= 1 && checkpoint >= 0 && used >= 0 && used <= pages;
        return valid ? new StateMeta(pages, new SeqNum(checkpoint), Digest.Read(bytes[32..]), flags == 1, used, cluster) : null;
    }
}
