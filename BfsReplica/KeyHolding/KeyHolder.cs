using System.Buffers.Binary;
using System.Net.Sockets;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.KeyHolding;
using Microsoft.Extensions.Logging;

namespace BfsReplica.KeyHolding;

/// <summary>
/// Serves the private key of one replica to one process at a time: the one that the recovery monitor has named. Everybody
/// else is turned away, and so is a process whose bytes make no sense.
/// </summary>
/// <param name="publicKey">65 bytes.</param>
internal sealed class KeyHolder(string path, ReplicaId id, int n, ISigner signer, byte[] publicKey, ILogger logger) : IDisposable
{
    private const int Backlog = 4;

    private readonly Socket _listener = UnixSockets.Listen(path, Backlog);
    private readonly byte[] _argument = new byte[KeyHolderProtocol.MaxArgumentBytes];
    private readonly byte[] _result = new byte[KeyHolderProtocol.HeaderBytes + KeyHolderProtocol.SignatureBytes];
    private readonly Lock _lock = new();
    private int _allowed;
    private Socket? _connection;
    private bool _closing;
    private ulong _lastCounter;

    /// <summary>From now on this process is the replica; an earlier one is cut off.</summary>
    public void Allow(int pid)
    {
        lock (_lock)
        {
            _allowed = pid;
            _connection?.Shutdown(SocketShutdown.Both);
        }
    }

    /// <summary>No process will be named any more: ends <see cref="Run"/> when the replica has gone.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closing = true;
            if (_connection is null)
            {
                _listener.Dispose();
            }
        }
    }

    /// <summary>Serves one connection after the other until <see cref="Close"/>; others are turned away meanwhile.</summary>
    public void Run()
    {
        while (Accept() is { } socket)
        {
            if (TryAdmit(socket))
            {
                new Thread(() => ServeAndFinish(socket)) { IsBackground = true }.Start();
            }
            else
            {
                socket.Dispose();
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    private Socket? Accept()
    {
        while (true)
        {
            try
            {
                return _listener.Accept();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                lock (_lock)
                {
                    if (_closing && _connection is null)
                    {
                        return null;
                    }
                }
                logger.LogWarning("key holder: {Message}", e.Message);
                Thread.Sleep(100);
            }
        }
    }

    private bool TryAdmit(Socket socket)
    {
        SocketPeer peer = UnixSockets.PeerOf(socket);
        lock (_lock)
        {
            if (peer.Pid != _allowed || _connection is not null || _closing)
            {
                return false;
            }
            _connection = socket;
            return true;
        }
    }

    private void ServeAndFinish(Socket socket)
    {
        try
        {
            Serve(socket);
        }
        catch (SocketException)
        {
            // It has gone.
        }
        lock (_lock)
        {
            _connection = null;
            socket.Dispose();
            if (_closing)
            {
                _listener.Dispose();
            }
        }
    }

    private void Serve(Socket socket)
    {
        byte[] greeting = [.. KeyHolderProtocol.Greeting, .. publicKey];
        socket.Send(greeting);
        Span<byte> header = stackalloc byte[KeyHolderProtocol.HeaderBytes];
        while (TryReceive(socket, header))
        {
            if (!KeyHolderProtocol.TryReadCall(header, out KeyHolderCall call, out int size))
            {
                logger.LogError("key holder: the replica's process sends bytes that are no call; it is cut off");
                return;
            }
            Span<byte> argument = _argument.AsSpan(0, size);
            if (!TryReceive(socket, argument))
            {
                return;
            }
            int length = Answer(call, argument);
            socket.Send(_result.AsSpan(0, length));
        }
    }

    private int Answer(KeyHolderCall call, ReadOnlySpan<byte> argument)
    {
        Span<byte> result = _result.AsSpan(KeyHolderProtocol.HeaderBytes);
        int size = call switch
        {
            KeyHolderCall.NextCounter => NextCounter(result),
            KeyHolderCall.Sign => Sign(argument, result),
            _ => signer.TryAgree(argument, result[..KeyHolderProtocol.SecretBytes]) ? KeyHolderProtocol.SecretBytes : 0,
        };
        KeyHolderProtocol.WriteHeader(_result, size > 0 ? KeyHolderProtocol.Done : KeyHolderProtocol.Refused, size);
        return KeyHolderProtocol.HeaderBytes + size;
    }

    private int NextCounter(Span<byte> result)
    {
        try
        {
            _lastCounter = signer.NextCounter();
        }
        catch (IOException e)
        {
            // A value that may be given out again after a crash is none.
            logger.LogError("key holder: the counter cannot be kept: {Message}", e.Message);
            return 0;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(result, _lastCounter);
        return sizeof(ulong);
    }

    private int Sign(ReadOnlySpan<byte> message, Span<byte> result)
    {
        if (!SigningRule.Allows(message, id, n, _lastCounter))
        {
            logger.LogError("key holder: refuses to sign {Bytes} bytes that are no NEW-KEY or request of this replica with a "
                + "counter that it gave out", message.Length);
            return 0;
        }
        signer.Sign(message, result[..KeyHolderProtocol.SignatureBytes]);
        return KeyHolderProtocol.SignatureBytes;
    }

    private static bool TryReceive(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int length = socket.Receive(bytes);
            if (length == 0)
            {
                return false;
            }
            bytes = bytes[length..];
        }
        return true;
    }
}
