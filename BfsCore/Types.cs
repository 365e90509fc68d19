using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BfsCore;

/// <summary>A view number (§2.3): the primary of view v is replica v mod n.</summary>
public readonly record struct View(long Value) : IComparable<View>
{
    public int CompareTo(View other) => Value.CompareTo(other.Value);

    /// <summary>The primary of this view among <paramref name="n"/> replicas.</summary>
    public ReplicaId Primary(int n) => new((int)(Value % n));

    public View Next => new(Value + 1);

    public static bool operator <(View a, View b) => a.Value < b.Value;
    public static bool operator >(View a, View b) => a.Value > b.Value;
    public static bool operator <=(View a, View b) => a.Value <= b.Value;
    public static bool operator >=(View a, View b) => a.Value >= b.Value;
    public override string ToString() => $"v{Value}";
}

/// <summary>A sequence number of a batch (§2.3.3). Zero is the initial checkpoint; batches start at one.</summary>
public readonly record struct SeqNum(long Value) : IComparable<SeqNum>
{
    public int CompareTo(SeqNum other) => Value.CompareTo(other.Value);

    public SeqNum Next => new(Value + 1);

    public static SeqNum operator +(SeqNum a, long b) => new(a.Value + b);
    public static SeqNum operator -(SeqNum a, long b) => new(a.Value - b);
    public static long operator -(SeqNum a, SeqNum b) => a.Value - b.Value;
    public static bool operator <(SeqNum a, SeqNum b) => a.Value < b.Value;
    public static bool operator >(SeqNum a, SeqNum b) => a.Value > b.Value;
    public static bool operator <=(SeqNum a, SeqNum b) => a.Value <= b.Value;
    public static bool operator >=(SeqNum a, SeqNum b) => a.Value >= b.Value;
    public override string ToString() => $"#{Value}";
}

/// <summary>A replica's index, 0 to n-1.</summary>
public readonly record struct ReplicaId(int Value)
{
    public override string ToString() => $"replica {Value}";
}

/// <summary>A client's identifier, at least <see cref="Limits.FirstClientId"/>, so that it never equals a replica's.</summary>
public readonly record struct ClientId(int Value)
{
    public override string ToString() => $"client {Value}";
}

/// <summary>
/// Where a datagram came from, as the transport encodes it; the engine only hands it back. Zero is nowhere.
/// </summary>
public readonly record struct SourceAddress(ulong Value);

/// <summary>
/// What the event loop knows of time when it calls <c>Tick</c>: a clock for timers that never goes back, in microseconds
/// since an arbitrary start, and the wall clock in nanoseconds since 1970 (for agreed time, §5.4).
/// </summary>
public readonly record struct Instant(long MonotonicMicros, long WallNanos);

/// <summary>A SHA-256 digest: 32 bytes, compared and copied by value.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct Digest : IEquatable<Digest>
{
    public const int SizeBytes = 32;

    private readonly ulong _a, _b, _c, _d;

    /// <summary>Reads the first 32 bytes of <paramref name="bytes"/>.</summary>
    public static Digest Read(ReadOnlySpan<byte> bytes) => MemoryMarshal.Read<Digest>(bytes);

    /// <summary>Writes 32 bytes.</summary>
    public void Write(Span<byte> destination) => MemoryMarshal.Write(destination, in this);

    /// <summary>The all-zero digest: "nothing" (the null request, a page never written).</summary>
    public bool IsZero => (_a | _b | _c | _d) == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Equals(Digest other) => ((_a ^ other._a) | (_b ^ other._b) | (_c ^ other._c) | (_d ^ other._d)) == 0;

    public override bool Equals(object? obj) => obj is Digest d && Equals(d);

    /// <summary>For hash tables: the same in every process (no randomised hashing).</summary>
    public override int GetHashCode() => (int)_a ^ (int)(_a >> 32);

    public static bool operator ==(Digest a, Digest b) => a.Equals(b);
    public static bool operator !=(Digest a, Digest b) => !a.Equals(b);

    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[SizeBytes];
        Write(bytes);
        return Convert.ToHexStringLower(bytes);
    }
}

/// <summary>Bounds that are the same in every cluster. Everything is bounded, and the bound has a name.</summary>
public static class Limits
{
    /// <summary>Client identifiers start here; replica identifiers stay below.</summary>
    public const int FirstClientId = 1024;

    /// <summary>Most replicas in a cluster (bit sets of replicas fit one word).</summary>
    public const int MaxReplicas = 64;

    /// <summary>
    /// Highest view and sequence number in a message. Nobody gets there by counting; a liar who names one near the end of
    /// the integers must not make sums with it run over.
    /// </summary>
    public const long MaxNumber = 1L << 62;

    /// <summary>Largest operation in a request, bytes: with header and authenticator it fits one UDP datagram.</summary>
    public const int MaxOperationBytes = 62 * 1024;

    /// <summary>Largest result of an operation, bytes.</summary>
    public const int MaxResultBytes = 62 * 1024;

    /// <summary>Largest message the transport carries, bytes; longer than a datagram, it goes in fragments.</summary>
    public const int MaxMessageBytes = 1 << 20;
}
