using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace BfsCore.FileProtocol;

/// <summary>Writes the fields of an operation or a result, little-endian, one after the other.</summary>
public ref struct WireWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;

    /// <summary>Bytes written so far.</summary>
    public int Length { get; private set; }

    public readonly int Remaining => _buffer.Length - Length;

    public void U8(byte value) => _buffer[Length++] = value;

    public void U16(ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer[Length..], value);
        Length += 2;
    }

    public void U32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer[Length..], value);
        Length += 4;
    }

    public void I32(int value) => U32((uint)value);

    public void U64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_buffer[Length..], value);
        Length += 8;
    }

    public void I64(long value) => U64((ulong)value);

    public void Handle(FileHandle handle)
    {
        U32(handle.Inode);
        U32(handle.Generation);
    }

    public void Bytes(scoped ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_buffer[Length..]);
        Length += bytes.Length;
    }

    /// <summary>A length (u16) and the bytes.</summary>
    public void Name(scoped ReadOnlySpan<byte> name)
    {
        U16((ushort)name.Length);
        Bytes(name);
    }

    public void Attributes(in FileAttributes attributes)
    {
        MemoryMarshal.Write(_buffer[Length..], in attributes);
        Length += FileAttributes.WireBytes;
    }

    /// <summary>The same writer back at an earlier length.</summary>
    public readonly WireWriter Truncated(int length) => new(_buffer) { Length = length };

    /// <summary>Room for <paramref name="count"/> bytes that the caller fills.</summary>
    public Span<byte> Reserve(int count)
    {
        Span<byte> room = _buffer.Slice(Length, count);
        Length += count;
        return room;
    }
}

/// <summary>
/// Reads fields from hostile bytes: past the end it returns zeros and <see cref="Ok"/> becomes false. Total: never throws.
/// </summary>
public ref struct WireReader(ReadOnlySpan<byte> buffer)
{
    private ReadOnlySpan<byte> _rest = buffer;

    /// <summary>Whether everything read so far was there.</summary>
    public bool Ok { get; private set; } = true;

    public readonly int Remaining => _rest.Length;

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length)
        {
            Ok = false;
            _rest = default;
            return default;
        }
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    public byte U8()
    {
        ReadOnlySpan<byte> b = Take(1);
        return b.Length == 0 ? (byte)0 : b[0];
    }

    public ushort U16()
    {
        ReadOnlySpan<byte> b = Take(2);
        return b.Length == 0 ? (ushort)0 : BinaryPrimitives.ReadUInt16LittleEndian(b);
    }

    public uint U32()
    {
        ReadOnlySpan<byte> b = Take(4);
        return b.Length == 0 ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(b);
    }

    public int I32() => (int)U32();

    public ulong U64()
    {
        ReadOnlySpan<byte> b = Take(8);
        return b.Length == 0 ? 0 : BinaryPrimitives.ReadUInt64LittleEndian(b);
    }

    public long I64() => (long)U64();

    public FileHandle Handle() => new(U32(), U32());

    public ReadOnlySpan<byte> Bytes(int count) => Take(count);

    /// <summary>A length (u16) and the bytes.</summary>
    public ReadOnlySpan<byte> Name() => Take(U16());

    public ReadOnlySpan<byte> ToEnd() => Take(_rest.Length);

    public FileAttributes Attributes()
    {
        ReadOnlySpan<byte> b = Take(FileAttributes.WireBytes);
        return b.Length == 0 ? default : MemoryMarshal.Read<FileAttributes>(b);
    }
}
