using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using BfsTests.Hosting.Files;

namespace BfsTests.Hosting.Recovery;

/// <summary>The files that the recovery monitor vouches for (§4.2): what differs from the list is put right and kept.</summary>
public sealed class InstalledProgramTests : IDisposable
{
    private readonly TempDirectory _temp = new();
    private readonly string _source;
    private readonly InstalledProgram _program;

    public InstalledProgramTests()
    {
        _source = Directory.CreateDirectory(_temp.File("source")).FullName;
        Write("BfsReplica.dll", "the program");
        Write("BfsReplica.runtimeconfig.json", "{}");
        Write("runtimes/linux/native.so", "native code");
        Write("BfsReplica.pdb", "not needed to run");
        _program = new InstalledProgram(new ClusterDirectory(_temp.File("cluster")), new ReplicaId(1));
    }

    private string Evidence => _temp.File("evidence");

    private ProgramManifest Manifest => ProgramManifest.Of(_source);

    public void Dispose() => _temp.Dispose();

    private void Write(string name, string text)
    {
        string path = Path.Combine(_source, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    private string InProgram(string name) => Path.Combine(_program.ProgramDirectory, name);

    private static void Overwrite(string path, string text)
    {
        File.Delete(path);
        File.WriteAllText(path, text);
    }

    [Fact]
    public void What_runs_is_installed_twice_read_only_with_a_list()
    {
        Assert.Equal(InstallResult.Installed, _program.Install(_source, Manifest));
        Assert.Equal(["BfsReplica.dll", "BfsReplica.runtimeconfig.json", "runtimes/linux/native.so"], Manifest.Files.Keys);
        foreach (string directory in (string[])[_program.MonitorDirectory, _program.ProgramDirectory])
        {
            foreach (string name in Manifest.Files.Keys)
            {
                Assert.Equal(File.ReadAllText(Path.Combine(_source, name)), File.ReadAllText(Path.Combine(directory, name)));
                Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(Path.Combine(directory, name))
                    & (UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite));
            }
            Assert.False(File.Exists(Path.Combine(directory, "BfsReplica.pdb")));
        }
        Assert.Equal(Manifest.Digest, ProgramManifest.TryRead(_program.ManifestFile)!.Digest);
        Assert.Equal(InstallResult.Unchanged, _program.Install(_source, Manifest));
        Assert.Empty(_program.VerifyAndRestore(Manifest, Evidence));
        Assert.False(Directory.Exists(Evidence));
    }

    [Fact]
    public void A_newer_program_replaces_both_copies()
    {
        _program.Install(_source, Manifest);
        Write("BfsReplica.dll", "a newer program");
        File.Delete(Path.Combine(_source, "runtimes/linux/native.so"));
        Assert.Equal(InstallResult.Renewed, _program.Install(_source, Manifest));
        Assert.Equal("a newer program", File.ReadAllText(InProgram("BfsReplica.dll")));
        Assert.Empty(_program.VerifyAndRestore(Manifest, Evidence));
    }

    [Fact]
    public void Changed_missing_and_extra_files_are_put_right_and_kept()
    {
        _program.Install(_source, Manifest);
        Overwrite(InProgram("BfsReplica.dll"), "a Trojan horse");
        File.Delete(InProgram("BfsReplica.runtimeconfig.json"));
        File.WriteAllText(InProgram("extra.dll"), "more of it");
        Dictionary<string, TamperedFile> found = _program.VerifyAndRestore(Manifest, Evidence).ToDictionary(f => f.Name);
        Assert.Equal(["changed", "missing", "extra"],
            new[] { "BfsReplica.dll", "BfsReplica.runtimeconfig.json", "extra.dll" }.Select(name => found[name].Problem));
        Assert.Equal(3, found.Count);
        Assert.Equal("a Trojan horse", File.ReadAllText(found["BfsReplica.dll"].SavedAs!));
        Assert.Equal("more of it", File.ReadAllText(found["extra.dll"].SavedAs!));
        Assert.Null(found["BfsReplica.runtimeconfig.json"].SavedAs);
        Assert.Equal("the program", File.ReadAllText(InProgram("BfsReplica.dll")));
        Assert.Equal("{}", File.ReadAllText(InProgram("BfsReplica.runtimeconfig.json")));
        Assert.False(File.Exists(InProgram("extra.dll")));
        Assert.Empty(_program.VerifyAndRestore(Manifest, Evidence));
    }

    /// <summary>A link could lead to a file that changes after it was verified.</summary>
    [Fact]
    public void A_link_to_the_right_file_is_not_the_file()
    {
        _program.Install(_source, Manifest);
        File.Delete(InProgram("BfsReplica.dll"));
        File.CreateSymbolicLink(InProgram("BfsReplica.dll"), Path.Combine(_source, "BfsReplica.dll"));
        TamperedFile found = Assert.Single(_program.VerifyAndRestore(Manifest, Evidence));
        Assert.Equal(("BfsReplica.dll", "changed"), (found.Name, found.Problem));
        Assert.Null(new FileInfo(InProgram("BfsReplica.dll")).LinkTarget);
    }

    [Fact]
    public void The_whole_program_can_be_missing()
    {
        _program.Install(_source, Manifest);
        Directory.Delete(_program.ProgramDirectory, recursive: true);
        Assert.Equal(3, _program.VerifyAndRestore(Manifest, Evidence).Count);
        Assert.Equal("native code", File.ReadAllText(InProgram("runtimes/linux/native.so")));
    }

    [Fact]
    public void A_damaged_copy_is_restored_from_the_right_file_and_never_the_other_way()
    {
        _program.Install(_source, Manifest);
        string copy = Path.Combine(_program.MonitorDirectory, "BfsReplica.dll");
        Overwrite(copy, "damaged");
        Assert.Empty(_program.VerifyAndRestore(Manifest, Evidence));
        Assert.Equal("the program", File.ReadAllText(copy));
        Assert.Equal("the program", File.ReadAllText(InProgram("BfsReplica.dll")));
        Overwrite(copy, "damaged");
        Overwrite(InProgram("BfsReplica.dll"), "damaged too");
        var e = Assert.Throws<IOException>(() => _program.VerifyAndRestore(Manifest, Evidence));
        Assert.Contains("start it again", e.Message, StringComparison.Ordinal);
        // Which installs anew, and leaves the replica's file for the monitor to find.
        Assert.Equal(InstallResult.Repaired, _program.Install(_source, Manifest));
        Assert.Single(_program.VerifyAndRestore(Manifest, Evidence));
        Assert.Equal("the program", File.ReadAllText(InProgram("BfsReplica.dll")));
    }

    /// <summary>A list that names files elsewhere would have them overwritten.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("0123  BfsReplica.dll")]
    [InlineData("{0}  /etc/passwd")]
    [InlineData("{0}  ../BfsReplica.dll")]
    [InlineData("{0}  a//b")]
    [InlineData("{0} BfsReplica.dll")]
    [InlineData("{0}  ")]
    [InlineData("{0}  a\n{0}  a")]
    public void A_list_that_is_none_is_not_taken(string text) =>
        Assert.Null(ProgramManifest.TryParse(text.Replace("{0}", new string('a', 64), StringComparison.Ordinal)));

    [Fact]
    public void A_list_is_read_as_it_was_written()
    {
        ProgramManifest manifest = ProgramManifest.TryParse(Manifest.ToText())!;
        Assert.Equal(Manifest.Files, manifest.Files);
        Assert.Equal(Manifest.Digest, manifest.Digest);
    }
}
