using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace BfsCore.Hosting.Net;

/// <summary>
/// A second socket on a replica's port, which gets what comes from the addresses of the other replicas (pitfall 2): a flood
/// from anywhere else fills the first socket's buffer in the kernel and leaves this one alone. The kernel chooses by a classic BPF
/// program over source address and port; nobody has to configure or open another port. Who can forge a replica's source
/// address gets into this lane; that is for the network's filters to prevent.
/// </summary>
internal static unsafe partial class ReplicaLane
{
    private const int SolSocket = 1;
    private const int SoReusePort = 15;
    private const int SoAttachReusePortCbpf = 51;

    /// <summary>Offsets from here are into the network header.</summary>
    private const uint NetworkHeader = unchecked((uint)-0x100000);
    private const ushort LoadWord = 0x20;
    private const ushort LoadHalf = 0x28;
    private const ushort JumpIfEqual = 0x15;
    private const ushort Return = 0x06;

    /// <summary>Sockets of a group are numbered in the order in which they joined it.</summary>
    private const uint FirstSocket = 0;
    private const uint SecondSocket = 1;

    /// <summary>
    /// Opens the lane beside a socket that is bound already (so that a second process on the same port is still refused); null
    /// where the system cannot do it, and all then comes through the one socket.
    /// </summary>
    public static UdpSocket? TryOpen(UdpSocket first, IEnumerable<IPEndPoint> others)
    {
        UdpSocket? second = null;
        try
        {
            first.Socket.SetRawSocketOption(SolSocket, SoReusePort, BitConverter.GetBytes(1));
            second = new UdpSocket(first.LocalEndPoint, s => s.SetRawSocketOption(SolSocket, SoReusePort, BitConverter.GetBytes(1)));
            Filter[] program = Program([.. others]);
            fixed (Filter* instructions = program)
            {
                var attached = new FilterProgram { Length = (ushort)program.Length, Instructions = instructions };
                if (SetSockOpt(second.Descriptor, SolSocket, SoAttachReusePortCbpf, &attached, (uint)sizeof(FilterProgram)) == 0)
                {
                    return second;
                }
            }
        }
        catch (SocketException)
        {
            // Handled below: without the program the kernel would spread datagrams over both sockets.
        }
        second?.Dispose();
        return null;
    }

    /// <summary>For each replica: all words of its address, then its port; the first that differs leads to the next replica.</summary>
    private static Filter[] Program(IPEndPoint[] replicas)
    {
        var program = new List<Filter>();
        foreach (IPEndPoint replica in replicas)
        {
            byte[] address = replica.Address.GetAddressBytes();
            bool v4 = address.Length == 4;
            uint at = NetworkHeader + (v4 ? 12u : 8u);
            int words = address.Length / 4;
            for (int i = 0; i < words; i++)
            {
                // What is left to skip: the remaining words and the port, two instructions each, and the return.
                byte skip = (byte)((2 * (words - 1 - i)) + 3);
                uint word = (uint)(address[4 * i] << 24 | address[(4 * i) + 1] << 16 | address[(4 * i) + 2] << 8 | address[(4 * i) + 3]);
                program.Add(new Filter(LoadWord, 0, 0, at + (uint)(4 * i)));
                program.Add(new Filter(JumpIfEqual, 0, skip, word));
            }
            program.Add(new Filter(LoadHalf, 0, 0, NetworkHeader + (v4 ? 20u : 40u)));
            program.Add(new Filter(JumpIfEqual, 0, 1, (uint)replica.Port));
            program.Add(new Filter(Return, 0, 0, SecondSocket));
        }
        program.Add(new Filter(Return, 0, 0, FirstSocket));
        return [.. program];
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Filter(ushort Code, byte IfTrue, byte IfFalse, uint Operand);

    [StructLayout(LayoutKind.Sequential)]
    private struct FilterProgram
    {
        public ushort Length;
        public Filter* Instructions;
    }

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetSockOpt(int fd, int level, int option, void* value, uint length);
}
