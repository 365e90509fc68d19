using BfsCore.Hosting.Storage;
using Microsoft.Win32.SafeHandles;

namespace BfsCore.Hosting;

/// <summary>Files that are replaced whole: after a crash there is the old content or the new one, never a mixture.</summary>
public static class DurableFile
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Writes beside the file, flushes to the disk, renames, flushes the directory.</summary>
    /// <param name="secret">Only the owner may read it, from the first moment on.</param>
    /// <exception cref="IOException">I/O failed; the old content is still there.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> content, bool secret = false)
    {
        string temporary = path + ".new";
        File.Delete(temporary);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = secret ? OwnerOnly : OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        }
        using (var file = new FileStream(temporary, options))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
        SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Makes names that were created, renamed or removed in a directory durable.</summary>
    public static void SyncDirectory(string directory)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }
        int descriptor = LibC.Open(directory, LibC.OpenReadOnlyDirectory);
        if (descriptor < 0)
        {
            throw LibC.Error("opening " + directory);
        }
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (LibC.Sync(descriptor) != 0)
        {
            throw LibC.Error("flushing " + directory);
        }
    }
}
