using System.Globalization;
using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.State;
using BfsReplica.Snfsd;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsBench;

/// <summary>Empty files in directories of a thousand, always made in the same order, so that they have the same handles everywhere.</summary>
internal static class FileTree
{
    private const int FilesPerDirectory = 1000;

    // More than a drive's part for an inode.
    public static long DriveBytes(int files) => (files * 9L * 1024) + (64 << 20);

    public static string NameOf(int file) => $"file{file}";

    /// <returns>The directory of each file, by number modulo their count.</returns>
    public static FileHandle[] Make(FileCaller caller, int files)
    {
        FileHandle[] directories = [.. Enumerable.Range(0, Math.Max(1, files / FilesPerDirectory)).Select(i => caller.NewDirectory(FileHandle.Root, $"d{i}"))];
        for (int i = 0; i < files; i++)
        {
            caller.NewFile(directories[i % directories.Length], NameOf(i));
        }
        return directories;
    }
}

/// <summary>The file service with so many files from the start.</summary>
internal sealed class GrownFileService(ClusterConfig config, int files) : IService
{
    private readonly FileService _inner = new(config);

    /// <summary>How a server process is told to run it.</summary>
    public static string NameFor(int files) => $"files-{files}";

    public static IService? TryMake(string name, ClusterConfig config) =>
        name.StartsWith("files-", StringComparison.Ordinal)
            ? new GrownFileService(config, int.Parse(name["files-".Length..], CultureInfo.InvariantCulture)) : null;

    public void Open(StateRegion state)
    {
        _inner.Open(state);
        FileTree.Make(new Filler(_inner), files);
    }

    public void StateReplaced() => _inner.StateReplaced();

    public bool IsReadOnly(ReadOnlySpan<byte> operation) => _inner.IsReadOnly(operation);

    public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result) => _inner.Execute(context, operation, result);

    private sealed class Filler(FileService service) : FileCaller
    {
        private long _time;

        protected override int Execute(ReadOnlySpan<byte> operation, Span<byte> result, bool readOnly) =>
            service.Execute(new ExecutionContext(new ClientId(Limits.FirstClientId), ++_time, readOnly), operation, result);
    }
}
