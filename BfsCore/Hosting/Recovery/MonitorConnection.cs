using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text;

namespace BfsCore.Hosting.Recovery;

/// <summary>Gives a command to the recovery monitor of a replica of this machine.</summary>
[SupportedOSPlatform("linux")]
public static class MonitorConnection
{
    /// <summary>A record with thousands of damaged pages fits.</summary>
    private const int MaxLineBytes = 16 << 20;

    /// <summary>Sends a command and waits for its end.</summary>
    /// <param name="onLine">Called with the lines before the last.</param>
    /// <returns>The last line; null when no monitor listens, or it has gone before the end.</returns>
    /// <exception cref="IOException">The monitor is another user's.</exception>
    /// <exception cref="OperationCanceledException">Not waited for any longer; what was asked goes on.</exception>
    public static async Task<MonitorLine?> SendAsync(string path, MonitorCommand command, Action<MonitorLine> onLine,
        CancellationToken cancellation = default)
    {
        using Socket? socket = UnixSockets.TryConnect(path);
        if (socket is null)
        {
            return null;
        }
        try
        {
            await using var stream = new NetworkStream(socket);
            await stream.WriteAsync(Encoding.UTF8.GetBytes(RecoveryJson.Write(command) + "\n"), cancellation).ConfigureAwait(false);
            var lines = new BoundedLines(stream, MaxLineBytes);
            while (await lines.ReadAsync(cancellation).ConfigureAwait(false) is { } text)
            {
                if (RecoveryJson.TryParse<MonitorLine>(text) is not { } line)
                {
                    continue;
                }
                if (line.IsLast)
                {
                    return line;
                }
                onLine(line);
            }
        }
        catch (Exception e) when (e is SocketException || (e is IOException && e.InnerException is SocketException))
        {
            // The monitor has gone.
        }
        return null;
    }
}
