using System.Runtime.InteropServices;
using System.Text;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;

namespace BfsReplica;

/// <summary>
/// The replica's end of the lines to and from its recovery monitor: standard input and output, both without waiting. What
/// a monitor that hangs does not take is dropped; a monitor that has gone is not missed.
/// </summary>
internal sealed unsafe partial class ControlChannel
{
    private const int Input = 0;
    private const int Output = 1;
    private const int SetFlags = 4;
    private const int GetFlags = 3;
    private const int NonBlocking = 0x800;
    private const int MaxLineBytes = 1 << 20;

    private readonly List<byte> _line = [];
    private EventLoop? _loop;
    private Action<ControlLine>? _onLine;

    public ControlChannel()
    {
        _ = Control(Input, SetFlags, Control(Input, GetFlags, 0) | NonBlocking);
        _ = Control(Output, SetFlags, Control(Output, GetFlags, 0) | NonBlocking);
    }

    /// <summary>From now on calls <paramref name="onLine"/> for every line, on the loop's thread.</summary>
    public void Attach(EventLoop loop, Action<ControlLine> onLine)
    {
        (_loop, _onLine) = (loop, onLine);
        loop.AddReader(Input, OnReadable);
    }

    public void Send(ControlLine line)
    {
        ReadOnlySpan<byte> bytes = Encoding.UTF8.GetBytes(RecoveryJson.Write(line) + "\n");
        while (bytes.Length > 0)
        {
            nint written;
            fixed (byte* start = bytes)
            {
                written = Write(Output, start, bytes.Length);
            }
            if (written <= 0)
            {
                return;
            }
            bytes = bytes[(int)written..];
        }
    }

    private void OnReadable()
    {
        byte* buffer = stackalloc byte[4096];
        nint length = Read(Input, buffer, 4096);
        if (length == 0)
        {
            // The monitor has gone. A loop's readers do not change while they run.
            _loop!.Defer(() => _loop.RemoveReader(Input));
        }
        for (int i = 0; i < length; i++)
        {
            if (buffer[i] != '\n')
            {
                if (_line.Count < MaxLineBytes)
                {
                    _line.Add(buffer[i]);
                }
                continue;
            }
            ControlLine? line = RecoveryJson.TryParse<ControlLine>(Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(_line)));
            _line.Clear();
            if (line is not null)
            {
                _onLine!(line);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(int fd, byte* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(int fd, byte* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int fd, int command, int argument);
}
