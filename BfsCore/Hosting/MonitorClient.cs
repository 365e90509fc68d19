using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace BfsCore.Hosting;

/// <summary>Asks all replicas of a cluster how they are.</summary>
public static class MonitorClient
{
    private const int ResendMillis = 100;

    private delegate void WriteMessage(Span<byte> message, ulong nonce);

    /// <summary>Asks all replicas at once and waits for the answers.</summary>
    /// <param name="timeout">How long to wait for one that does not answer.</param>
    /// <returns>Per replica its answer, or null when it could not be reached.</returns>
    public static async Task<MonitorAnswer?[]> AskAllAsync(ClusterConfig config, TimeSpan timeout) =>
        await Task.WhenAll(config.Replicas.Select(replica => AskAsync(replica, timeout))).ConfigureAwait(false);

    /// <summary>Asks one replica; null when there is no answer in time, or nobody listens there.</summary>
    public static Task<MonitorAnswer?> AskAsync(ReplicaInfo replica, TimeSpan timeout) => SendAsync(replica, timeout, MonitorProtocol.WriteQuery);

    /// <summary>
    /// Has a replica that was started for tests cut links; null when there is no answer in time, as from one that was not.
    /// </summary>
    /// <param name="from">One bit for each replica that it is not to hear.</param>
    /// <param name="to">One bit for each replica that it is not to send to.</param>
    public static Task<MonitorAnswer?> CutAsync(ReplicaInfo replica, ulong from, ulong to, TimeSpan timeout) =>
        SendAsync(replica, timeout, (message, nonce) => MonitorProtocol.WriteCut(message, nonce, from, to));

    private static async Task<MonitorAnswer?> SendAsync(ReplicaInfo replica, TimeSpan timeout, WriteMessage write)
    {
        try
        {
            IPAddress[] addresses = IPAddress.TryParse(replica.Host, out IPAddress? address)
                ? [address]
                : await Dns.GetHostAddressesAsync(replica.Host).ConfigureAwait(false);
            return addresses.Length == 0
                ? null
                : await SendAsync(new IPEndPoint(addresses[0], replica.Port), replica.Id, timeout, write).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            // Connected: a machine that says that nobody listens there is heard at once.
            return null;
        }
    }

    private static async Task<MonitorAnswer?> SendAsync(IPEndPoint endPoint, ReplicaId id, TimeSpan timeout, WriteMessage write)
    {
        using var socket = new Socket(endPoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(endPoint).ConfigureAwait(false);
        byte[] query = new byte[MonitorProtocol.QueryBytes];
        byte[] answer = new byte[MonitorProtocol.QueryBytes];
        ulong nonce = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        write(query, nonce);
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) is var passed && passed < timeout)
        {
            await socket.SendAsync(query).ConfigureAwait(false);
            TimeSpan wait = TimeSpan.FromMilliseconds(Math.Clamp((timeout - passed).TotalMilliseconds, 1, ResendMillis));
            using var patience = new CancellationTokenSource(wait);
            try
            {
                while (true)
                {
                    int length = await socket.ReceiveAsync(answer, patience.Token).ConfigureAwait(false);
                    if (MonitorProtocol.TryReadAnswer(answer.AsSpan(0, length), nonce, out MonitorAnswer result)
                        && result.Id == id.Value)
                    {
                        return result;
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // Nothing yet: ask again.
            }
        }
        return null;
    }
}
