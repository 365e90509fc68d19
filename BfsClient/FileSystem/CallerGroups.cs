using System.Globalization;
using System.Text;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>
/// Supplementary groups of a calling process, from /proc. Kept for a moment, since a process makes many calls; root needs
/// none.
/// </summary>
internal sealed class CallerGroups
{
    private const long KeepMicros = 250_000;
    private const int MaxKept = 256;

    private readonly Dictionary<(uint Pid, uint Uid, uint Gid), (uint[] Groups, long UntilMicros)> _kept = [];
    private readonly byte[] _buffer = new byte[4096];

    /// <summary>At most <see cref="FileLimits.MaxGroups"/> groups; none if the process cannot be seen.</summary>
    public uint[] Of(in Caller caller, long nowMicros)
    {
        if (caller.Uid == 0 || caller.Pid == 0)
        {
            return [];
        }
        (uint, uint, uint) key = (caller.Pid, caller.Uid, caller.Gid);
        if (_kept.TryGetValue(key, out (uint[] Groups, long UntilMicros) kept) && nowMicros < kept.UntilMicros)
        {
            return kept.Groups;
        }
        if (_kept.Count >= MaxKept)
        {
            _kept.Clear();
        }
        uint[] groups = Read(caller.Pid);
        _kept[key] = (groups, nowMicros + KeepMicros);
        return groups;
    }

    private uint[] Read(uint pid)
    {
        try
        {
            using Microsoft.Win32.SafeHandles.SafeFileHandle file =
                File.OpenHandle(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/status"));
            int length = RandomAccess.Read(file, _buffer, 0);
            return Parse(_buffer.AsSpan(0, length));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Takes the "Groups:" line out of a status file.</summary>
    internal static uint[] Parse(ReadOnlySpan<byte> status)
    {
        int at = status.IndexOf("\nGroups:"u8);
        if (at < 0)
        {
            return [];
        }
        ReadOnlySpan<byte> line = status[(at + 8)..];
        int end = line.IndexOf((byte)'\n');
        string text = Encoding.ASCII.GetString(end < 0 ? line : line[..end]);
        List<uint> groups = [];
        foreach (string word in text.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (groups.Count < FileLimits.MaxGroups &&
                uint.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out uint group))
            {
                groups.Add(group);
            }
        }
        return [.. groups];
    }
}
