using System.Net.Sockets;
using System.Text;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using Microsoft.Extensions.Logging;

namespace BfsReplica.Monitoring;

/// <summary>Takes commands on the monitor's socket: each connection one line in, any number of lines out.</summary>
internal sealed class MonitorServer(RecoveryMonitor monitor, Socket listener, ILogger logger) : IDisposable
{
    private const int MaxCommandBytes = 4096;
    private const int MaxConnections = 16;

    private static readonly TimeSpan CommandPatience = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _connections = new(MaxConnections);

    /// <summary>Until the monitor ends; then what is under way is answered.</summary>
    public async Task RunAsync()
    {
        try
        {
            while (true)
            {
                await _connections.WaitAsync(monitor.Stopping).ConfigureAwait(false);
                Socket socket = await listener.AcceptAsync(monitor.Stopping).ConfigureAwait(false);
                _ = Task.Run(() => ServeAsync(socket));
            }
        }
        catch (OperationCanceledException)
        {
            // The last answers go out.
            for (int i = 1; i < MaxConnections; i++)
            {
                await _connections.WaitAsync(CommandPatience).ConfigureAwait(false);
            }
        }
    }

    public void Dispose() => _connections.Dispose();

    private async Task ServeAsync(Socket socket)
    {
        try
        {
            using (socket)
            {
                await using var stream = new NetworkStream(socket);
                using var patience = new CancellationTokenSource(CommandPatience);
                string? line = await new BoundedLines(stream, MaxCommandBytes).ReadAsync(patience.Token).ConfigureAwait(false);
                MonitorCommand? command = line is null ? null : RecoveryJson.TryParse<MonitorCommand>(line);
                // One writer at a time; somebody who does not read is not waited for.
                var answers = new Lock();
                socket.SendTimeout = (int)CommandPatience.TotalMilliseconds;
                void Say(MonitorLine answer)
                {
                    lock (answers)
                    {
                        Send(socket, answer);
                    }
                }
                Say(await ExecuteAsync(command, UnixSockets.PeerOf(socket), Say).ConfigureAwait(false));
            }
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
        {
            // Whoever asked has gone.
        }
        finally
        {
            _connections.Release();
        }
    }

    private async Task<MonitorLine> ExecuteAsync(MonitorCommand? command, SocketPeer peer, Action<MonitorLine> say)
    {
        try
        {
            switch (command?.Command)
            {
                case MonitorCommand.Start:
                    return new MonitorLine { Done = true, Pid = await monitor.StartAsync(say).ConfigureAwait(false) };
                case MonitorCommand.Stop:
                    await monitor.StopAsync().ConfigureAwait(false);
                    return new MonitorLine { Done = true };
                case MonitorCommand.Recover:
                    RecoveryRecord record = await monitor.RecoverAsync(new RecoveryCause("operator", Users.NameOf(peer.Uid)),
                        command.Force, say).ConfigureAwait(false);
                    return new MonitorLine { Done = record.Error is null, Error = record.Error, Record = record };
                case MonitorCommand.Status:
                    return monitor.Status;
                default:
                    return new MonitorLine { Error = "this recovery monitor does not know that command" };
            }
        }
        catch (Exception e) when (e is MonitorException or IOException or UnauthorizedAccessException)
        {
            logger.LogError("monitor: {Message}", e.Message);
            return new MonitorLine { Error = e.Message };
        }
    }

    private static void Send(Socket socket, MonitorLine line)
    {
        try
        {
            ReadOnlySpan<byte> bytes = Encoding.UTF8.GetBytes(RecoveryJson.Write(line) + "\n");
            while (bytes.Length > 0)
            {
                bytes = bytes[socket.Send(bytes)..];
            }
        }
        catch (SocketException)
        {
            // Whoever asked has gone; what was asked goes on.
        }
    }
}
