namespace BfsBench;

/// <summary>What is mounted now.</summary>
internal static class Mounts
{
    /// <summary>Whether something is mounted on a directory.</summary>
    public static bool Has(string path) => All().Contains(path);

    /// <summary>The mount points below a directory, in the order in which they were mounted.</summary>
    public static IEnumerable<string> Below(string path) => All().Where(m => m.StartsWith(path + "/", StringComparison.Ordinal));

    private static string[] All() => [.. File.ReadAllLines("/proc/self/mounts").Select(line => line.Split(' ')[1])];
}
