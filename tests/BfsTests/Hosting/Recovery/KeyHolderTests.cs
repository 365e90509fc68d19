using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Cryptography;
using BfsCore;
using BfsCore.Crypto;
using BfsCore.Hosting;
using BfsCore.Hosting.KeyHolding;
using BfsCore.Messages;
using BfsReplica.KeyHolding;
using BfsTests.Hosting.Files;
using Microsoft.Extensions.Logging.Abstractions;

namespace BfsTests.Hosting.Recovery;

/// <summary>The key holder (§4.2): serves the one process that was named, gives no counter value twice, signs only what is fresh.</summary>
public sealed class KeyHolderTests : IDisposable
{
    private const int N = 4;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly TempDirectory _directory = new();
    private readonly ECParameters _key = NewKeyPair();
    private readonly List<(KeyHolder Holder, Thread Thread)> _holders = [];

    private string SocketPath => _directory.File("keyholder.sock");

    private byte[] PublicKey => PublicKeys.ToPoint(_key.Q);

    public void Dispose()
    {
        foreach ((KeyHolder holder, Thread thread) in _holders)
        {
            holder.Allow(0);
            holder.Close();
            Assert.True(thread.Join(Patience));
            holder.Dispose();
        }
        _directory.Dispose();
    }

    private static ECParameters NewKeyPair()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return key.ExportParameters(true);
    }

    private KeyHolder Start(int allowed)
    {
        var signer = new KeySigner(_key, new FileCounter(_directory.File("counter")).Next);
        var holder = new KeyHolder(SocketPath, new ReplicaId(2), N, signer, PublicKey, NullLogger.Instance);
        holder.Allow(allowed);
        var thread = new Thread(holder.Run);
        thread.Start();
        _holders.Add((holder, thread));
        return holder;
    }

    private KeyHolderClient Connect() => KeyHolderClient.Connect(SocketPath, PublicKey, Patience);

    /// <summary>What a replica has signed: a NEW-KEY without its signature.</summary>
    private static byte[] KeyMessage(ulong counter, int principal = 2)
    {
        byte[] message = new byte[NewKey.SizeFor(N)];
        NewKey.WriteHeader(message, N, principal, counter, 1, new byte[NewKey.PublicKeyBytes]);
        return message[..^NewKey.SignatureBytes];
    }

    private static byte[] RequestHeader(ulong timestamp, int client = 2)
    {
        byte[] message = new byte[Request.SizeFor(8, MessageFormat.Macs(N))];
        Request.Write(message, MessageFormat.Macs(N), new ClientId(client), 0, false, 1, timestamp, Request.AllReplicas, RequestFlags.None, new byte[8]);
        return message[..Request.HeaderBytes];
    }

    [Fact]
    public void The_named_process_has_what_a_signer_does()
    {
        Start(Environment.ProcessId);
        using KeyHolderClient client = Connect();
        ulong counter = client.NextCounter();
        Assert.Equal(counter + 1, client.NextCounter());
        foreach (byte[] message in (byte[][])[KeyMessage(counter), RequestHeader(counter + 1)])
        {
            byte[] signature = new byte[64];
            client.Sign(message, signature);
            Assert.True(PublicKeys.Verify(PublicKey, message, signature));
        }
        using var other = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        using var holders = ECDiffieHellman.Create(new ECParameters { Curve = _key.Curve, Q = _key.Q });
        byte[] secret = new byte[32];
        Assert.True(client.TryAgree(PublicKeys.ToPoint(other.ExportParameters(false).Q), secret));
        Assert.Equal(other.DeriveRawSecretAgreement(holders.PublicKey), secret);
        Assert.False(client.TryAgree(new byte[65], secret));
        Assert.False(client.TryAgree(new byte[64], secret));
    }

    [Fact]
    public void Another_process_is_turned_away_and_named_later_let_in()
    {
        KeyHolder holder = Start(Environment.ProcessId + 1);
        var e = Assert.Throws<KeyHolderException>(() => KeyHolderClient.Connect(SocketPath, PublicKey, TimeSpan.FromMilliseconds(50)));
        Assert.Contains("refuses this process", e.Message, StringComparison.Ordinal);
        holder.Allow(Environment.ProcessId);
        using KeyHolderClient client = Connect();
        Assert.NotEqual(0UL, client.NextCounter());
        // Somebody else is the replica now.
        holder.Allow(Environment.ProcessId + 1);
        Assert.Throws<KeyHolderException>(() => client.NextCounter());
    }

    /// <summary>A real other process, which must not get as much as the greeting.</summary>
    [Fact]
    public void A_child_of_the_named_process_is_another_process()
    {
        Start(Environment.ProcessId);
        var start = new ProcessStartInfo("perl") { RedirectStandardOutput = true };
        foreach (string argument in (string[])["-MIO::Socket::UNIX", "-e", "print sysread(IO::Socket::UNIX->new(Peer => $ARGV[0]), $b, 100)", SocketPath])
        {
            start.ArgumentList.Add(argument);
        }
        using Process child = Process.Start(start)!;
        Assert.Equal("0", child.StandardOutput.ReadToEnd().Trim());
        child.WaitForExit();
    }

    [Fact]
    public void A_holder_of_another_key_is_refused()
    {
        Start(Environment.ProcessId);
        var e = Assert.Throws<KeyHolderException>(() => KeyHolderClient.Connect(SocketPath, PublicKeys.ToPoint(NewKeyPair().Q), Patience));
        Assert.Contains("another key", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_holder_the_error_says_what_to_do()
    {
        var e = Assert.Throws<KeyHolderException>(() => KeyHolderClient.Connect(SocketPath, PublicKey, TimeSpan.Zero));
        Assert.Contains("bfs replica start", e.Message, StringComparison.Ordinal);
    }

    /// <summary>§4.2: the counter never goes back, whatever becomes of the process.</summary>
    [Fact]
    public void The_counter_goes_on_in_the_next_life()
    {
        ulong last = 0;
        for (int life = 0; life < 3; life++)
        {
            KeyHolder holder = Start(Environment.ProcessId);
            using (KeyHolderClient client = Connect())
            {
                for (int i = 0; i < 3; i++)
                {
                    ulong next = client.NextCounter();
                    Assert.True(next > last);
                    last = next;
                }
            }
            holder.Close();
            Assert.True(_holders[life].Thread.Join(Patience));
        }
    }

    /// <summary>Messages signed by whoever owns the replica now must not count as fresh after its recovery (§4.1).</summary>
    [Fact]
    public void Only_own_messages_with_a_counter_that_was_given_out_are_signed()
    {
        Start(Environment.ProcessId);
        using KeyHolderClient client = Connect();
        byte[] signature = new byte[64];
        Assert.Throws<KeyHolderException>(() => client.Sign(KeyMessage(1), signature));
        ulong counter = client.NextCounter();
        client.Sign(KeyMessage(counter), signature);
        byte[][] refused =
        [
            KeyMessage(counter + 1), KeyMessage(0), KeyMessage(counter, principal: 1), RequestHeader(counter + 1),
            RequestHeader(counter, client: 1024), KeyMessage(counter)[1..], [1], new byte[KeyHolderProtocol.MaxArgumentBytes],
        ];
        foreach (byte[] message in refused)
        {
            Assert.Throws<KeyHolderException>(() => client.Sign(message, signature));
        }
        // It is served as before.
        client.Sign(RequestHeader(counter), signature);
    }

    [Fact]
    public void Bytes_that_are_no_call_end_the_connection_and_nothing_else()
    {
        Start(Environment.ProcessId);
        var random = new Random(5);
        for (int i = 0; i < 200; i++)
        {
            using Socket socket = UnixSockets.TryConnect(SocketPath)!;
            socket.ReceiveTimeout = (int)Patience.TotalMilliseconds;
            byte[] bytes = new byte[random.Next(1, 200)];
            random.NextBytes(bytes);
            // Never a call: those are 1 to 3.
            bytes[0] = (byte)random.Next(4, 256);
            socket.Send(bytes);
            socket.Shutdown(SocketShutdown.Send);
            byte[] answer = new byte[KeyHolderProtocol.GreetingBytes + 1];
            int length = 0;
            try
            {
                while (socket.Receive(answer.AsSpan(length)) is var received and > 0)
                {
                    length += received;
                }
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
            {
                // Closed with bytes of ours unread.
            }
            Assert.InRange(length, 0, KeyHolderProtocol.GreetingBytes);
        }
        using KeyHolderClient client = Connect();
        Assert.NotEqual(0UL, client.NextCounter());
    }

    [Fact]
    public void Heads_of_calls_and_results_are_taken_whatever_they_are()
    {
        var random = new Random(6);
        byte[] header = new byte[KeyHolderProtocol.HeaderBytes];
        for (int i = 0; i < 100_000; i++)
        {
            random.NextBytes(header);
            header[0] = (byte)random.Next(5);
            header[1] = (byte)random.Next(2);
            if (KeyHolderProtocol.TryReadCall(header, out KeyHolderCall call, out int size))
            {
                Assert.InRange(size, call == KeyHolderCall.NextCounter ? 0 : 1, KeyHolderProtocol.MaxArgumentBytes);
            }
            KeyHolderProtocol.TryReadResult(header, 64, out _);
            KeyHolderProtocol.TryReadResult(header.AsSpan(0, random.Next(4)), 64, out bool done);
            Assert.False(done);
        }
    }
}
