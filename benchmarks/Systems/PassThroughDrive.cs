using System.Diagnostics;

namespace BfsBench;

/// <summary>
/// A local directory through libfuse's example passthrough_ll, compiled here from the package's documentation: what FUSE
/// itself costs.
/// </summary>
internal sealed class PassThroughDrive : IFileSystemUnderTest
{
    private const string Examples = "/usr/share/doc/libfuse3-dev/examples";
    private const string Source = Examples + "/passthrough_ll.c";
    private const int PatienceMillis = 10_000;

    private Scratch? _scratch;

    public string Name => SystemNames.PassThrough;

    public string? WhyNot() =>
        !File.Exists(Source) ? $"{Source} is not there (package libfuse3-dev)"
        : ChildProgram.Find("gcc") is null || ChildProgram.Find("pkg-config") is null ? "it is compiled, and gcc or pkg-config is missing (packages gcc, pkg-config)"
        : !File.Exists("/dev/fuse") ? "there is no /dev/fuse"
        : !Posix.IsRoot && ChildProgram.Find("fusermount3") is null ? "fusermount3 is missing (package fuse3)"
        : null;

    public string Start()
    {
        _scratch = new Scratch("pass", inMemory: true);
        string program = _scratch.In("passthrough");
        string[] flags = ChildProgram.Run("pkg-config", "fuse3", "--cflags", "--libs").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        ChildProgram.Run("gcc", ["-O2", "-w", "-I", Examples, "-o", program, Source, .. flags]);
        string mountPoint = _scratch.Make("drive");
        // The program itself goes into the background once it has mounted.
        ProcessStartInfo start = ChildProgram.Detached("sh", "-c", "exec \"$@\" >/dev/null 2>&1", "sh", program, "-o",
            $"source={_scratch.Make("source")},cache=auto,timeout=1", mountPoint);
        ChildProgram.Run(start);
        WaitForMount(mountPoint);
        return mountPoint;
    }

    public void Report(Results results)
    {
    }

    public void Dispose() => _scratch?.Dispose();

    private static void WaitForMount(string mountPoint)
    {
        for (int i = 0; i < PatienceMillis / 10; i++)
        {
            if (Mounts.Has(mountPoint))
            {
                return;
            }
            Thread.Sleep(10);
        }
        throw new BenchException("passthrough_ll did not mount");
    }
}
