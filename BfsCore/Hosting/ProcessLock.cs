using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace BfsCore.Hosting;

/// <summary>
/// A file that one process at a time holds, for as long as it lives: the kernel takes the lock away with the process,
/// however it ends, and knows who has it. So a process identifier from here is never that of another, later process. The
/// file also holds the identifier as text, for people.
/// </summary>
[SupportedOSPlatform("linux")]
public sealed partial class ProcessLock : IDisposable
{
    private const int GetLock = 5;
    private const int SetLock = 6;
    private const short WriteLock = 1;
    private const short Unlocked = 2;
    private const int Access = 13;
    private const int Again = 11;

    private readonly SafeFileHandle _file;

    private ProcessLock(SafeFileHandle file) => _file = file;

    /// <summary>Takes the lock; null when another process has it.</summary>
    /// <exception cref="IOException">The file cannot be made or locked.</exception>
    public static ProcessLock? TryTake(string path)
    {
        SafeFileHandle file = Open(path, FileMode.OpenOrCreate, FileAccess.ReadWrite);
        var request = new FileLock { Type = WriteLock };
        if (Control(file, SetLock, ref request) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            file.Dispose();
            return error is Access or Again ? null : throw new IOException($"cannot lock {path}: {Marshal.GetPInvokeErrorMessage(error)}");
        }
        RandomAccess.SetLength(file, 0);
        RandomAccess.Write(file, System.Text.Encoding.ASCII.GetBytes(
            Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"), 0);
        return new ProcessLock(file);
    }

    /// <summary>The process that has the lock; null when none has.</summary>
    /// <exception cref="IOException">The file is there and cannot be read.</exception>
    public static int? HolderOf(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }
        using SafeFileHandle file = Open(path, FileMode.Open, FileAccess.Read);
        var request = new FileLock { Type = WriteLock };
        if (Control(file, GetLock, ref request) != 0)
        {
            throw new IOException($"cannot ask who locks {path}: {Marshal.GetLastPInvokeErrorMessage()}");
        }
        return request.Type == Unlocked ? null : request.Pid;
    }

    public void Dispose() => _file.Dispose();

    // .NET would lock the file in its own way, which has nothing to do with this one.
    private static SafeFileHandle Open(string path, FileMode mode, FileAccess access) =>
        File.OpenHandle(path, mode, access, FileShare.ReadWrite | FileShare.Delete);

    [StructLayout(LayoutKind.Sequential)]
    private struct FileLock
    {
        public short Type;
        public short Whence;
        public long Start;
        public long Length;
        public int Pid;
    }

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, int command, ref FileLock request);
}
