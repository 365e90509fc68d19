using BfsCore.Messages;

namespace BfsSim.Fuzz;

/// <summary>Messages seen on the wire, the last few of each kind, so that rare kinds are as likely as frequent ones.</summary>
internal sealed class Corpus
{
    private const int PerTag = 32;
    private const int Tags = 32;

    private readonly List<byte[]>[] _byTag = [.. Enumerable.Range(0, Tags).Select(_ => new List<byte[]>())];
    private readonly List<int> _present = [];
    private readonly int[] _next = new int[Tags];

    /// <summary>How many messages of each kind were seen.</summary>
    public long[] Seen { get; } = new long[Tags];

    public Corpus(Corpus? start = null)
    {
        for (int tag = 0; start is not null && tag < Tags; tag++)
        {
            start._byTag[tag].ForEach(Add);
        }
        Array.Clear(Seen);
    }

    public void Add(byte[] message)
    {
        if (!MessageHeader.TryReadTag(message, out MessageTag tag) || (int)tag >= Tags)
        {
            return;
        }
        Seen[(int)tag]++;
        List<byte[]> known = _byTag[(int)tag];
        if (known.Count == 0)
        {
            _present.Add((int)tag);
        }
        if (known.Count < PerTag)
        {
            known.Add(message);
        }
        else
        {
            known[_next[(int)tag]++ % PerTag] = message;
        }
    }

    /// <summary>Any message, each kind as likely as the others; empty while there is none.</summary>
    public byte[] Draw(SimRandom random)
    {
        if (_present.Count == 0)
        {
            return [];
        }
        List<byte[]> known = _byTag[_present[random.Below(_present.Count)]];
        return known[random.Below(known.Count)];
    }

    /// <summary>A message of this kind, or empty.</summary>
    public byte[] Draw(MessageTag tag, SimRandom random) =>
        _byTag[(int)tag] is { Count: > 0 } known ? known[random.Below(known.Count)] : [];
}
