using System.Runtime.InteropServices;

namespace BfsBench;

/// <summary>
/// System calls as programs in C make them. The library's own file classes make more of them (locks, attributes), which
/// would be measured too.
/// </summary>
internal static unsafe partial class Posix
{
    public const int ReadOnly = 0;
    public const int WriteOnly = 1;
    public const int Create = 0x40;
    public const int Exclusive = 0x80;
    public const int Truncate = 0x200;
    public const int Append = 0x400;

    private const int Detach = 2;
    private const int KillSignal = 9;
    private const int DontNeed = 4;
    private const int ReadAndWrite = 3;
    private const int PrivateMemory = 0x22;
    private const int NoHugePages = 15;
    private const int StatBytes = 256;

    /// <exception cref="IOException">With the name of the call and what the system said, as for all below.</exception>
    public static int Open(string path, int flags) => Checked(open(path, flags, 0x1b6), "open", path);

    public static void Close(int file) => Checked(close(file), "close", "");

    /// <summary>Bytes read; 0 at the end.</summary>
    public static int Read(int file, Span<byte> buffer)
    {
        fixed (byte* bytes = buffer)
        {
            return (int)Checked(read(file, bytes, buffer.Length), "read", "");
        }
    }

    public static void Write(int file, ReadOnlySpan<byte> buffer)
    {
        fixed (byte* bytes = buffer)
        {
            for (int done = 0; done < buffer.Length;)
            {
                done += (int)Checked(write(file, bytes + done, buffer.Length - done), "write", "");
            }
        }
    }

    public static void MakeDirectory(string path) => Checked(mkdir(path, 0x1ff), "mkdir", path);

    public static void Unlink(string path) => Checked(unlink(path), "unlink", path);

    /// <summary>Asks for a file's attributes, and looks at none of them.</summary>
    public static void Stat(string path)
    {
        byte* attributes = stackalloc byte[StatBytes];
        Checked(lstat(path, attributes), "lstat", path);
    }

    public static void Sync(int file) => Checked(fsync(file), "fsync", "");

    /// <summary>The kernel forgets the pages of a file that are on their server, so that the next read asks there.</summary>
    /// <param name="length">Bytes from <paramref name="offset"/>; 0: to the end.</param>
    public static void DropPages(int file, long offset, long length) => _ = posix_fadvise(file, offset, length, DontNeed);

    /// <summary>Memory in pages of the usual size, of which the system gives each when it is first touched.</summary>
    public static byte* MapMemory(nint bytes)
    {
        nint memory = Checked(mmap(0, bytes, ReadAndWrite, PrivateMemory, -1, 0), "mmap", "");
        _ = madvise(memory, bytes, NoHugePages);
        return (byte*)memory;
    }

    public static void UnmapMemory(byte* memory, nint bytes) => _ = munmap((nint)memory, bytes);

    public static void UnmountLazily(string path)
    {
        if (umount2(path, Detach) != 0)
        {
            _ = ChildProgram.RunReading(new System.Diagnostics.ProcessStartInfo("fusermount3", ["-u", "-z", path]), null, _ => { });
        }
    }

    public static void Kill(int process) => _ = kill(process, KillSignal);

    public static bool IsRoot => geteuid() == 0;

    [LibraryImport("libc", EntryPoint = "getppid")]
    public static partial int ParentProcess();

    private static int Checked(int result, string call, string path) => (int)Checked((nint)result, call, path);

    private static nint Checked(nint result, string call, string path) =>
        result >= 0 ? result : throw new IOException($"{call} {path}: {Marshal.GetLastPInvokeErrorMessage()}");

#pragma warning disable IDE1006, SYSLIB1054 // the names of the C library
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int file, byte* buffer, nint count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int file, byte* buffer, nint count);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdir(string path, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlink(string path);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int lstat(string path, byte* attributes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int file);

    [LibraryImport("libc")]
    private static partial int posix_fadvise(int file, long offset, long length, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint mmap(nint address, nint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc")]
    private static partial int madvise(nint address, nint length, int advice);

    [LibraryImport("libc")]
    private static partial int munmap(nint address, nint length);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string path, int flags);

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);

    [LibraryImport("libc")]
    private static partial uint geteuid();
#pragma warning restore IDE1006, SYSLIB1054
}
