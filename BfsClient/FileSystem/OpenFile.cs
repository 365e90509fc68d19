using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>An open file or directory. Its operations run as whoever opened it, as POSIX has it.</summary>
public sealed class OpenFile
{
    internal OpenFile(Node node, Caller opener, uint[] groups, OpenMode mode)
    {
        (Node, Opener, Groups, Mode) = (node, opener with { Call = null }, groups, mode);
        SeenErrors = node.Writes.ErrorCount;
    }

    public FileHandle Handle => Node.Handle;

    /// <summary>As the replicas gave them when it was opened.</summary>
    public FileAttributes Attributes { get; internal set; }

    /// <summary>Its opening told the kernel to drop the file's pages, and nothing shows yet that it has.</summary>
    internal bool DropsPages { get; set; }

    internal Node Node { get; }

    internal Caller Opener { get; }

    /// <summary>Supplementary groups of the opener.</summary>
    internal uint[] Groups { get; }

    internal OpenMode Mode { get; }

    /// <summary>Whether it was opened for writing, so that closing has something to push out and to report.</summary>
    internal bool IsWritable => (Mode & (OpenMode.Write | OpenMode.ReadWrite)) != 0;

    /// <summary>How many of the node's write errors were reported here; like errseq of Linux.</summary>
    internal int SeenErrors { get; set; }

    internal DirectoryPage? Page { get; set; }

    /// <summary>Its entries were asked for.</summary>
    internal bool IsListed { get; set; }

    /// <summary>What came with the opening and was not read yet.</summary>
    internal OpenContent? Content { get; set; }

    /// <summary>All that the file holds, if it was empty when it was opened and is written here.</summary>
    internal OwnContent? Own { get; set; }
}

/// <summary>Entries of a directory that were fetched together.</summary>
internal sealed class DirectoryPage(int bytes)
{
    public const int MaxBytes = FileLimits.MaxTransferBytes;

    /// <summary>About thirty entries.</summary>
    public const int SmallBytes = 4096;

    public byte[] Data { get; } = new byte[bytes];

    public int Length { get; set; }

    public int Position { get; set; }

    /// <summary>The cookie of the entry at <see cref="Position"/>.</summary>
    public ulong Cookie { get; set; }

    /// <summary>When it was asked for, and after how many changes of ours: an old page is fetched again.</summary>
    public (Asked Begun, long Changes) Asked { get; init; }

    /// <summary>It is the beginning of the listing, was fetched before that was asked for, and serves once.</summary>
    public bool IsAhead { get; set; }

    /// <summary>Attributes may have changed since.</summary>
    public bool HasNamesOnly { get; set; }
}
