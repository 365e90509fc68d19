using System.Runtime.Versioning;

namespace BfsCore.Hosting.Recovery;

/// <summary>What installing a program has changed.</summary>
public enum InstallResult
{
    /// <summary>Nothing: this version is there.</summary>
    Unchanged,

    /// <summary>It was not there.</summary>
    Installed,

    /// <summary>Another version was there.</summary>
    Renewed,

    /// <summary>The recovery monitor's own files were not what they should be.</summary>
    Repaired,
}

/// <summary>A program file that was not as the manifest says.</summary>
/// <param name="Problem">"changed", "missing" or "extra".</param>
/// <param name="SavedAs">Where the found file is kept for analysis; null when there was none.</param>
public sealed record TamperedFile(string Name, string Problem, string? SavedAs);

/// <summary>
/// The program of one replica on disk: monitor/ holds the copy that is only read, from which the recovery monitor and the
/// key holder run, and the manifest; program/ is what the replica runs from. The first stands for the read-only memory of §4.2.
/// </summary>
[SupportedOSPlatform("linux")]
public sealed class InstalledProgram(ClusterDirectory directory, ReplicaId id)
{
    /// <summary>The file that is run.</summary>
    public const string EntryFile = "BfsReplica.dll";

    private const string ManifestName = "manifest.sha256";
    private const UnixFileMode ReadOnly = UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    public string MonitorDirectory { get; } = Path.Combine(directory.Replica(id), "monitor");

    public string ProgramDirectory { get; } = Path.Combine(directory.Replica(id), "program");

    public string ManifestFile => Path.Combine(MonitorDirectory, ManifestName);

    /// <summary>What the recovery monitor and the key holder run.</summary>
    public string MonitorEntry => Path.Combine(MonitorDirectory, EntryFile);

    /// <summary>What the replica runs.</summary>
    public string ProgramEntry => Path.Combine(ProgramDirectory, EntryFile);

    /// <summary>Installs a program unless it is there; only while the replica and its recovery monitor do not run.</summary>
    /// <param name="source">The directory with the program's files.</param>
    /// <param name="manifest">Of <paramref name="source"/>.</param>
    /// <exception cref="IOException">The disk is full, for example; a later attempt starts anew.</exception>
    public InstallResult Install(string source, ProgramManifest manifest)
    {
        ProgramManifest? present = ProgramManifest.TryRead(ManifestFile);
        bool same = present?.Digest == manifest.Digest;
        if (same && Differences(MonitorDirectory, manifest).Count == 0)
        {
            return InstallResult.Unchanged;
        }
        bool wasThere = Directory.Exists(MonitorDirectory);
        // The manifest goes first and comes last: without it nothing counts as installed.
        if (wasThere)
        {
            File.Delete(ManifestFile);
        }
        Fill(MonitorDirectory, source, manifest);
        if (!same)
        {
            Fill(ProgramDirectory, source, manifest);
        }
        DurableFile.Replace(ManifestFile, System.Text.Encoding.UTF8.GetBytes(manifest.ToText()));
        return !wasThere ? InstallResult.Installed : same ? InstallResult.Repaired : InstallResult.Renewed;
    }

    /// <summary>
    /// Compares the replica's program with the manifest and puts right what differs, from the copy that is only read.
    /// </summary>
    /// <param name="evidence">Receives what is found to be wrong; made when needed.</param>
    /// <exception cref="IOException">A file cannot be restored: the copy is damaged too, or the disk is full.</exception>
    public IReadOnlyList<TamperedFile> VerifyAndRestore(ProgramManifest manifest, string evidence)
    {
        foreach ((string name, string problem) in Differences(MonitorDirectory, manifest))
        {
            RestoreCopy(manifest, name, problem);
        }
        var tampered = new List<TamperedFile>();
        Directory.CreateDirectory(ProgramDirectory);
        foreach ((string name, string problem) in Differences(ProgramDirectory, manifest))
        {
            string? kept = Keep(Path.Combine(ProgramDirectory, name), Path.Combine(evidence, "program", name));
            if (problem != "extra")
            {
                CopyVerified(MonitorDirectory, ProgramDirectory, name, manifest.Files[name]);
            }
            tampered.Add(new TamperedFile(name, problem, kept));
        }
        return tampered;
    }

    /// <summary>What in a directory is not as the manifest says; the manifest itself does not count.</summary>
    private static List<(string Name, string Problem)> Differences(string directory, ProgramManifest manifest)
    {
        var differences = new List<(string, string)>();
        if (Directory.Exists(directory))
        {
            foreach (FileSystemInfo entry in new DirectoryInfo(directory).EnumerateFileSystemInfos("*", SearchOption.AllDirectories))
            {
                string name = Path.GetRelativePath(directory, entry.FullName);
                bool isLink = entry.LinkTarget is not null;
                if ((isLink || entry is FileInfo) && name != ManifestName && (isLink || !manifest.Files.ContainsKey(name)))
                {
                    differences.Add((name, manifest.Files.ContainsKey(name) ? "changed" : "extra"));
                }
            }
        }
        foreach ((string name, string digest) in manifest.Files)
        {
            var file = new FileInfo(Path.Combine(directory, name));
            if (file.LinkTarget is null && (!file.Exists || ProgramManifest.DigestOf(file.FullName) != digest))
            {
                differences.Add((name, file.Exists ? "changed" : "missing"));
            }
        }
        return differences;
    }

    /// <summary>The copy that is only read is damaged: the replica's own file may be right.</summary>
    private void RestoreCopy(ProgramManifest manifest, string name, string problem)
    {
        if (problem == "extra")
        {
            File.Delete(Path.Combine(MonitorDirectory, name));
            return;
        }
        string source = Path.Combine(ProgramDirectory, name);
        if (!File.Exists(source) || ProgramManifest.DigestOf(source) != manifest.Files[name])
        {
            throw new IOException($"{Path.Combine(MonitorDirectory, name)} is {problem}, and so is the replica's own copy: "
                + "stop the replica and start it again, which installs the program anew");
        }
        CopyVerified(ProgramDirectory, MonitorDirectory, name, manifest.Files[name]);
    }

    private static void Fill(string target, string source, ProgramManifest manifest)
    {
        if (Directory.Exists(target))
        {
            Directory.Delete(target, recursive: true);
        }
        Directory.CreateDirectory(target);
        foreach ((string name, string digest) in manifest.Files)
        {
            CopyVerified(source, target, name, digest);
        }
        DurableFile.SyncDirectory(target);
    }

    private static void CopyVerified(string source, string target, string name, string digest)
    {
        string path = Path.Combine(target, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string temporary = path + ".new";
        File.Delete(temporary);
        File.Copy(Path.Combine(source, name), temporary);
        if (ProgramManifest.DigestOf(temporary) != digest)
        {
            File.Delete(temporary);
            throw new IOException($"{Path.Combine(source, name)} changed while it was copied, or is damaged");
        }
        File.SetUnixFileMode(temporary, ReadOnly);
        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Moves what is there out of the way; a link is kept as a link.</summary>
    private static string? Keep(string path, string evidence)
    {
        var file = new FileInfo(path);
        if (!file.Exists && file.LinkTarget is null)
        {
            return null;
        }
        Directory.CreateDirectory(Path.GetDirectoryName(evidence)!);
        File.Move(path, evidence, overwrite: true);
        return evidence;
    }
}
