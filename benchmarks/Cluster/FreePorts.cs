using System.Net;
using System.Net.Sockets;

namespace BfsBench;

/// <summary>UDP ports of loopback that nobody uses.</summary>
internal static class FreePorts
{
    // Above the ports of drives, below those that the kernel gives to whoever asks for any.
    private const int First = 27_000;
    private const int Last = 32_700;

    private static int s_next = First + (Environment.ProcessId % 500 * 10);

    /// <summary>The first of so many in a row.</summary>
    public static int Find(int count)
    {
        for (int tries = 0; tries < Last - First; tries++)
        {
            int first = s_next;
            s_next = first + count > Last - count ? First : first + count;
            if (Enumerable.Range(first, count).All(IsFree))
            {
                return first;
            }
        }
        throw new BenchException($"there are no {count} free UDP ports in a row from {First} to {Last}");
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
