using System.Security.Cryptography;

namespace BfsCore.Crypto;

/// <summary>P-256 keys: points are 65 bytes (0x04, X, Y), signatures 64 (r, s), secrets 32.</summary>
public static class PublicKeys
{
    public const int PointBytes = 65;

    /// <summary>A public key from its uncompressed point; null when the bytes are no point of the curve.</summary>
    public static ECParameters? ParsePoint(ReadOnlySpan<byte> point)
    {
        if (point.Length != PointBytes || point[0] != 4)
        {
            return null;
        }
        return new ECParameters
        {
            Curve = ECCurve.NamedCurves.nistP256,
            Q = new ECPoint { X = point[1..33].ToArray(), Y = point[33..].ToArray() },
        };
    }

    /// <summary>The uncompressed point of a public key.</summary>
    public static byte[] ToPoint(in ECPoint q)
    {
        byte[] x = q.X!;
        byte[] y = q.Y!;
        byte[] point = new byte[PointBytes];
        point[0] = 4;
        x.CopyTo(point, 1 + 32 - x.Length);
        y.CopyTo(point, 33 + 32 - y.Length);
        return point;
    }

    /// <summary>Verifies a signature made by <see cref="ISigner.Sign"/>. Any bytes are allowed.</summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        if (ParsePoint(publicKey) is not { } parameters)
        {
            return false;
        }
        try
        {
            using var key = ECDsa.Create(parameters);
            return key.VerifyData(message, signature, HashAlgorithmName.SHA256);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }
}

/// <summary>A public key that is used again and again; like its owner, of one thread.</summary>
public sealed class PublicKey(ReadOnlySpan<byte> point)
{
    private readonly ECDsa? _key = TryImport(point);

    /// <summary>As <see cref="PublicKeys.Verify"/>.</summary>
    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        try
        {
            return _key is not null && _key.VerifyData(message, signature, HashAlgorithmName.SHA256);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    private static ECDsa? TryImport(ReadOnlySpan<byte> point)
    {
        try
        {
            return PublicKeys.ParsePoint(point) is { } parameters ? ECDsa.Create(parameters) : null;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }
}

/// <summary>A signer whose private key is in this process.</summary>
public sealed class KeySigner : ISigner, IDisposable
{
    private readonly ECDsa _signing;
    private readonly ECDiffieHellman _agreement;
    private readonly Func<ulong> _nextCounter;

    /// <param name="key">A P-256 private key.</param>
    /// <param name="nextCounter">Gives values that only grow, over restarts too.</param>
    public KeySigner(ECParameters key, Func<ulong> nextCounter)
    {
        _signing = ECDsa.Create(key);
        _agreement = ECDiffieHellman.Create(key);
        _nextCounter = nextCounter;
        PublicKey = PublicKeys.ToPoint(key.Q);
    }

    /// <summary>The public point, 65 bytes.</summary>
    public byte[] PublicKey { get; }

    public ulong NextCounter() => _nextCounter();

    public void Sign(ReadOnlySpan<byte> message, Span<byte> signature) =>
        _signing.SignData(message, signature, HashAlgorithmName.SHA256);

    public bool TryAgree(ReadOnlySpan<byte> ephemeralPublicKey, Span<byte> sharedSecret)
    {
        if (PublicKeys.ParsePoint(ephemeralPublicKey) is not { } parameters)
        {
            return false;
        }
        try
        {
            using var other = ECDiffieHellman.Create(parameters);
            _agreement.DeriveRawSecretAgreement(other.PublicKey).CopyTo(sharedSecret);
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    public void Dispose()
    {
        _signing.Dispose();
        _agreement.Dispose();
    }
}
