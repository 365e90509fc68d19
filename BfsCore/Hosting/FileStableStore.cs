using System.Buffers.Binary;
using System.Security.Cryptography;

namespace BfsCore.Hosting;

/// <summary>
/// Accepted counters in a file: per principal i32 and u64, then SHA-256 of all. A few kilobytes, replaced whole; NEW-KEY
/// messages are rare.
/// </summary>
public sealed class FileStableStore : IStableStore
{
    private const int EntryBytes = 12;

    private readonly string _path;
    private readonly string _viewPath;
    private readonly SortedDictionary<int, ulong> _counters = [];

    /// <exception cref="ClusterFileException">The file is damaged.</exception>
    public FileStableStore(string path)
    {
        _path = path;
        _viewPath = path + ".view";
        if (File.Exists(path))
        {
            Parse(File.ReadAllBytes(path));
        }
    }

    public ulong LoadCounter(int principal) => _counters.GetValueOrDefault(principal);

    /// <exception cref="IOException">The file cannot be written: the disk is full, for example.</exception>
    public void SaveCounter(int principal, ulong counter)
    {
        _counters[principal] = counter;
        byte[] content = new byte[(_counters.Count * EntryBytes) + Digest.SizeBytes];
        int at = 0;
        foreach ((int key, ulong value) in _counters)
        {
            BinaryPrimitives.WriteInt32LittleEndian(content.AsSpan(at), key);
            BinaryPrimitives.WriteUInt64LittleEndian(content.AsSpan(at + 4), value);
            at += EntryBytes;
        }
        SHA256.HashData(content.AsSpan(0, at), content.AsSpan(at));
        DurableFile.Replace(_path, content);
    }

    /// <summary>The view is in a file of its own, 16 bytes written in place: the number and its complement.</summary>
    public View LoadView()
    {
        Span<byte> content = stackalloc byte[16];
        if (!File.Exists(_viewPath))
        {
            return default;
        }
        using FileStream file = File.OpenRead(_viewPath);
        long view = file.ReadAtLeast(content, 16, throwOnEndOfStream: false) == 16 ? BinaryPrimitives.ReadInt64LittleEndian(content) : -1;
        return view >= 0 && BinaryPrimitives.ReadInt64LittleEndian(content[8..]) == ~view ? new View(view)
            : throw new ClusterFileException($"{_viewPath}: the remembered view is damaged; without it this replica could contradict "
                + "itself: delete the directory of this replica, it then fetches its state from the others and rejoins");
    }

    /// <exception cref="IOException">The file cannot be written: the disk is full, for example.</exception>
    public void SaveView(View view)
    {
        Span<byte> content = stackalloc byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(content, view.Value);
        BinaryPrimitives.WriteInt64LittleEndian(content[8..], ~view.Value);
        using FileStream file = new(_viewPath, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0);
        file.Write(content);
        file.Flush(flushToDisk: true);
    }

    private void Parse(ReadOnlySpan<byte> content)
    {
        int length = content.Length - Digest.SizeBytes;
        if (length < 0 || length % EntryBytes != 0
            || !SHA256.HashData(content[..length]).AsSpan().SequenceEqual(content[length..]))
        {
            throw new ClusterFileException($"{_path}: the counters of accepted keys are damaged; without them old NEW-KEY "
                + "messages could be replayed: restore the file from a copy, or delete it if you accept that once");
        }
        for (int at = 0; at < length; at += EntryBytes)
        {
            _counters[BinaryPrimitives.ReadInt32LittleEndian(content[at..])] =
                BinaryPrimitives.ReadUInt64LittleEndian(content[(at + 4)..]);
        }
    }
}
