using System.Buffers.Binary;
using BfsCore.Messages;

namespace BfsCore.Hosting.KeyHolding;

/// <summary>What a replica can ask its key holder for: the calls of <see cref="ISigner"/>.</summary>
public enum KeyHolderCall : byte
{
    /// <summary>No argument; the result is a u64.</summary>
    NextCounter = 1,

    /// <summary>The argument is what is to be signed; the result has 64 bytes.</summary>
    Sign = 2,

    /// <summary>The argument is a public key of 65 bytes; the result has 32 bytes.</summary>
    Agree = 3,
}

/// <summary>
/// The bytes between a replica and its key holder, on a local stream socket. The holder greets with <see cref="Greeting"/>
/// and its public key (65 bytes). Then, in turn: a call, as call u8, zero u8, argument size u16, argument; and its result, as
/// status u8 (0 done, 1 refused), zero u8, result size u16, result.
/// </summary>
public static class KeyHolderProtocol
{
    public const int HeaderBytes = 4;
    public const int SignatureBytes = 64;
    public const int SecretBytes = 32;
    public const int GreetingBytes = 8 + NewKey.PublicKeyBytes;

    /// <summary>Nothing that a replica has signed is larger.</summary>
    public const int MaxArgumentBytes = 16 * 1024;

    public const byte Done = 0;
    public const byte Refused = 1;

    public static ReadOnlySpan<byte> Greeting => "BFS-KEY1"u8;

    /// <summary>Writes the head of a call or a result.</summary>
    public static void WriteHeader(Span<byte> bytes, byte kind, int size)
    {
        bytes[0] = kind;
        bytes[1] = 0;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], checked((ushort)size));
    }

    /// <summary>Reads the head of a call; false for bytes that are none, after which the connection is of no more use.</summary>
    public static bool TryReadCall(ReadOnlySpan<byte> header, out KeyHolderCall call, out int size)
    {
        (call, size) = (default, 0);
        if (header.Length != HeaderBytes || header[1] != 0)
        {
            return false;
        }
        (call, size) = ((KeyHolderCall)header[0], BinaryPrimitives.ReadUInt16LittleEndian(header[2..]));
        return call switch
        {
            KeyHolderCall.NextCounter => size == 0,
            KeyHolderCall.Sign => size is > 0 and <= MaxArgumentBytes,
            KeyHolderCall.Agree => size == NewKey.PublicKeyBytes,
            _ => false,
        };
    }

    /// <summary>Reads the head of a result; false for bytes that are none, or a result of another size.</summary>
    public static bool TryReadResult(ReadOnlySpan<byte> header, int expectedSize, out bool done)
    {
        done = header.Length == HeaderBytes && header[0] == Done;
        return header.Length == HeaderBytes && header[0] is Done or Refused && header[1] == 0
            && BinaryPrimitives.ReadUInt16LittleEndian(header[2..]) == (done ? expectedSize : 0);
    }
}
