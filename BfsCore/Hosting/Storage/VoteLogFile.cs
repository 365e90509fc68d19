using System.Buffers.Binary;
using System.Numerics;
using Microsoft.Win32.SafeHandles;

namespace BfsCore.Hosting.Storage;

/// <summary>
/// The vote log in two files that take turns, one generation in each, written through shared mappings: what was appended is
/// the system's, and outlives the process without a system call per record. Large records are written by a call, which costs
/// less than a page fault for each of their pages. <see cref="Sync"/> brings it to the disk.
///
/// A file has a page of header ("BFSVOTES", generation u64, the system's boot id (16), clean u64) and records, each at a multiple of 8 bytes: length u32,
/// CRC-32C u32, content. A checksum begins with the one before it, the first with the generation, so that nothing older that
/// lies behind the last record can look like the next one; a record whose checksum is wrong is the end. Linux only.
/// </summary>
public sealed unsafe class VoteLogFile : IVoteLog, IDisposable
{
    private const int HeaderBytes = 4096;
    private const int RecordHeaderBytes = 8;
    private const long MappedBytes = 2L << 30;
    private const long StepBytes = 4L << 20;

    /// <summary>
    /// What a file keeps on disk when it is used again: more than a generation of large writes needs, since giving blocks back and
    /// taking them again costs a replica a third of its time in the system.
    /// </summary>
    private const long KeptBytes = 96L << 20;

    /// <summary>Records from this size on do not go through the mapping.</summary>
    private const int LargeBytes = 16 * 1024;

    private const int BootIdAt = 16;
    private const int CleanAt = 32;
    private const ulong Magic = 0x5345544F56534642;

    private sealed class Part(SafeFileHandle file, byte* memory, long length)
    {
        public SafeFileHandle File { get; } = file;
        public byte* Memory { get; } = memory;

        /// <summary>Bytes that the file has on disk and that may be touched.</summary>
        public long Length { get; set; } = length;

        /// <summary>Where the next record goes.</summary>
        public long End { get; set; } = HeaderBytes;

        /// <summary>The checksum of the last record, which the next one's begins with.</summary>
        public uint Chain { get; set; }
        public ulong Generation { get; set; }
    }

    private readonly string _directory;
    private readonly Part[] _parts = new Part[2];
    private readonly byte[] _bootId = ReadBootId();
    private int _current;
    private int _before;
    private int _reserved;

    // The generation that was begun, once appends go to both.
    private Part? _beside;
    private IOException? _besideFailure;

    // A large record with its header.
    private byte[] _large = [];

    private VoteLogFile(string directory) => _directory = directory;

    public long Bytes => _parts[_current].End - HeaderBytes;

    /// <summary>No generation was found: the log is new, or it was lost.</summary>
    public bool IsEmpty { get; private set; }

    /// <summary>The system was started anew after the log was last written, and that was no clean stop: its end may be lost.</summary>
    public bool MayHaveLostItsEnd { get; private set; }

    /// <summary>Opens the files in a directory, or makes them.</summary>
    /// <exception cref="StateFileException">They cannot be opened, made or mapped.</exception>
    public static VoteLogFile Open(string directory)
    {
        var log = new VoteLogFile(directory);
        try
        {
            for (int i = 0; i < 2; i++)
            {
                log._parts[i] = OpenPart(Path.Combine(directory, $"votes.{i}"));
            }
            log.FindEnd();
            return log;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.Dispose();
            throw new StateFileException($"cannot open the vote log in {directory}: {e.Message}", e);
        }
    }

    private static Part OpenPart(string path)
    {
        SafeFileHandle file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        void* memory = LibC.Map(null, (nuint)MappedBytes, LibC.ProtRead | LibC.ProtWrite, LibC.MapShared, file, 0);
        if (memory == LibC.MapFailed)
        {
            IOException error = LibC.Error($"cannot map {path}");
            file.Dispose();
            throw error;
        }
        var part = new Part(file, (byte*)memory, RandomAccess.GetLength(file));
        // A page beyond the end must not be touched, and one that a file of odd length ends in is only partly on disk.
        Grow(part, Math.Max(StepBytes, part.Length));
        return part;
    }

    private void FindEnd()
    {
        foreach (Part part in _parts)
        {
            var header = new ReadOnlySpan<byte>(part.Memory, 16);
            part.Generation = BinaryPrimitives.ReadUInt64LittleEndian(header) == Magic
                ? BinaryPrimitives.ReadUInt64LittleEndian(header[8..]) : 0;
        }
        _current = _parts[1].Generation > _parts[0].Generation ? 1 : 0;
        Part current = _parts[_current];
        IsEmpty = current.Generation == 0;
        current.Chain = First(current.Generation);
        while (!IsEmpty && RecordAt(current, current.End, current.Chain, out uint crc) is { Length: > 0 } record)
        {
            current.End = Next(current.End, record.Length);
            current.Chain = crc;
        }
        MayHaveLostItsEnd = !IsEmpty && *(ulong*)(current.Memory + CleanAt) != 1
            && !new ReadOnlySpan<byte>(current.Memory + BootIdAt, 16).SequenceEqual(_bootId);
        _before = _current;
        if (IsEmpty)
        {
            current.Generation = 1;
            current.Chain = First(1);
            WriteHeader(current);
        }
    }

    public Span<byte> Reserve(int bytes)
    {
        _reserved = bytes;
        return RoomFor(_parts[_current], bytes);
    }

    public void Append()
    {
        Part part = _parts[_current];
        Span<byte> record = ContentAt(part, _reserved);
        Append(part, record);
        if (_beside is { } beside)
        {
            try
            {
                Span<byte> room = RoomFor(beside, record.Length);
                if (record.Length < LargeBytes)
                {
                    record.CopyTo(room);
                }
                Append(beside, record);
            }
            catch (IOException e)
            {
                // What counts is written; the next generation will have to be begun anew.
                (_beside, _besideFailure) = (null, e);
            }
        }
    }

    private Span<byte> RoomFor(Part part, int bytes)
    {
        long end = Next(part.End, bytes);
        if (end + RecordHeaderBytes > part.Length)
        {
            Grow(part, Math.Max(end + RecordHeaderBytes, part.Length + StepBytes));
        }
        if (bytes >= LargeBytes && _large.Length < RecordHeaderBytes + bytes)
        {
            _large = GC.AllocateUninitializedArray<byte>(2 * bytes);
        }
        return ContentAt(part, bytes);
    }

    /// <summary>Where the next record's content is put together: in its place, or, if it is large, behind room for its header.</summary>
    private Span<byte> ContentAt(Part part, int bytes) => bytes < LargeBytes
        ? new Span<byte>(part.Memory + part.End + RecordHeaderBytes, bytes)
        : _large.AsSpan(RecordHeaderBytes, bytes);

    private void Append(Part part, ReadOnlySpan<byte> record)
    {
        uint crc = Checksum(part.Chain, record);
        ulong header = (uint)record.Length | ((ulong)crc << 32);
        if (record.Length < LargeBytes)
        {
            // The record counts from this store on; stores become visible in order.
            Volatile.Write(ref *(ulong*)(part.Memory + part.End), header);
        }
        else
        {
            BinaryPrimitives.WriteUInt64LittleEndian(_large, header);
            RandomAccess.Write(part.File, _large.AsSpan(0, RecordHeaderBytes + record.Length), part.End);
        }
        part.Chain = crc;
        part.End = Next(part.End, record.Length);
    }

    public void Begin()
    {
        BfsAssert.That(_beside == null);
        _before = _current;
        Part old = _parts[_current];
        _current = 1 - _current;
        Part part = _parts[_current];
        // While it is written it is no generation at all.
        new Span<byte>(part.Memory, 16).Clear();
        part.Generation = old.Generation + 1;
        part.End = HeaderBytes;
        part.Chain = First(part.Generation);
        if (part.Length > KeptBytes)
        {
            RandomAccess.SetLength(part.File, KeptBytes);
            part.Length = KeptBytes;
        }
    }

    public void KeepBoth()
    {
        (_beside, _besideFailure) = (_parts[_current], null);
        _current = _before;
    }

    public void Switch()
    {
        BfsAssert.That(_beside != null || _besideFailure != null);
        _beside = null;
        if (_besideFailure is { } failure)
        {
            _besideFailure = null;
            throw failure;
        }
        _current = 1 - _current;
        WriteHeader(_parts[_current]);
        _before = _current;
    }

    public void Abandon()
    {
        (_beside, _besideFailure) = (null, null);
        _current = _before;
    }

    /// <summary>The log was taken up: from here on it is written under the present start of the system.</summary>
    public void Adopt() => WriteHeader(_parts[_current]);

    /// <summary>Brings everything to the disk; needed only before the machine may lose power.</summary>
    /// <param name="clean">Nothing will be appended after this.</param>
    /// <exception cref="StateFileException">The disk refuses.</exception>
    public void Sync(bool clean = false)
    {
        if (clean)
        {
            *(ulong*)(_parts[_current].Memory + CleanAt) = 1;
        }
        const int MsSync = 4;
        Part part = _parts[_current];
        if (LibC.SyncMapping(part.Memory, (nuint)Math.Min(part.Length, part.End + RecordHeaderBytes), MsSync) != 0)
        {
            throw new StateFileException(LibC.Error($"cannot sync the vote log in {_directory}").Message);
        }
    }

    public void Read(LogRecordHandler handler)
    {
        Part part = _parts[_current];
        uint chain = First(part.Generation);
        for (long at = HeaderBytes; at < part.End;)
        {
            ReadOnlySpan<byte> record = RecordAt(part, at, chain, out chain);
            handler(record);
            at = Next(at, record.Length);
        }
    }

    public void Dispose()
    {
        foreach (Part? part in _parts)
        {
            if (part is not null)
            {
                _ = LibC.Unmap(part.Memory, (nuint)MappedBytes);
                part.File.Dispose();
            }
        }
    }

    private static long Next(long at, int bytes) => at + RecordHeaderBytes + ((bytes + 7L) & ~7L);

    private void WriteHeader(Part part)
    {
        *(ulong*)(part.Memory + CleanAt) = 0;
        _bootId.CopyTo(new Span<byte>(part.Memory + BootIdAt, 16));
        *(ulong*)(part.Memory + 8) = part.Generation;
        Volatile.Write(ref *(ulong*)part.Memory, Magic);
    }

    /// <summary>The record at a place, or nothing when what is there does not follow the one before.</summary>
    private static ReadOnlySpan<byte> RecordAt(Part part, long at, uint chain, out uint crc)
    {
        crc = 0;
        if (at + RecordHeaderBytes > part.Length)
        {
            return default;
        }
        ulong header = *(ulong*)(part.Memory + at);
        uint length = (uint)header;
        if (length == 0 || length > part.Length - at - RecordHeaderBytes)
        {
            return default;
        }
        var content = new ReadOnlySpan<byte>(part.Memory + at + RecordHeaderBytes, (int)length);
        crc = Checksum(chain, content);
        return crc == (uint)(header >> 32) ? content : default;
    }

    /// <summary>Changes with every start of the system; what was written before that may have been lost with the power.</summary>
    private static byte[] ReadBootId()
    {
        try
        {
            return Guid.Parse(File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim()).ToByteArray();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            // Without it every start may be one after a power failure.
            return Guid.NewGuid().ToByteArray();
        }
    }

    private static uint First(ulong generation) => BitOperations.Crc32C(uint.MaxValue, generation);

    private static uint Checksum(uint chain, ReadOnlySpan<byte> content)
    {
        uint crc = BitOperations.Crc32C(chain, (uint)content.Length);
        for (; content.Length >= 8; content = content[8..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(content));
        }
        foreach (byte b in content)
        {
            crc = BitOperations.Crc32C(crc, b);
        }
        return crc;
    }

    /// <summary>Allocates, so that a full disk is an error here and not a signal when the memory is touched.</summary>
    private static void Grow(Part part, long bytes)
    {
        long length = (bytes + StepBytes - 1) / StepBytes * StepBytes;
        if (length > MappedBytes)
        {
            throw new StateFileException($"the vote log has reached {MappedBytes >> 20} MiB: no checkpoint became stable for too long");
        }
        if (LibC.Allocate(part.File, 0, 0, length) != 0)
        {
            throw new StateFileException(LibC.Error("cannot extend the vote log").Message + ": make room on the disk");
        }
        part.Length = length;
    }
}
