using System.Runtime.InteropServices;
using BfsCore.State;
using Microsoft.Win32.SafeHandles;

namespace BfsCore.Hosting.Storage;

/// <summary>The state's files in a directory: state.image, state.journal, state.meta. One process at a time.</summary>
internal sealed unsafe class StateDisk : IStateDisk
{
    private const int MetaMaxBytes = 4096;

    private static readonly byte[] Zeros = new byte[64 * 1024];

    private readonly string _directory;
    private readonly SafeFileHandle _image;
    private readonly SafeFileHandle _journal;

    /// <summary>Opens the files, creating what is missing; throws <see cref="IOException"/> when another process has them.</summary>
    public StateDisk(string directory)
    {
        _directory = directory;
        Directory.CreateDirectory(directory);
        _image = OpenFile("state.image");
        try
        {
            _journal = OpenFile("state.journal");
            SyncDirectory();
        }
        catch
        {
            _image.Dispose();
            _journal?.Dispose();
            throw;
        }
    }

    private string MetaPath => Path.Combine(_directory, "state.meta");

    public long Length(StatePart part) => RandomAccess.GetLength(HandleOf(part));

    public void Resize(StatePart part, long bytes) => RandomAccess.SetLength(HandleOf(part), bytes);

    public void Write(StatePart part, long offset, ReadOnlySpan<byte> bytes) =>
        RandomAccess.Write(HandleOf(part), bytes, offset);

    public void Read(StatePart part, long offset, Span<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int n = RandomAccess.Read(HandleOf(part), bytes, offset);
            BfsAssert.That(n > 0);
            offset += n;
            bytes = bytes[n..];
        }
    }

    public void PunchImage(long offset, long length)
    {
        if (LibC.Allocate(_image, LibC.FallocKeepSizePunchHole, offset, length) == 0)
        {
            return;
        }
        // Not every file system has holes.
        for (long done = 0; done < length; done += Zeros.Length)
        {
            Write(StatePart.Image, offset + done, Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, length - done)));
        }
    }

    public void Sync(StatePart part) => RandomAccess.FlushToDisk(HandleOf(part));

    public bool TryNextData(long from, out long start, out long end)
    {
        start = LibC.Seek(_image, from, LibC.SeekData);
        end = start < 0 ? start : LibC.Seek(_image, start, LibC.SeekHole);
        if (end >= 0)
        {
            return true;
        }
        if (Marshal.GetLastPInvokeError() != LibC.Enxio)
        {
            throw LibC.Error("lseek in state.image");
        }
        return false;
    }

    public byte[] ReadMeta()
    {
        if (!File.Exists(MetaPath))
        {
            return [];
        }
        using SafeFileHandle file = File.OpenHandle(MetaPath);
        var bytes = new byte[(int)Math.Min(RandomAccess.GetLength(file), MetaMaxBytes)];
        int n = RandomAccess.Read(file, bytes, 0);
        return bytes[..n];
    }

    public void ReplaceMeta(ReadOnlySpan<byte> meta)
    {
        string path = MetaPath + ".new";
        using (SafeFileHandle file = File.OpenHandle(path, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, meta, 0);
            RandomAccess.FlushToDisk(file);
        }
        File.Move(path, MetaPath, overwrite: true);
        SyncDirectory();
    }

    public MappedImage MapImage() => MapImage(MappedImage.UsualChunkPages);

    public MappedImage MapImage(int chunkPages) => new(_image, Length(StatePart.Image), chunkPages);

    public void Dispose()
    {
        _image.Dispose();
        _journal.Dispose();
    }

    private SafeFileHandle HandleOf(StatePart part) => part == StatePart.Image ? _image : _journal;

    // FileShare.None locks the file against a second process of the same replica.
    private SafeFileHandle OpenFile(string name) => File.OpenHandle(Path.Combine(_directory, name),
        FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);

    private void SyncDirectory()
    {
        int directory = LibC.Open(_directory, LibC.OpenReadOnlyDirectory);
        if (directory < 0)
        {
            throw LibC.Error("opening " + _directory);
        }
        int result = LibC.Sync(directory);
        IOException? error = result == 0 ? null : LibC.Error("syncing " + _directory);
        _ = LibC.Close(directory);
        if (error != null)
        {
            throw error;
        }
    }
}
