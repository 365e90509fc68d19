using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using BfsCore.Crypto;
using BfsCore.State;

namespace BfsBench;

/// <summary>Measures the parameters of the model on this machine (§8.2).</summary>
internal static class ComponentCosts
{
    private const int Repeats = 31;
    private const int MacBytes = 64;

    /// <summary>About what the request and the reply of a null operation have.</summary>
    private const int EchoBytes = 96;

    private static readonly TimeSpan s_warmUp = TimeSpan.FromMilliseconds(300);

    private static readonly int[] s_sizes = [64, 512, 1024, 2048, 4096, 8192];

    /// <param name="roundTripMicros">There and back between two processes (<see cref="EchoClient"/>).</param>
    public static Surroundings Measure(double roundTripMicros, int inlineThreshold)
    {
        (double digestFixed, double digestPerByte) = Statistics.Line([.. s_sizes.Select(s => ((double)s, DigestMicros(s)))]);
        using var pair = new SocketPair();
        (double hostFixed, double hostPerByte) = Statistics.Line([.. s_sizes.Select(s => ((double)s, pair.HostMicros(s)))]);
        return new Surroundings
        {
            DigestFixed = Math.Max(0, digestFixed),
            DigestPerByte = digestPerByte,
            Mac = MacMicros(),
            HostFixed = Math.Max(0, hostFixed),
            HostPerByte = Math.Max(0, hostPerByte),
            HopFixed = Math.Max(0, (roundTripMicros / 2) - (2 * (hostFixed + (hostPerByte * EchoBytes)))),
            Processors = Environment.ProcessorCount,
            InlineThreshold = inlineThreshold,
        };
    }

    private static double DigestMicros(int bytes)
    {
        byte[] data = new byte[bytes];
        // Not zeros, of which the digest is known.
        Array.Fill(data, (byte)1);
        return MedianMicros(200, () => ContentDigest.Of(data));
    }

    private static double MacMicros()
    {
        var key = new MacKey(new byte[MacKey.KeyBytes]);
        byte[] header = new byte[MacBytes];
        return MedianMicros(1000, () => key.Compute(header));
    }

    private static double MedianMicros(int times, Action action)
    {
        // Code is compiled well only after it has run for a while.
        for (long begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < s_warmUp;)
        {
            action();
        }
        var samples = new List<double>();
        for (int i = 0; i < Repeats; i++)
        {
            long start = Stopwatch.GetTimestamp();
            for (int t = 0; t < times; t++)
            {
                action();
            }
            samples.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds / times);
        }
        return Statistics.Median(samples);
    }

    /// <summary>Two UDP sockets on loopback that know each other.</summary>
    private sealed class SocketPair : IDisposable
    {
        private readonly Socket _one = New();
        private readonly Socket _other = New();
        private readonly byte[] _buffer = new byte[16384];

        public SocketPair()
        {
            _one.Connect(_other.LocalEndPoint!);
            _other.Connect(_one.LocalEndPoint!);
        }

        /// <summary>The mean of sending and receiving a datagram that waits already, so that nobody sleeps.</summary>
        public double HostMicros(int bytes) => MedianMicros(200, () =>
        {
            _one.Send(_buffer.AsSpan(0, bytes));
            _other.Receive(_buffer);
        }) / 2;

        private static Socket New()
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 5_000 };
            socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            return socket;
        }

        public void Dispose()
        {
            _one.Dispose();
            _other.Dispose();
        }
    }
}
