using System.Buffers.Binary;
using System.Security.Cryptography;
using BfsCore.State;

namespace BfsCore.Hosting.Storage;

/// <summary>
/// The pages of a save that were in use before, written one after the other and made durable before the first of them changes the image:
/// a save that was stopped is finished from here, or has not begun. Header (one page), table (page index u64 and digest of 32
/// bytes each, padded to whole pages), then the pages that are not zero. Everything is covered by digests, so that a
/// journal is either complete or refused; without its header it is none.
/// </summary>
internal sealed class StateJournal
{
    private const ulong Magic = 0x004C_4E52_4A53_4642; // "BFSJRNL"
    private const uint Format = 2;
    private const int PageBytes = PagedState.PageBytes;
    private const int EntryBytes = 8 + Digest.SizeBytes;
    private const int UsedOffset = 104;
    private const int ChecksumOffset = 112;
    private const int HeaderBytes = ChecksumOffset + Digest.SizeBytes;

    /// <summary>Did not say what is used, and has the checksum there.</summary>
    private const uint OldFormat = 1;
    private const int ChunkPages = 256;

    /// <summary>More than a save usually has; what is larger is given back to the disk.</summary>
    private const long MostKeptBytes = 128 << 20;

    private static readonly byte[] NoHeader = new byte[HeaderBytes];

    private readonly byte[] _table;

    private StateJournal(StateMeta target, byte[] table)
    {
        Target = target;
        _table = table;
    }

    /// <summary>What the image will be once the journal is applied.</summary>
    public StateMeta Target { get; }

    /// <summary>How many pages it holds.</summary>
    public int Count => _table.Length / EntryBytes;

    public long PageAt(int entry) => BinaryPrimitives.ReadInt64LittleEndian(_table.AsSpan(entry * EntryBytes));

    private Digest DigestOf(int entry) => Digest.Read(_table.AsSpan((entry * EntryBytes) + 8));

    private long ContentStart => PageBytes + ((_table.Length + PageBytes - 1L) / PageBytes * PageBytes);

    /// <summary>
    /// Writes a journal of those pages that are being saved and lie below <paramref name="end"/>, which takes the image to checkpoint
    /// <c>target.Checkpoint</c> once the others are there. It counts after <see cref="Complete"/>.
    /// </summary>
    public static StateJournal Write(IStateDisk disk, PagedState state, StateMeta target, long end)
    {
        var journal = new StateJournal(target, TableOf(state, target.Checkpoint, end));
        disk.Write(StatePart.Journal, PageBytes, journal._table);
        journal.WritePages(disk, state);
        return journal;
    }

    /// <summary>From here on the next start goes on to the target.</summary>
    public void Complete(IStateDisk disk)
    {
        disk.Write(StatePart.Journal, 0, Header());
        disk.Sync(StatePart.Journal);
    }

    /// <summary>
    /// The journal on disk counts no longer. Its blocks stay unless they are many: the next one is written over them, which costs less than to
    /// get others.
    /// </summary>
    public static void Void(IStateDisk disk)
    {
        long length = disk.Length(StatePart.Journal);
        if (length > MostKeptBytes)
        {
            disk.Resize(StatePart.Journal, 0);
        }
        else if (length > 0)
        {
            disk.Write(StatePart.Journal, 0, NoHeader);
        }
    }

    /// <summary>The journal on disk, if it is complete; otherwise null.</summary>
    public static StateJournal? Read(IStateDisk disk)
    {
        long length = disk.Length(StatePart.Journal);
        if (length < HeaderBytes)
        {
            return null;
        }
        var header = new byte[HeaderBytes];
        disk.Read(StatePart.Journal, 0, header);
        long count = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(64));
        if (!HeaderIsValid(header) || count < 0 || count > (length - PageBytes) / EntryBytes || count > int.MaxValue / EntryBytes)
        {
            return null;
        }
        var table = new byte[count * EntryBytes];
        disk.Read(StatePart.Journal, PageBytes, table);
        long pages = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(16));
        long used = FormatOf(header) == OldFormat ? pages : BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(UsedOffset));
        var target = new StateMeta(
            pages, new SeqNum(BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(24))), Digest.Read(header.AsSpan(32)), false, used);
        var journal = new StateJournal(target, table);
        bool complete = SHA256.HashData(table).AsSpan().SequenceEqual(header.AsSpan(72, 32)) && journal.ContentIsValid(disk, length);
        return complete ? journal : null;
    }

    /// <summary>Brings the image to the target. May be repeated, and must be until it succeeds once.</summary>
    public void Apply(IStateDisk disk)
    {
        var chunk = new byte[ChunkPages * PageBytes];
        long content = ContentStart;
        for (int first = 0; first < Count;)
        {
            bool zero = DigestOf(first).IsZero;
            int run = RunLength(first, zero);
            long offset = PageAt(first) * PageBytes;
            if (zero)
            {
                disk.PunchImage(offset, (long)run * PageBytes);
            }
            else
            {
                Span<byte> bytes = chunk.AsSpan(0, run * PageBytes);
                disk.Read(StatePart.Journal, content, bytes);
                disk.Write(StatePart.Image, offset, bytes);
                content += bytes.Length;
            }
            first += run;
        }
        disk.Sync(StatePart.Image);
    }

    private static byte[] TableOf(PagedState state, SeqNum n, long end)
    {
        var table = new byte[checked((int)(state.Saving.Count * EntryBytes))];
        int used = 0;
        for (long page = state.Saving.Next(0); page >= 0 && page < end; page = state.Saving.Next(page + 1))
        {
            BinaryPrimitives.WriteInt64LittleEndian(table.AsSpan(used), page);
            state.NodeDigestAt(n, state.Levels - 1, page).Write(table.AsSpan(used + 8));
            used += EntryBytes;
        }
        return table[..used];
    }

    private void WritePages(IStateDisk disk, PagedState state)
    {
        var chunk = new byte[ChunkPages * PageBytes];
        long offset = ContentStart;
        int used = 0;
        for (int entry = 0; entry < Count; entry++)
        {
            if (!DigestOf(entry).IsZero)
            {
                state.PageAt(Target.Checkpoint, PageAt(entry)).CopyTo(chunk.AsSpan(used));
                used += PageBytes;
            }
            if (used > 0 && (used == chunk.Length || entry == Count - 1))
            {
                disk.Write(StatePart.Journal, offset, chunk.AsSpan(0, used));
                offset += used;
                used = 0;
            }
        }
    }

    private byte[] Header()
    {
        var header = new byte[HeaderBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), Format);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(16), Target.Pages);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(24), Target.Checkpoint.Value);
        Target.Root.Write(header.AsSpan(32));
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(64), Count);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(UsedOffset), Target.Used);
        SHA256.HashData(_table, header.AsSpan(72));
        SHA256.HashData(header.AsSpan(0, ChecksumOffset), header.AsSpan(ChecksumOffset));
        return header;
    }

    private static uint FormatOf(ReadOnlySpan<byte> header) => BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);

    private static bool HeaderIsValid(ReadOnlySpan<byte> header)
    {
        int digested = FormatOf(header) == OldFormat ? UsedOffset : ChecksumOffset;
        Span<byte> checksum = stackalloc byte[32];
        SHA256.HashData(header[..digested], checksum);
        return checksum.SequenceEqual(header.Slice(digested, checksum.Length))
            && BinaryPrimitives.ReadUInt64LittleEndian(header) == Magic
            && FormatOf(header) is OldFormat or Format;
    }

    private bool ContentIsValid(IStateDisk disk, long length)
    {
        var page = new byte[PageBytes];
        long offset = ContentStart;
        for (int entry = 0; entry < Count; entry++)
        {
            bool inside = PageAt(entry) >= 0 && PageAt(entry) < Target.Pages;
            if (!inside || (entry > 0 && PageAt(entry) <= PageAt(entry - 1)))
            {
                return false;
            }
            if (DigestOf(entry).IsZero)
            {
                continue;
            }
            if (offset > length - PageBytes)
            {
                return false;
            }
            disk.Read(StatePart.Journal, offset, page);
            if (PartitionTree.PageDigest(page) != DigestOf(entry))
            {
                return false;
            }
            offset += PageBytes;
        }
        return true;
    }

    /// <summary>How many entries from one on are neighbours of one kind; those with content at most a chunk.</summary>
    private int RunLength(int first, bool zero)
    {
        int run = 1;
        while (first + run < Count && (zero || run < ChunkPages)
            && PageAt(first + run) == PageAt(first) + run && DigestOf(first + run).IsZero == zero)
        {
            run++;
        }
        return run;
    }
}
