using System.Globalization;
using System.Text;

namespace BfsClient.Fuse;

/// <summary>A line of /proc/self/mountinfo.</summary>
internal sealed record MountEntry(string Device, string MountPoint, string FileSystemType, string Source);

/// <summary>
/// What is mounted, as the kernel lists it. Asking this way touches no mounted file system: a relay must never wait for
/// its own drive.
/// </summary>
internal static class MountTable
{
    /// <summary>The last, and so visible, mount on exactly this path; null if there is none.</summary>
    public static MountEntry? Find(string mountPoint) => Find(File.ReadLines("/proc/self/mountinfo"), mountPoint);

    internal static MountEntry? Find(IEnumerable<string> lines, string mountPoint)
    {
        MountEntry? found = null;
        foreach (string line in lines)
        {
            if (Parse(line) is { } entry && entry.MountPoint == mountPoint)
            {
                found = entry;
            }
        }
        return found;
    }

    private static MountEntry? Parse(string line)
    {
        string[] fields = line.Split(' ');
        int separator = Array.IndexOf(fields, "-");
        return separator >= 6 && separator + 2 < fields.Length
            ? new MountEntry(fields[2], Unescape(fields[4]), fields[separator + 1], Unescape(fields[separator + 2]))
            : null;
    }

    /// <summary>Blanks and the like are written as a backslash and three octal digits.</summary>
    private static string Unescape(string path)
    {
        if (!path.Contains('\\', StringComparison.Ordinal))
        {
            return path;
        }
        byte[] bytes = Encoding.UTF8.GetBytes(path);
        int length = 0;
        for (int i = 0; i < bytes.Length; i++, length++)
        {
            bool escaped = bytes[i] == '\\' && i + 3 < bytes.Length && bytes.AsSpan(i + 1, 3).IndexOfAnyExceptInRange((byte)'0', (byte)'7') < 0;
            bytes[length] = escaped ? (byte)(((bytes[i + 1] - '0') << 6) | ((bytes[i + 2] - '0') << 3) | (bytes[i + 3] - '0')) : bytes[i];
            i += escaped ? 3 : 0;
        }
        return Encoding.UTF8.GetString(bytes, 0, length);
    }

    /// <summary>Lets the kernel read further ahead on this mount; needs root, and is not needed for anything to work.</summary>
    public static bool TrySetReadahead(string mountPoint, int kib)
    {
        if (Find(mountPoint) is not { } entry)
        {
            return false;
        }
        try
        {
            File.WriteAllText($"/sys/class/bdi/{entry.Device}/read_ahead_kb", kib.ToString(CultureInfo.InvariantCulture));
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
