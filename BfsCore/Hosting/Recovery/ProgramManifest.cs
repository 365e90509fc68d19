using System.Buffers;
using System.Security.Cryptography;
using System.Text;

namespace BfsCore.Hosting.Recovery;

/// <summary>
/// The files of a program and their SHA-256 digests: what §4.2 has in read-only memory. As text it is what sha256sum writes
/// and checks.
/// </summary>
public sealed class ProgramManifest
{
    private const int HexDigits = 64;
    private const int MaxFileBytes = 1 << 20;

    private static readonly string[] Extensions = [".dll", ".json", ".so"];

    private static readonly SearchValues<char> s_hexDigits = SearchValues.Create("0123456789abcdef");

    private readonly SortedDictionary<string, string> _digests;

    private ProgramManifest(SortedDictionary<string, string> digests) => _digests = digests;

    /// <summary>Names relative to the program's directory, with their digests as lower-case hexadecimal; in order.</summary>
    public IReadOnlyDictionary<string, string> Files => _digests;

    /// <summary>Tells this manifest from every other; hexadecimal.</summary>
    public string Digest => Hex(SHA256.HashData(Encoding.UTF8.GetBytes(ToText())));

    /// <summary>Computes the digests of what a program in a directory needs to run.</summary>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static ProgramManifest Of(string directory)
    {
        var digests = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            if (Extensions.Contains(Path.GetExtension(path)))
            {
                digests.Add(Path.GetRelativePath(directory, path), DigestOf(path));
            }
        }
        return new ProgramManifest(digests);
    }

    /// <summary>The digest of one file, hexadecimal.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static string DigestOf(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Hex(SHA256.HashData(file));
    }

    /// <summary>Reads a manifest; null when there is none, or it is damaged.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static ProgramManifest? TryRead(string path) =>
        File.Exists(path) && new FileInfo(path).Length <= MaxFileBytes ? TryParse(File.ReadAllText(path)) : null;

    /// <summary>Any text is allowed; null for one that is no manifest.</summary>
    public static ProgramManifest? TryParse(string text)
    {
        var digests = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Length <= HexDigits + 2 || line[HexDigits] != ' ' || line[HexDigits + 1] != ' '
                || line.AsSpan(0, HexDigits).ContainsAnyExcept(s_hexDigits) || !IsInside(line[(HexDigits + 2)..])
                || !digests.TryAdd(line[(HexDigits + 2)..], line[..HexDigits]))
            {
                return null;
            }
        }
        return digests.Count == 0 ? null : new ProgramManifest(digests);
    }

    public string ToText()
    {
        var text = new StringBuilder();
        foreach ((string name, string digest) in _digests)
        {
            text.Append(digest).Append("  ").Append(name).Append('\n');
        }
        return text.ToString();
    }

    private static string Hex(byte[] bytes) => Convert.ToHexStringLower(bytes);

    private static bool IsInside(string name) =>
        !Path.IsPathRooted(name) && !name.Contains('\0', StringComparison.Ordinal)
        && Array.TrueForAll(name.Split('/'), part => part is not ("" or "." or ".."));
}
