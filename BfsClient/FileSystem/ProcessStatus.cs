using System.Globalization;
using System.Text;

namespace BfsClient.FileSystem;

/// <summary>What /proc/PID/status says of a thread that makes a call. Nothing is known of threads that cannot be seen.</summary>
internal static class ProcessStatus
{
    private const int ReadBytes = 4096;
    private const ulong KillSignal = 1UL << (9 - 1);

    /// <summary>Supplementary groups.</summary>
    public static uint[] Groups(uint pid) => ParseGroups(Read(pid));

    /// <summary>
    /// Whether the thread is about to die: of SIGKILL, or of another signal that ends it, which the kernel turns into
    /// SIGKILL for every thread.
    /// </summary>
    public static bool IsKilled(uint pid) => pid != 0 && ParseKilled(Read(pid));

    internal static uint[] ParseGroups(string status)
    {
        List<uint> groups = [];
        foreach (string word in Field(status, "Groups:").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (uint.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out uint group))
            {
                groups.Add(group);
            }
        }
        return [.. groups];
    }

    internal static bool ParseKilled(string status) =>
        ((Signals(status, "SigPnd:") | Signals(status, "ShdPnd:")) & KillSignal) != 0;

    private static ulong Signals(string status, string field) =>
        ulong.TryParse(Field(status, field), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong mask)
            ? mask
            : 0;

    private static string Field(string status, string name)
    {
        int at = status.IndexOf("\n" + name, StringComparison.Ordinal);
        if (at < 0)
        {
            return "";
        }
        int start = at + 1 + name.Length;
        int end = status.IndexOf('\n', start);
        return (end < 0 ? status[start..] : status[start..end]).Trim();
    }

    private static string Read(uint pid)
    {
        try
        {
            using Microsoft.Win32.SafeHandles.SafeFileHandle file =
                File.OpenHandle(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/status"));
            Span<byte> buffer = stackalloc byte[ReadBytes];
            int length = RandomAccess.Read(file, buffer, 0);
            return Encoding.ASCII.GetString(buffer[..length]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
