using System.Diagnostics;
using System.Runtime.InteropServices;
using BfsCore.Hosting.Recovery;

namespace BfsReplica.Monitoring;

/// <summary>
/// A process that the recovery monitor has started, with lines to and from it. Its error output is the monitor's own.
/// </summary>
internal sealed partial class ChildProcess : IDisposable
{
    private const int MaxLineBytes = 1 << 20;
    private const int SigTerm = 15;

    private readonly Process _process;
    private readonly Task _reading;

    private ChildProcess(Process process, Action<string> onLine)
    {
        _process = process;
        Pid = process.Id;
        _reading = ReadAsync(onLine);
        Ended = WaitAsync();
    }

    public int Pid { get; }

    /// <summary>
    /// Completes with the exit code when the process has gone and all its lines were read; 128 and the signal's number when
    /// it was killed.
    /// </summary>
    public Task<int> Ended { get; }

    /// <param name="program">A .NET assembly, run by the same runtime as this process.</param>
    /// <exception cref="IOException">It cannot be started.</exception>
    public static ChildProcess Start(string program, IEnumerable<string> arguments, Action<string> onLine)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true, WorkingDirectory = "/" };
        foreach (string argument in (string[])[program, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }
        try
        {
            return new ChildProcess(Process.Start(start)!, onLine);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new IOException($"cannot start {start.FileName}: {e.Message}", e);
        }
    }

    /// <summary>Sends a line; nothing happens when the process has gone.</summary>
    public void Send(string line)
    {
        try
        {
            _process.StandardInput.Write(line + "\n");
            _process.StandardInput.Flush();
        }
        catch (IOException)
        {
            // Its end is noticed elsewhere.
        }
    }

    /// <summary>Ends the lines to it.</summary>
    public void CloseInput()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has gone.
        }
    }

    /// <summary>Asks it to end in order.</summary>
    public void Terminate() => _ = Signal(Pid, SigTerm);

    /// <summary>Ends it at once.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Whether it has ended within a time.</summary>
    public async Task<bool> EndsWithinAsync(TimeSpan patience) =>
        await Task.WhenAny(Ended, Task.Delay(patience)).ConfigureAwait(false) == Ended;

    public void Dispose() => _process.Dispose();

    private async Task<int> WaitAsync()
    {
        await _process.WaitForExitAsync().ConfigureAwait(false);
        await _reading.ConfigureAwait(false);
        return _process.ExitCode;
    }

    private async Task ReadAsync(Action<string> onLine)
    {
        var lines = new BoundedLines(_process.StandardOutput.BaseStream, MaxLineBytes);
        try
        {
            while (await lines.ReadAsync().ConfigureAwait(false) is { } line)
            {
                onLine(line);
            }
        }
        catch (IOException)
        {
            // The same as its end.
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Signal(int pid, int signal);
}
