using System.Security.Cryptography;
using System.Text;
using BfsCore.Crypto;

namespace BfsCore.Hosting;

/// <summary>Long-term keys (§4.2): P-256 private keys as PKCS#8 PEM in files that only their owner may read.</summary>
public static class KeyFiles
{
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    private const string P256 = "1.2.840.10045.3.1.7";

    /// <summary>Makes a key and writes it.</summary>
    /// <returns>The public point, 65 bytes.</returns>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static byte[] Create(string path)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        DurableFile.Replace(path, Encoding.ASCII.GetBytes(key.ExportPkcs8PrivateKeyPem() + "\n"), secret: true);
        return PublicKeys.ToPoint(key.ExportParameters(false).Q);
    }

    /// <summary>Reads a private key.</summary>
    /// <param name="expectedPublicKey">What the cluster file says; a key that does not fit it is refused.</param>
    /// <exception cref="ClusterFileException">It is missing, readable by others, damaged or another principal's.</exception>
    public static ECParameters Read(string path, ReadOnlySpan<byte> expectedPublicKey)
    {
        ECParameters parameters = Parse(path, ReadText(path));
        if (!PublicKeys.ToPoint(parameters.Q).AsSpan().SequenceEqual(expectedPublicKey))
        {
            throw new ClusterFileException(
                $"{path}: this key does not belong to the public key in the cluster file; copy the right key file here");
        }
        return parameters;
    }

    private static string ReadText(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                throw new ClusterFileException(
                    $"{path}: no such key file; copy it from the machine where the cluster was made (bfs cluster init)");
            }
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & Others) != 0)
            {
                throw new ClusterFileException($"{path}: others may read this private key; run: chmod 600 {path}");
            }
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ClusterFileException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    private static ECParameters Parse(string path, string text)
    {
        try
        {
            using var key = ECDsa.Create();
            key.ImportFromPem(text);
            ECParameters parameters = key.ExportParameters(true);
            if (parameters.Curve.Oid.Value == P256 && parameters.D != null)
            {
                return parameters;
            }
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException or NotSupportedException)
        {
            throw new ClusterFileException($"{path}: the key is damaged ({e.Message}); copy it again", e);
        }
        throw new ClusterFileException($"{path}: not a P-256 private key; copy the right key file here");
    }
}
