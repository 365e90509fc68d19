using System.Buffers.Binary;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.Versioning;
using BfsCore.Hosting.Storage;
using Microsoft.Win32.SafeHandles;

namespace BfsCore.Hosting;

/// <summary>Who is at the other end of a local socket, as the kernel knows it.</summary>
public readonly record struct SocketPeer(int Pid, uint Uid);

/// <summary>
/// Stream sockets in the file system. The kernel takes names of at most 107 bytes; ours are reached through the open
/// directory, so that the directory may have any name.
/// </summary>
[SupportedOSPlatform("linux")]
public static class UnixSockets
{
    private const int SocketLevel = 1;
    private const int PeerCredentials = 17;
    private const int CredentialBytes = 12;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Listens; a socket that an earlier process left there is replaced. Only the owner can connect.</summary>
    /// <exception cref="IOException">The socket cannot be made.</exception>
    public static Socket Listen(string path, int backlog)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            File.Delete(path);
            Reach(path, socket.Bind);
            // Nobody can connect before listen.
            File.SetUnixFileMode(path, OwnerOnly);
            socket.Listen(backlog);
            return socket;
        }
        catch (Exception e) when (e is SocketException or UnauthorizedAccessException)
        {
            socket.Dispose();
            throw new IOException($"cannot listen on {path}: {e.Message}", e);
        }
    }

    /// <summary>Connects; null when nobody listens there.</summary>
    /// <exception cref="IOException">It is not ours to connect to.</exception>
    public static Socket? TryConnect(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            if (File.Exists(path))
            {
                Reach(path, socket.Connect);
                return socket;
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AccessDenied)
        {
            socket.Dispose();
            throw new IOException($"{path}: {e.Message}", e);
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // A socket without a process.
        }
        socket.Dispose();
        return null;
    }

    /// <summary>The process that connected (SO_PEERCRED).</summary>
    public static SocketPeer PeerOf(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[CredentialBytes];
        socket.GetRawSocketOption(SocketLevel, PeerCredentials, credentials);
        return new SocketPeer(BinaryPrimitives.ReadInt32LittleEndian(credentials), BinaryPrimitives.ReadUInt32LittleEndian(credentials[4..]));
    }

    private static void Reach(string path, Action<System.Net.EndPoint> action)
    {
        string directory = Path.GetDirectoryName(Path.GetFullPath(path))!;
        int descriptor = LibC.Open(directory, LibC.OpenReadOnlyDirectory);
        if (descriptor < 0)
        {
            throw LibC.Error("opening " + directory);
        }
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        action(new UnixDomainSocketEndPoint(
            string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}/{Path.GetFileName(path)}")));
    }
}
