using System.Buffers.Binary;
using BfsCore.Messages;

namespace BfsSim.Fuzz;

/// <summary>What the receiver of a message stands at: values near these reach further than any others.</summary>
internal readonly record struct Standing(long View, long Stable, long Executed, long LogSize, long WallNanos, int N);

/// <summary>Changes bytes: blindly, by field, by length, and by pieces of other messages.</summary>
internal sealed class Mutator(SimRandom random)
{
    public const int MaxBytes = 2 * BfsCore.Limits.MaxMessageBytes;

    private readonly byte[] _buffer = new byte[MaxBytes];
    private int _length;

    /// <summary>The message as it is now.</summary>
    public Span<byte> Message => _buffer.AsSpan(0, _length);

    /// <summary>Bytes after the message that a writer may use.</summary>
    public Span<byte> Room => _buffer;

    public void Take(ReadOnlySpan<byte> message)
    {
        _length = Math.Min(message.Length, MaxBytes);
        message[.._length].CopyTo(_buffer);
    }

    public void TakeRandom()
    {
        _length = random.Below(random.Choose(16, 100, 2000));
        random.Fill(Message);
        if (_length >= 8 && random.PerMille(800))
        {
            BinaryPrimitives.WriteUInt16LittleEndian(_buffer, (ushort)random.Below(22));
            BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(2), 0);
            FixSize();
        }
    }

    /// <summary>Makes the size field true.</summary>
    public void FixSize()
    {
        if (_length >= 8)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(4), (uint)_length);
        }
    }

    public void SetLength(int length) => _length = Math.Clamp(length, 0, MaxBytes);

    /// <summary>One to four changes that know nothing of the contents.</summary>
    public void ChangeBytes(ReadOnlySpan<byte> other)
    {
        for (int left = 1 + random.Below(4); left > 0 && _length > 0; left--)
        {
            switch (random.Below(8))
            {
                case 0 or 1:
                    _buffer[At(1)] ^= (byte)(1 << random.Below(8));
                    break;
                case 2:
                    _buffer[At(1)] = (byte)random.Below(256);
                    break;
                case 3:
                    Write(At(8) & ~1, random.Choose(1, 2, 4, 8), Extreme());
                    break;
                case 4:
                    _length = random.PerMille(500) ? random.Below(_length + 1) : Math.Max(0, _length - random.Below(64));
                    break;
                case 5:
                    Splice(other);
                    break;
                case 6:
                    Insert(random.Choose(1, 8, 40, 48, 1000));
                    break;
                default:
                    Remove(random.Choose(1, 8, 40, 48));
                    break;
            }
        }
    }

    /// <summary>Changes one of the fields that steer the handler, or an entry of the payload.</summary>
    public void ChangeField(in MessageShape shape, in Standing standing)
    {
        switch (random.Below(6))
        {
            case 0 when shape.View >= 0:
                Write(shape.View, 8, random.PerMille(700) ? standing.View + random.Between(-1, 2) : Extreme());
                break;
            case 1 when shape.Seq >= 0:
                Write(shape.Seq, 8, AnySeq(standing));
                break;
            case 2 when shape.Sender >= 0:
                Write(shape.Sender, 2, random.PerMille(700) ? random.Below(standing.N) : Extreme());
                break;
            case 3 when shape.Other >= 0:
                Write(shape.Other, 8, random.PerMille(300) ? standing.WallNanos + random.Choose(0, 1L << 34, long.MinValue, long.MaxValue) : Extreme());
                break;
            case 4 when shape.CountFields > 0:
                Write(shape.Counts + (2 * random.Below(shape.CountFields)), 2, random.PerMille(700) ? random.Below(6) : Extreme());
                break;
            default:
                ChangeEntry(shape, standing);
                break;
        }
    }

    /// <summary>A number or a view somewhere in the payload; entries there are made of words of eight bytes.</summary>
    private void ChangeEntry(in MessageShape shape, in Standing standing)
    {
        int words = (_length - shape.Header) / 8;
        if (words > 0)
        {
            long value = random.Below(4) switch { 0 => AnySeq(standing), 1 => Math.Max(0, standing.View - random.Below(3)), 2 => 0, _ => Extreme() };
            Write(shape.Header + (8 * random.Below(words)), 8, value);
        }
    }

    /// <summary>Makes view, number and sender such that the receiver looks further.</summary>
    public void Normalise(in MessageShape shape, in Standing standing, int sender)
    {
        if (shape.View >= 0 && random.PerMille(700))
        {
            Write(shape.View, 8, standing.View + (random.PerMille(200) ? 1 : 0));
        }
        if (shape.Seq >= 0 && random.PerMille(400))
        {
            Write(shape.Seq, 8, random.PerMille(700) ? standing.Executed + random.Between(0, 3) : AnySeq(standing));
        }
        if (shape.Sender >= 0 && random.PerMille(950))
        {
            Write(shape.Sender, 2, sender);
        }
    }

    private long AnySeq(in Standing standing) => random.Below(5) switch
    {
        0 => standing.Executed + random.Between(-2, 3),
        1 => standing.Stable + random.Between(-1, 2),
        2 => standing.Stable + standing.LogSize + random.Between(-1, 2),
        3 => standing.Stable + random.Below(standing.LogSize + 1),
        _ => Extreme(),
    };

    public long Extreme() => random.Below(12) switch
    {
        0 => 0,
        1 => 1,
        2 => -1,
        3 => long.MaxValue,
        4 => long.MinValue,
        5 => int.MaxValue,
        6 => uint.MaxValue,
        7 => long.MaxValue - random.Below(300),
        8 => 1L << random.Below(63),
        9 => _length + random.Between(-9, 9),
        10 => random.Below(70_000),
        _ => (long)random.NextUInt64(),
    };

    private int At(int bytes) => random.PerMille(500) ? random.Below(Math.Min(_length, 128)) : random.Below(Math.Max(1, _length - bytes));

    private void Write(int at, int bytes, long value)
    {
        Span<byte> word = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(word, value);
        for (int i = 0; i < bytes && at + i < _length; i++)
        {
            _buffer[at + i] = word[i];
        }
    }

    private void Splice(ReadOnlySpan<byte> other)
    {
        if (other.Length > 0)
        {
            int from = random.Below(other.Length);
            int to = random.Below(_length);
            int count = Math.Min(random.Choose(8, 48, 500), Math.Min(other.Length - from, _length - to));
            other.Slice(from, count).CopyTo(_buffer.AsSpan(to));
        }
    }

    private void Insert(int count)
    {
        int at = random.Below(_length + 1);
        if (_length + count <= MaxBytes)
        {
            _buffer.AsSpan(at, _length - at).CopyTo(_buffer.AsSpan(at + count));
            // A copy of what is there: an entry comes twice.
            _buffer.AsSpan(at + count, Math.Min(count, _length - at)).CopyTo(_buffer.AsSpan(at));
            _length += count;
        }
    }

    private void Remove(int count)
    {
        int at = random.Below(_length);
        count = Math.Min(count, _length - at);
        _buffer.AsSpan(at + count, _length - at - count).CopyTo(_buffer.AsSpan(at));
        _length -= count;
    }
}
