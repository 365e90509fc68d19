using System.Buffers.Binary;
using BfsCore.State;
using Microsoft.Extensions.Logging;

namespace BfsReplica;

/// <summary>
/// Keeps damaged pages for analysis: a file in which each has its number (8 bytes, little-endian) and its bytes. Bounded;
/// a disk that is full must not stop a replica.
/// </summary>
internal sealed class PageEvidence(string directory, string cause, ILogger logger)
{
    /// <summary>Of one finding.</summary>
    public const int MaxPages = 4096;

    private readonly List<long> _pages = [];
    private readonly HashSet<long> _seen = [];
    private FileStream? _file;
    private bool _failed;

    /// <summary>The first of them, in the order in which they were found.</summary>
    public IReadOnlyList<long> Pages => _pages;

    /// <summary>How many there were.</summary>
    public long Count { get; private set; }

    /// <summary>How they were found, in a word.</summary>
    public string Cause => cause;

    /// <summary>Where they are; null when there are none.</summary>
    public string? Path { get; private set; }

    /// <summary>Adds a page unless it is there.</summary>
    public void Add(long page, ReadOnlySpan<byte> content)
    {
        if (!_seen.Add(page))
        {
            return;
        }
        Count++;
        if (_pages.Count >= MaxPages)
        {
            return;
        }
        _pages.Add(page);
        if (_failed)
        {
            return;
        }
        try
        {
            _file ??= Create();
            Span<byte> number = stackalloc byte[sizeof(long)];
            BinaryPrimitives.WriteInt64LittleEndian(number, page);
            _file.Write(number);
            _file.Write(content[..PagedState.PageBytes]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _failed = true;
            logger.LogError("damaged pages cannot be kept for analysis: {Message}", e.Message);
        }
    }

    /// <summary>Ends the file.</summary>
    public void Close()
    {
        try
        {
            _file?.Dispose();
        }
        catch (IOException e)
        {
            logger.LogError("damaged pages cannot be kept for analysis: {Message}", e.Message);
        }
        _file = null;
    }

    private FileStream Create()
    {
        Directory.CreateDirectory(directory);
        string time = DateTime.UtcNow.ToString("yyyyMMdd-HHmmss-fff", System.Globalization.CultureInfo.InvariantCulture);
        Path = System.IO.Path.Combine(directory, $"pages-{time}-{cause}.bin");
        return new FileStream(Path, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
    }
}
