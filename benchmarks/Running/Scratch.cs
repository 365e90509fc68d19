using System.Globalization;
using System.Text;

namespace BfsBench;

/// <summary>
/// A directory for one run of something. When it goes, what is mounted below it and the processes that have its path among
/// their arguments go with it, whatever has happened to those that started them.
/// </summary>
internal sealed class Scratch : IDisposable
{
    private readonly IDisposable _later;

    /// <param name="inMemory">On /dev/shm, where there is one.</param>
    public Scratch(string name, bool inMemory = false)
    {
        string prefix = $"bfs-bench-{name}-";
        const string memory = "/dev/shm";
        _later = CleanUp.Make(
            () => Path = inMemory && Directory.Exists(memory) ? NewDirectory(memory, prefix) : Directory.CreateTempSubdirectory(prefix).FullName,
            TakeAway);
    }

    public string Path { get; private set; } = "";

    public string In(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>A new directory in it.</summary>
    public string Make(string name) => Directory.CreateDirectory(In(name)).FullName;

    public void Dispose() => _later.Dispose();

    private static string NewDirectory(string parent, string prefix)
    {
        for (int i = 0; ; i++)
        {
            string path = System.IO.Path.Combine(parent, $"{prefix}{Environment.ProcessId}-{i}");
            if (!Directory.Exists(path))
            {
                return Directory.CreateDirectory(path).FullName;
            }
        }
    }

    private void TakeAway()
    {
        foreach (string mountPoint in Mounts.Below(Path).Reverse())
        {
            Posix.UnmountLazily(mountPoint);
        }
        EndProcesses();
        if (Mounts.Below(Path).Any())
        {
            throw new BenchException($"something is still mounted in {Path}: nothing in it was removed");
        }
        Directory.Delete(Path, recursive: true);
    }

    // Again and again: some start others.
    private void EndProcesses()
    {
        for (int i = 0; i < 500; i++)
        {
            int[] processes = [.. ProcessesNaming(Path)];
            if (processes.Length == 0)
            {
                return;
            }
            Array.ForEach(processes, Posix.Kill);
            Thread.Sleep(10);
        }
    }

    private static IEnumerable<int> ProcessesNaming(string path)
    {
        foreach (string directory in Directory.GetDirectories("/proc"))
        {
            if (int.TryParse(System.IO.Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                && id != Environment.ProcessId && CommandLine(id).Contains(path, StringComparison.Ordinal))
            {
                yield return id;
            }
        }
    }

    // Empty for those that have ended and that nobody has waited for.
    private static string CommandLine(int id)
    {
        try
        {
            return Encoding.UTF8.GetString(File.ReadAllBytes($"/proc/{id}/cmdline"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
