using System.Net;
using System.Net.Sockets;
using BfsCore;

namespace BfsBench;

/// <summary>The other end of <see cref="ViewChangeProbe"/>: makes replicas leave, and asks what they measured.</summary>
internal sealed class ViewChangeControl : IDisposable
{
    private const int PatienceMillis = 500;

    private readonly Socket[] _sockets;
    private readonly byte[] _buffer = new byte[65_536];

    public ViewChangeControl(ClusterConfig config)
    {
        _sockets = [.. config.Replicas.Select(r =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = PatienceMillis };
            socket.Connect(new IPEndPoint(IPAddress.Loopback, r.Port));
            return socket;
        })];
    }

    /// <summary>All replicas leave their view, each as soon as it reads this.</summary>
    public void LeaveAll()
    {
        byte[] message = ViewChangeProbe.LeaveMessage;
        Array.ForEach(_sockets, s => s.Send(message));
    }

    /// <summary>How each replica is, and its view changes since it was last asked; null for one that does not answer.</summary>
    public (ProbeState State, List<TimedViewChange> Timed)?[] Ask()
    {
        return [.. _sockets.Select(Ask)];
    }

    private (ProbeState State, List<TimedViewChange> Timed)? Ask(Socket socket)
    {
        try
        {
            socket.Send(ViewChangeProbe.ReportMessage);
            int length = socket.Receive(_buffer);
            return ViewChangeProbe.ReadReport(_buffer.AsSpan(0, length));
        }
        catch (SocketException)
        {
            // Nobody listens there, or it is too busy.
            return null;
        }
    }

    public void Dispose() => Array.ForEach(_sockets, s => s.Dispose());
}
