using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace BfsClient.Fuse;

/// <summary>
/// fusermount3, the set-user-ID helper with which people who are not root mount: it hands the open device back over a
/// socket whose number is in _FUSE_COMMFD.
/// </summary>
internal static unsafe class FuseHelper
{
    private const string Program = "fusermount3";
    private const string SocketVariable = "_FUSE_COMMFD";

    /// <returns>The descriptor, or -1.</returns>
    public static int Mount(string mountPoint, string options, bool allowOther, out string error)
    {
        if (allowOther && Native.EffectiveUser() != 0 && !AllowsOthers())
        {
            error = "allow_other needs the line 'user_allow_other' in /etc/fuse.conf";
            return -1;
        }
        int* ends = stackalloc int[2];
        if (Native.SocketPair(Native.UnixFamily, Native.StreamSocket, 0, ends) != 0)
        {
            error = $"cannot make a socket: {Native.ErrorText(Marshal.GetLastPInvokeError())}";
            return -1;
        }
        // Only the helper's end survives exec.
        _ = Native.Fcntl(ends[0], Native.SetDescriptorFlags, Native.DescriptorCloseOnExec);
        Process? helper = Start(["-o", options, "--", mountPoint], ends[1], out error);
        _ = Native.Close(ends[1]);
        int descriptor = helper is null ? -1 : Receive(ends[0]);
        _ = Native.Close(ends[0]);
        if (helper is not null)
        {
            string said = helper.StandardError.ReadToEnd().Trim();
            helper.WaitForExit();
            helper.Dispose();
            error = descriptor >= 0 ? "" : said.Length > 0 ? said : $"{Program} gave no descriptor";
        }
        return descriptor;
    }

    public static bool Unmount(string mountPoint, bool lazy, out string error)
    {
        Process? helper = Start(lazy ? ["-u", "-z", "--", mountPoint] : ["-u", "--", mountPoint], -1, out error);
        if (helper is null)
        {
            return false;
        }
        using (helper)
        {
            error = helper.StandardError.ReadToEnd().Trim();
            helper.WaitForExit();
            return helper.ExitCode == 0;
        }
    }

    private static Process? Start(string[] arguments, int socket, out string error)
    {
        ProcessStartInfo start = new(Program) { RedirectStandardError = true, WorkingDirectory = "/" };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }
        if (socket >= 0)
        {
            start.Environment[SocketVariable] = socket.ToString(CultureInfo.InvariantCulture);
        }
        try
        {
            error = "";
            return Process.Start(start);
        }
        catch (Win32Exception)
        {
            error = $"{Program} is missing: install the package fuse3, or mount as root";
            return null;
        }
    }

    private static bool AllowsOthers()
    {
        try
        {
            return File.ReadLines("/etc/fuse.conf").Any(line => line.Trim() == "user_allow_other");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>The descriptor that comes with one byte of data, made close-on-exec; -1 if none comes.</summary>
    private static int Receive(int socket)
    {
        byte data = 0;
        Native.RightsControl control = default;
        Native.IoVector vector = new() { Base = &data, Length = 1 };
        Native.MessageHeader message = new()
        {
            Vectors = &vector,
            VectorCount = 1,
            Control = (byte*)&control,
            ControlLength = sizeof(Native.RightsControl),
        };
        nint received;
        do
        {
            received = Native.ReceiveMessage(socket, &message, 0);
        }
        while (received < 0 && Marshal.GetLastPInvokeError() == Native.EINTR);
        bool hasRights = received > 0 && message.ControlLength >= sizeof(Native.RightsControl) - sizeof(int) &&
            control.Level == Native.SocketLevel && control.Type == Native.RightsMessage;
        if (!hasRights)
        {
            return -1;
        }
        _ = Native.Fcntl(control.Descriptor, Native.SetDescriptorFlags, Native.DescriptorCloseOnExec);
        return control.Descriptor;
    }
}
