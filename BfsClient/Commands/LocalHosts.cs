using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace BfsClient.Commands;

/// <summary>Which hosts of a cluster file are this machine.</summary>
internal static class LocalHosts
{
    public static bool IsLocal(string host)
    {
        if (host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || host.Equals(Environment.MachineName, StringComparison.OrdinalIgnoreCase))
        {
            return true;
        }
        try
        {
            IPAddress[] addresses = IPAddress.TryParse(host, out IPAddress? address) ? [address] : Dns.GetHostAddresses(host);
            return Array.Exists(addresses, a => IPAddress.IsLoopback(a) || a.Equals(IPAddress.Any)
                || Array.Exists(NetworkInterface.GetAllNetworkInterfaces(),
                    i => i.GetIPProperties().UnicastAddresses.Any(u => u.Address.Equals(a))));
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Whether a range of UDP ports is free on an address of this machine.</summary>
    public static bool PortsAreFree(string host, int first, int count)
    {
        IPAddress address = IPAddress.TryParse(host, out IPAddress? parsed) ? parsed : IPAddress.Loopback;
        for (int port = first; port < first + count; port++)
        {
            using var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            try
            {
                socket.Bind(new IPEndPoint(address, port));
            }
            catch (SocketException)
            {
                return false;
            }
        }
        return true;
    }
}
