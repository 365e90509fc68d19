using System.Globalization;
using System.Runtime.InteropServices;

namespace BfsClient.Fuse;

/// <summary>
/// Attaches a directory to a FUSE descriptor and detaches it again: root does so itself, others through fusermount3.
/// </summary>
internal static class FuseMount
{
    private const string Device = "/dev/fuse";
    private const string TypeName = "fuse.bfs";
    private const int ProbeMillis = 2000;

    /// <summary>
    /// Mounts. A stale mount of a relay that died is cleared first. Errors are for people.
    /// </summary>
    /// <param name="viaHelper">Use fusermount3 though root asks.</param>
    /// <returns>The descriptor, or -1.</returns>
    public static int Mount(string mountPoint, MountOptions options, bool viaHelper, out string error)
    {
        error = ProblemOf(mountPoint);
        if (error.Length > 0)
        {
            return -1;
        }
        return Native.EffectiveUser() == 0 && !viaHelper
            ? MountDirectly(mountPoint, options, out error)
            : FuseHelper.Mount(mountPoint, HelperOptions(options), options.AllowOther, out error);
    }

    /// <summary>Detaches the directory. Not to be called on the thread that serves the mount.</summary>
    /// <param name="lazy">Even if it is in use: files that are open stay usable until they are closed.</param>
    public static bool Unmount(string mountPoint, bool lazy, out string error)
    {
        if (Native.EffectiveUser() == 0)
        {
            bool done = Native.Unmount(mountPoint, lazy ? Native.UnmountDetach : 0) == 0;
            int code = Marshal.GetLastPInvokeError();
            error = done ? "" : code == Native.EBUSY
                ? $"{mountPoint} is in use: close its files, or unmount lazily"
                : $"cannot unmount {mountPoint}: {Native.ErrorText(code)}";
            return done;
        }
        return FuseHelper.Unmount(mountPoint, lazy, out error);
    }

    /// <summary>Whether something is mounted on the directory and belongs to BFS.</summary>
    public static bool IsMounted(string mountPoint) =>
        MountTable.Find(mountPoint) is { FileSystemType: TypeName or "fuse" };

    private static string ProblemOf(string mountPoint)
    {
        if (MountTable.Find(mountPoint) is { } entry)
        {
            if (entry.FileSystemType != TypeName || !IsStale(mountPoint))
            {
                return $"{mountPoint} is busy: a file system of type {entry.FileSystemType} is mounted there already";
            }
            if (!Unmount(mountPoint, lazy: true, out string unmountError))
            {
                return $"{mountPoint} has a stale mount that cannot be cleared: {unmountError}";
            }
        }
        if (File.Exists(mountPoint))
        {
            return $"{mountPoint} is not a directory";
        }
        if (!Directory.Exists(mountPoint))
        {
            return $"the mount point {mountPoint} does not exist";
        }
        if (!File.Exists(Device))
        {
            return $"{Device} does not exist: load the kernel module 'fuse', or pass the device to the container";
        }
        return "";
    }

    /// <summary>
    /// A mount whose relay is gone answers ENOTCONN at once. A live one answers, or does not while its replicas are away:
    /// then it is not stale either.
    /// </summary>
    private static bool IsStale(string mountPoint)
    {
        bool stale = false;
        // statfs, because its answer is never cached.
        Thread probe = new(() => stale = AskFileSystem(mountPoint) is Native.ENOTCONN or Native.ECONNABORTED)
        {
            IsBackground = true,
        };
        probe.Start();
        return probe.Join(ProbeMillis) && stale;
    }

    private static unsafe int AskFileSystem(string mountPoint)
    {
        byte* statistics = stackalloc byte[256];
        return Native.StatFileSystem(mountPoint, statistics) == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    private static int MountDirectly(string mountPoint, MountOptions options, out string error)
    {
        int descriptor = Native.Open(Device, Native.OpenReadWrite | Native.OpenCloseOnExec);
        if (descriptor < 0)
        {
            error = $"cannot open {Device}: {Native.ErrorText(Marshal.GetLastPInvokeError())}";
            return -1;
        }
        string data = string.Create(CultureInfo.InvariantCulture,
            $"fd={descriptor},rootmode=40000,user_id={Native.EffectiveUser()},group_id={Native.EffectiveGroup()},default_permissions,max_read={FuseConstants.MaxTransferBytes}");
        data += options.AllowOther ? ",allow_other" : "";
        if (Native.Mount(options.Source, mountPoint, TypeName, FlagsOf(options), data) != 0)
        {
            error = $"cannot mount on {mountPoint}: {Native.ErrorText(Marshal.GetLastPInvokeError())}";
            _ = Native.Close(descriptor);
            return -1;
        }
        error = "";
        return descriptor;
    }

    private static ulong FlagsOf(MountOptions options) =>
        (options.ReadOnly ? Native.MountReadOnly : 0) |
        (options.AllowSetId ? 0 : Native.MountNoSuid) |
        (options.AllowDevices ? 0 : Native.MountNoDevices) |
        (options.NoExecute ? Native.MountNoExecute : 0);

    private static string HelperOptions(MountOptions options)
    {
        List<string> words =
        [
            "default_permissions", $"max_read={FuseConstants.MaxTransferBytes}",
            $"fsname={options.Source.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(",", "\\,", StringComparison.Ordinal)}",
            "subtype=bfs",
        ];
        if (options.AllowOther)
        {
            words.Add("allow_other");
        }
        words.Add(options.ReadOnly ? "ro" : "rw");
        if (options.NoExecute)
        {
            words.Add("noexec");
        }
        return string.Join(',', words);
    }
}
