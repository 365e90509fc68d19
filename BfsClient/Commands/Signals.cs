using System.Runtime.InteropServices;

namespace BfsClient.Commands;

/// <summary>What .NET does not offer for processes on Linux.</summary>
internal static unsafe partial class Signals
{
    private const int SigTerm = 15;
    private const int OpenWriteOnly = 1;

    /// <summary>Asks a process to end in order.</summary>
    public static void Terminate(int pid) => _ = Kill(pid, SigTerm);

    /// <summary>Lets go of the standard output, so that whoever reads it sees its end.</summary>
    public static void DetachOutput()
    {
        Console.Out.Flush();
        int nothing = Open("/dev/null", OpenWriteOnly);
        _ = Duplicate(nothing, 1);
        _ = Close(nothing);
    }

    /// <summary>The absolute path without symbolic links; null when there is none.</summary>
    public static string? RealPath(string path)
    {
        byte* resolved = RealPathOf(path, null);
        if (resolved == null)
        {
            return null;
        }
        string text = Marshal.PtrToStringUTF8((nint)resolved)!;
        NativeMemory.Free(resolved);
        return text;
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static partial int Duplicate(int from, int to);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "realpath", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial byte* RealPathOf(string path, byte* resolved);
}
