using System.Buffers.Binary;
using System.Numerics;

namespace BfsReplica.Snfsd;

/// <summary>
/// The place of a name in its directory: 62 bits of SipHash-2-4 under a fixed key, plus 3 (0 to 2 are the cookies of the
/// start, <c>.</c> and <c>..</c>). A good hash, so that nobody can make names that crowd in one place.
/// </summary>
internal static class NameHash
{
    private const ulong K0 = 0x6d61_6e20_6669_6c65;
    private const ulong K1 = 0x6269_7a61_6e74_696e;

    /// <summary>Bits of a key that the index uses.</summary>
    public const int Bits = 62;

    public static ulong KeyOf(ReadOnlySpan<byte> name)
    {
        ulong v0 = K0 ^ 0x736f6d6570736575, v1 = K1 ^ 0x646f72616e646f6d;
        ulong v2 = K0 ^ 0x6c7967656e657261, v3 = K1 ^ 0x7465646279746573;
        ulong last = (ulong)name.Length << 56;
        while (name.Length >= 8)
        {
            Absorb(BinaryPrimitives.ReadUInt64LittleEndian(name), ref v0, ref v1, ref v2, ref v3);
            name = name[8..];
        }
        for (int i = 0; i < name.Length; i++)
        {
            last |= (ulong)name[i] << (8 * i);
        }
        Absorb(last, ref v0, ref v1, ref v2, ref v3);
        v2 ^= 0xff;
        for (int i = 0; i < 4; i++)
        {
            Round(ref v0, ref v1, ref v2, ref v3);
        }
        return Math.Max(3, (v0 ^ v1 ^ v2 ^ v3) >> (64 - Bits));
    }

    private static void Absorb(ulong word, ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3)
    {
        v3 ^= word;
        Round(ref v0, ref v1, ref v2, ref v3);
        Round(ref v0, ref v1, ref v2, ref v3);
        v0 ^= word;
    }

    private static void Round(ref ulong v0, ref ulong v1, ref ulong v2, ref ulong v3)
    {
        v0 += v1;
        v1 = BitOperations.RotateLeft(v1, 13) ^ v0;
        v0 = BitOperations.RotateLeft(v0, 32);
        v2 += v3;
        v3 = BitOperations.RotateLeft(v3, 16) ^ v2;
        v0 += v3;
        v3 = BitOperations.RotateLeft(v3, 21) ^ v0;
        v2 += v1;
        v1 = BitOperations.RotateLeft(v1, 17) ^ v2;
        v2 = BitOperations.RotateLeft(v2, 32);
    }
}
