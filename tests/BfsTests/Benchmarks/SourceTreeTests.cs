using System.Diagnostics;
using BfsBench;

namespace BfsTests.Benchmarks;

public sealed class SourceTreeTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("bfs-tree-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void It_is_as_large_as_the_originals_and_the_same_every_time()
    {
        Assert.Equal(70, SourceTree.Files.Count);
        Assert.Equal(5, SourceTree.Directories.Count);
        Assert.Equal(70, SourceTree.Files.Select(f => f.Path).Distinct().Count());
        Assert.InRange(SourceTree.Files.Sum(f => f.Content.Length), 150_000, 400_000);
        byte[] digest = System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(string.Concat(SourceTree.Files.Select(f => f.Path + f.Content))));
        // Another content makes figures incomparable with earlier ones.
        Assert.Equal("486BD6E3D0A70AA7", Convert.ToHexString(digest)[..16]);
    }

    [Fact]
    public void It_compiles_without_warnings_and_computes_something()
    {
        SourceTree.WriteTo(_root);
        string script = Path.Combine(_root, SourceTree.BuildScript);
        File.WriteAllText(script, File.ReadAllText(script).Replace("gcc -g -O1", "gcc -Wall -Wextra -Werror -g -O0", StringComparison.Ordinal));
        using Process build = Process.Start(new ProcessStartInfo("sh", [SourceTree.BuildScript]) { WorkingDirectory = _root })!;
        build.WaitForExit();
        Assert.Equal(0, build.ExitCode);
        using Process program = Process.Start(new ProcessStartInfo(Path.Combine(_root, SourceTree.Program)) { RedirectStandardOutput = true })!;
        Assert.True(uint.Parse(program.StandardOutput.ReadToEnd().Trim(), System.Globalization.CultureInfo.InvariantCulture) > 1);
        program.WaitForExit();
        Assert.Equal(0, program.ExitCode);
    }
}
