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
        uint[] groups = [.. ProcessStatus.Groups(caller.Pid).Take(FileLimits.MaxGroups)];
        _kept[key] = (groups, nowMicros + KeepMicros);
        return groups;
    }
}
