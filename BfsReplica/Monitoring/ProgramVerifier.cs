using System.Globalization;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using Microsoft.Extensions.Logging;

namespace BfsReplica.Monitoring;

/// <summary>Verifies the replica's program before each start, against the list that this process has in memory.</summary>
internal sealed class ProgramVerifier(ClusterDirectory directory, ReplicaId id, InstalledProgram program, ProgramManifest manifest, ILogger logger)
{
    /// <summary>Compares, and restores what differs.</summary>
    /// <param name="say">Receives a line for each file that differs.</param>
    /// <exception cref="IOException">A file cannot be restored: the replica must not be started.</exception>
    public IReadOnlyList<TamperedFile> Verify(Action<string> say)
    {
        string evidence = Path.Combine(directory.Evidence(id), DateTime.UtcNow.ToString("yyyyMMdd-HHmmss-fff", CultureInfo.InvariantCulture));
        IReadOnlyList<TamperedFile> tampered = program.VerifyAndRestore(manifest, evidence);
        foreach (TamperedFile file in tampered)
        {
            string text = $"program file {file.Name} of replica {id.Value} is not the installed one ({file.Problem})"
                + (file.Problem == "extra" ? ": it was removed" : ": it was restored")
                + (file.SavedAs is { } path ? $"; what was there is kept as {path}" : "");
            logger.LogError("monitor: {Text}", text);
            say(text);
        }
        return tampered;
    }
}
