using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.Versioning;

namespace BfsCore.Hosting.KeyHolding;

/// <summary>The key holder cannot be reached, or has gone: without it the replica must end.</summary>
public sealed class KeyHolderException : IOException
{
    public KeyHolderException() { }
    public KeyHolderException(string message) : base(message) { }
    public KeyHolderException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>
/// The replica's end of the connection to its key holder (§4.2): the private key never enters this process. Calls wait for
/// the answer, which is as far away as another local process.
/// </summary>
[SupportedOSPlatform("linux")]
public sealed class KeyHolderClient : ISigner, IDisposable
{
    private const int CallMillis = 10_000;
    private const int RetryMillis = 10;

    private readonly Socket _socket;
    private readonly byte[] _call = new byte[KeyHolderProtocol.HeaderBytes + KeyHolderProtocol.MaxArgumentBytes];
    private readonly byte[] _header = new byte[KeyHolderProtocol.HeaderBytes];

    private KeyHolderClient(Socket socket) => _socket = socket;

    /// <summary>Readable when the key holder has gone: between calls it sends nothing.</summary>
    public int Descriptor => (int)_socket.Handle;

    /// <summary>Connects. The holder refuses a process that the recovery monitor has not named yet, so it is asked again.</summary>
    /// <param name="publicKey">The replica's in the cluster file; a holder of another key is refused.</param>
    /// <exception cref="KeyHolderException">There is no holder for this process within <paramref name="patience"/>.</exception>
    public static KeyHolderClient Connect(string path, ReadOnlySpan<byte> publicKey, TimeSpan patience)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            Socket? socket = UnixSockets.TryConnect(path);
            if (socket is not null && TryGreet(socket, out byte[] key))
            {
                if (key.AsSpan().SequenceEqual(publicKey))
                {
                    return new KeyHolderClient(socket);
                }
                socket.Dispose();
                throw new KeyHolderException($"{path}: this key holder has another key than the cluster file says");
            }
            socket?.Dispose();
            if (watch.Elapsed > patience)
            {
                throw new KeyHolderException(socket is null
                    ? $"no key holder listens on {path}; a replica is started by its recovery monitor: bfs replica start"
                    : $"the key holder on {path} refuses this process: the recovery monitor has not named it");
            }
            Thread.Sleep(RetryMillis);
        }
    }

    /// <exception cref="KeyHolderException">The key holder has gone.</exception>
    public ulong NextCounter()
    {
        Span<byte> value = stackalloc byte[sizeof(ulong)];
        Require(Call(KeyHolderCall.NextCounter, default, value), "give a counter value");
        return BinaryPrimitives.ReadUInt64LittleEndian(value);
    }

    /// <exception cref="KeyHolderException">The key holder has gone, or refuses to sign this.</exception>
    public void Sign(ReadOnlySpan<byte> message, Span<byte> signature) =>
        Require(Call(KeyHolderCall.Sign, message, signature[..KeyHolderProtocol.SignatureBytes]), "sign");

    /// <exception cref="KeyHolderException">The key holder has gone.</exception>
    public bool TryAgree(ReadOnlySpan<byte> ephemeralPublicKey, Span<byte> sharedSecret) =>
        ephemeralPublicKey.Length == Messages.NewKey.PublicKeyBytes
        && Call(KeyHolderCall.Agree, ephemeralPublicKey, sharedSecret[..KeyHolderProtocol.SecretBytes]);

    public void Dispose() => _socket.Dispose();

    private static bool TryGreet(Socket socket, out byte[] publicKey)
    {
        publicKey = new byte[Messages.NewKey.PublicKeyBytes];
        byte[] greeting = new byte[KeyHolderProtocol.GreetingBytes];
        try
        {
            socket.ReceiveTimeout = socket.SendTimeout = CallMillis;
            ReceiveAll(socket, greeting);
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException)
        {
            return false;
        }
        greeting.AsSpan(KeyHolderProtocol.Greeting.Length).CopyTo(publicKey);
        return greeting.AsSpan().StartsWith(KeyHolderProtocol.Greeting);
    }

    private static void Require(bool done, string what)
    {
        if (!done)
        {
            throw new KeyHolderException($"the key holder refuses to {what}");
        }
    }

    private bool Call(KeyHolderCall call, ReadOnlySpan<byte> argument, Span<byte> result)
    {
        try
        {
            KeyHolderProtocol.WriteHeader(_call, (byte)call, argument.Length);
            argument.CopyTo(_call.AsSpan(KeyHolderProtocol.HeaderBytes));
            SendAll(_call.AsSpan(0, KeyHolderProtocol.HeaderBytes + argument.Length));
            ReceiveAll(_socket, _header);
            if (!KeyHolderProtocol.TryReadResult(_header, result.Length, out bool done))
            {
                throw new KeyHolderException("the key holder gives an answer that is none");
            }
            if (done)
            {
                ReceiveAll(_socket, result);
            }
            return done;
        }
        catch (Exception e) when (e is SocketException or EndOfStreamException)
        {
            throw new KeyHolderException("the key holder has gone or does not answer", e);
        }
    }

    private void SendAll(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    private static void ReceiveAll(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int length = socket.Receive(bytes);
            if (length == 0)
            {
                throw new EndOfStreamException();
            }
            bytes = bytes[length..];
        }
    }
}
