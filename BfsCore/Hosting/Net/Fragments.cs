using System.Buffers.Binary;

namespace BfsCore.Hosting.Net;

/// <summary>
/// Messages longer than a datagram go in fragments (pitfall 43). A fragment starts with a tag that no message has:
///
///      0 tag 0x7fff u16, zero u16   4 message number u32   8 total size u32   12 offset u32   16 bytes
/// </summary>
internal static class Fragment
{
    public const ushort Tag = 0x7fff;
    public const int HeaderBytes = 16;

    public static bool Is(ReadOnlySpan<byte> datagram) =>
        datagram.Length > HeaderBytes && BinaryPrimitives.ReadUInt16LittleEndian(datagram) == Tag;

    public static void WriteHeader(Span<byte> datagram, uint number, int totalBytes, int offset)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(datagram, Tag);
        BinaryPrimitives.WriteUInt32LittleEndian(datagram[4..], number);
        BinaryPrimitives.WriteUInt32LittleEndian(datagram[8..], (uint)totalBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(datagram[12..], (uint)offset);
    }

    public static bool TryParse(ReadOnlySpan<byte> datagram, out uint number, out int totalBytes, out int offset)
    {
        number = BinaryPrimitives.ReadUInt32LittleEndian(datagram[4..]);
        uint total = BinaryPrimitives.ReadUInt32LittleEndian(datagram[8..]);
        uint at = BinaryPrimitives.ReadUInt32LittleEndian(datagram[12..]);
        (totalBytes, offset) = ((int)total, (int)at);
        return total <= Limits.MaxMessageBytes && at < total && datagram.Length - HeaderBytes <= total - at;
    }
}

/// <summary>
/// Puts fragments together, for a bounded number of messages at a time. When there are too many, the sender with the most loses the
/// one that it began first: who never finishes pushes out its own (pitfall 2).
/// </summary>
internal sealed class Reassembler
{
    private const int MaxUnfinished = 16;

    private sealed class Unfinished
    {
        public SourceAddress Source;
        public uint Number;
        public byte[] Bytes = [];
        public int TotalBytes;
        public int ReceivedBytes;
        public readonly List<int> Offsets = [];
    }

    private readonly List<Unfinished> _unfinished = [];
    private readonly Stack<Unfinished> _spare = new();

    /// <summary>Takes a fragment; returns the whole message when it is the last one missing, else an empty span.</summary>
    public ReadOnlySpan<byte> Add(ReadOnlySpan<byte> datagram, SourceAddress source)
    {
        if (!Fragment.TryParse(datagram, out uint number, out int totalBytes, out int offset))
        {
            return default;
        }
        Unfinished message = FindOrBegin(source, number, totalBytes);
        ReadOnlySpan<byte> bytes = datagram[Fragment.HeaderBytes..];
        if (message.TotalBytes != totalBytes || message.Offsets.Contains(offset))
        {
            return default;
        }
        bytes.CopyTo(message.Bytes.AsSpan(offset));
        message.Offsets.Add(offset);
        message.ReceivedBytes += bytes.Length;
        if (message.ReceivedBytes < totalBytes)
        {
            return default;
        }
        _unfinished.Remove(message);
        _spare.Push(message);
        return message.ReceivedBytes == totalBytes ? message.Bytes.AsSpan(0, totalBytes) : default;
    }

    private int FirstOfTheMostDemanding()
    {
        int victim = 0, most = 0;
        for (int i = 0; i < _unfinished.Count; i++)
        {
            int count = 0;
            for (int j = i; j < _unfinished.Count; j++)
            {
                count += _unfinished[j].Source == _unfinished[i].Source ? 1 : 0;
            }
            if (count > most)
            {
                (victim, most) = (i, count);
            }
        }
        return victim;
    }

    private Unfinished FindOrBegin(SourceAddress source, uint number, int totalBytes)
    {
        foreach (Unfinished candidate in _unfinished)
        {
            if (candidate.Source == source && candidate.Number == number)
            {
                return candidate;
            }
        }
        if (_unfinished.Count == MaxUnfinished)
        {
            int victim = FirstOfTheMostDemanding();
            _spare.Push(_unfinished[victim]);
            _unfinished.RemoveAt(victim);
        }
        Unfinished message = _spare.Count > 0 ? _spare.Pop() : new Unfinished();
        (message.Source, message.Number, message.TotalBytes, message.ReceivedBytes) = (source, number, totalBytes, 0);
        message.Offsets.Clear();
        if (message.Bytes.Length < totalBytes)
        {
            message.Bytes = new byte[totalBytes];
        }
        _unfinished.Add(message);
        return message;
    }
}
