using System.Buffers.Binary;
using Org.BouncyCastle.Crypto.Macs;
using Org.BouncyCastle.Crypto.Parameters;

namespace BfsCore.Crypto;

/// <summary>
/// A session key for one direction between two principals: SipHash-2-4 with a 128-bit key and 64-bit tags over fixed
/// message headers (§3.2.1; the thesis used UMAC32).
/// </summary>
public sealed class MacKey
{
    public const int KeyBytes = 16;

    /// <summary>Longest header that is authenticated, bytes.</summary>
    public const int MaxHeaderBytes = 128;

    private readonly SipHash _sipHash = new();
    private readonly byte[] _staging = new byte[MaxHeaderBytes];

    public MacKey(ReadOnlySpan<byte> key)
    {
        BfsAssert.That(key.Length == KeyBytes);
        _sipHash.Init(new KeyParameter(key.ToArray()));
    }

    /// <summary>The tag of a header.</summary>
    public ulong Compute(ReadOnlySpan<byte> header)
    {
        header.CopyTo(_staging);
        _sipHash.BlockUpdate(_staging, 0, header.Length);
        return (ulong)_sipHash.DoFinal();
    }

    /// <summary>Writes the tag (8 bytes).</summary>
    public void Sign(ReadOnlySpan<byte> header, Span<byte> tag) =>
        BinaryPrimitives.WriteUInt64LittleEndian(tag, Compute(header));

    /// <summary>Compares without a branch that depends on where tags differ (pitfall 38): one word against one word.</summary>
    public bool Verify(ReadOnlySpan<byte> header, ReadOnlySpan<byte> tag) =>
        tag.Length == 8 && (Compute(header) ^ BinaryPrimitives.ReadUInt64LittleEndian(tag)) == 0;
}
