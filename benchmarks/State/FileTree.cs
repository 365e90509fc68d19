using BfsCore.FileProtocol;

namespace BfsBench;

/// <summary>
/// Empty files in directories of a thousand, or full ones in one directory, always made in the same order, so that they have the same
/// handles everywhere.
/// </summary>
internal static class FileTree
{
    private const int FilesPerDirectory = 1000;

    // More than a drive's part for an inode.
    public static long DriveBytes(int files) => (files * 9L * 1024) + (64 << 20);

    /// <summary>Bytes of each of the full files.</summary>
    public const int FullFileBytes = 1 << 20;

    public static long DataDriveBytes(int megabytes) => (megabytes * 1_000_000L * 108 / 100) + (16 << 20);

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

    /// <param name="full">Without that the files are empty, but have the same handles.</param>
    /// <returns>Files of a MB each, of bytes that are random and the same everywhere.</returns>
    public static FileHandle[] MakeData(FileCaller caller, int megabytes, bool full = true)
    {
        var random = new Random(1);
        FileHandle directory = caller.NewDirectory(FileHandle.Root, "data");
        var files = new FileHandle[Math.Max(1, megabytes * 1_000_000L / FullFileBytes)];
        byte[] data = new byte[FileLimits.MaxTransferBytes];
        for (int i = 0; i < files.Length; i++)
        {
            files[i] = caller.NewFile(directory, NameOf(i));
            random.NextBytes(data);
            for (int done = 0; full && done < FullFileBytes; done += data.Length)
            {
                caller.Write(files[i], done, data.AsSpan(0, Math.Min(data.Length, FullFileBytes - done)));
            }
        }
        return files;
    }
}

/// <summary>What is in a drive from the start.</summary>
/// <param name="Files">Empty ones.</param>
/// <param name="Megabytes">Of data, instead of files.</param>
internal readonly record struct Growth(int Files, int Megabytes = 0)
{
    public long DriveBytes => Megabytes > 0 ? FileTree.DataDriveBytes(Megabytes) : FileTree.DriveBytes(Files);

    public void Make(FileCaller caller)
    {
        if (Megabytes > 0)
        {
            FileTree.MakeData(caller, Megabytes);
        }
        else
        {
            FileTree.Make(caller, Files);
        }
    }
}
