using System.Diagnostics;
using BfsClient.Fuse;

namespace BfsClient.Commands;

/// <summary>Mount points as people name them, and who uses what is mounted there.</summary>
internal static class MountPoints
{
    private const int PollMillis = 10;

    /// <summary>
    /// The absolute path without symbolic links. A stale mount cannot be looked at, and the kernel knows it by the path to
    /// it anyway; so only what is above it is resolved then.
    /// </summary>
    public static string Resolve(string path)
    {
        if (path.Length == 0)
        {
            throw new CommandException("the mount point is an empty name") { ExitCode = 2 };
        }
        string full = Path.GetFullPath(path).TrimEnd('/');
        string parent = Path.GetDirectoryName(full) ?? "/";
        string above = Signals.RealPath(parent) ?? parent;
        string here = Path.Combine(above, Path.GetFileName(full));
        return MountTable.Find(here) is null ? Signals.RealPath(full) ?? here : here;
    }

    /// <summary>Whether the drive is mounted and answers; this process is not its relay.</summary>
    public static bool WaitUntilUsable(string mountPoint, TimeSpan patience)
    {
        var watch = Stopwatch.StartNew();
        bool usable = false;
        var probe = new Thread(() => usable = FuseMount.IsMounted(mountPoint) && Directory.Exists(mountPoint))
        {
            IsBackground = true,
        };
        probe.Start();
        while (!probe.Join(PollMillis) && watch.Elapsed < patience)
        {
        }
        return usable;
    }

    /// <summary>
    /// Processes with a working directory, a program, a mapping or an open file on the mount. Only names of open files
    /// are read, so a drive that does not answer is no hindrance. Of other users' processes it knows nothing.
    /// </summary>
    public static IReadOnlyList<string> UsersOf(string mountPoint)
    {
        var users = new List<string>();
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(process), out int pid) && Uses(process, mountPoint))
            {
                users.Add($"process {pid} ({NameOf(process)})");
            }
        }
        return users;
    }

    private static bool Uses(string process, string mountPoint)
    {
        try
        {
            IEnumerable<string> links = ((string[])["cwd", "root", "exe"]).Select(name => Path.Combine(process, name))
                .Concat(Directory.EnumerateFiles(Path.Combine(process, "fd")));
            return links.Any(link => IsIn(LinkTarget(link), mountPoint)) || MapsUse(process, mountPoint);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It ended, or is not ours to look into.
            return false;
        }
    }

    private static bool MapsUse(string process, string mountPoint) =>
        File.ReadLines(Path.Combine(process, "maps")).Any(line =>
            line.IndexOf('/', StringComparison.Ordinal) is > 0 and var at && IsIn(line[at..], mountPoint));

    private static string? LinkTarget(string link) => new FileInfo(link).LinkTarget;

    private static bool IsIn(string? path, string mountPoint) => path is not null
        && (path == mountPoint || path.StartsWith(mountPoint + "/", StringComparison.Ordinal));

    private static string NameOf(string process)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "comm")).Trim();
        }
        catch (IOException)
        {
            return "ended";
        }
    }
}
