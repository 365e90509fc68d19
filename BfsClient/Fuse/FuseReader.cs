using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BfsClient.Fuse;

/// <summary>
/// Takes structures and names off a request, whatever its bytes are: what is missing makes <see cref="Ok"/> false.
/// </summary>
internal ref struct FuseReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public bool Ok { get; private set; } = true;

    public readonly int Remaining => _rest.Length;

    public T Take<T>()
        where T : unmanaged
    {
        if (_rest.Length < Unsafe.SizeOf<T>())
        {
            Ok = false;
            _rest = default;
            return default;
        }
        T value = MemoryMarshal.Read<T>(_rest);
        _rest = _rest[Unsafe.SizeOf<T>()..];
        return value;
    }

    /// <summary>A name and the zero byte that ends it.</summary>
    public ReadOnlySpan<byte> Name()
    {
        int length = _rest.IndexOf((byte)0);
        if (length <= 0)
        {
            Ok = false;
            _rest = default;
            return default;
        }
        ReadOnlySpan<byte> name = _rest[..length];
        _rest = _rest[(length + 1)..];
        return name;
    }

    public ReadOnlySpan<byte> Bytes(uint count)
    {
        if (count > (uint)_rest.Length)
        {
            Ok = false;
            return default;
        }
        ReadOnlySpan<byte> taken = _rest[..(int)count];
        _rest = _rest[(int)count..];
        return taken;
    }
}
