using System.Diagnostics;
using BfsCore.Hosting.Recovery;

namespace BfsClient.Commands;

/// <summary>Where our programs are, and how one is started so that it lives on by itself.</summary>
internal static class Programs
{
    /// <summary>Names the directory of the replica's program when it is neither beside this one nor in the source tree.</summary>
    private const string ReplicaVariable = "BFS_REPLICA";

    /// <summary>The command line that runs this program with other arguments.</summary>
    public static IReadOnlyList<string> Self => Command(Path.Combine(AppContext.BaseDirectory, "bfs.dll"));

    /// <summary>The directory with the replica's program as it was built, from which it is installed for each replica.</summary>
    public static string ReplicaSource
    {
        get
        {
            string here = AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar);
            // In the source tree: BfsClient/bin/Release/net10.0 and BfsReplica/bin/Release/net10.0.
            string framework = Path.GetFileName(here);
            string configuration = Path.GetFileName(Path.GetDirectoryName(here) ?? "");
            string inTree = Path.GetFullPath(Path.Combine(here, "../../../..", "BfsReplica", "bin", configuration, framework));
            string[] candidates = Environment.GetEnvironmentVariable(ReplicaVariable) is { Length: > 0 } named ? [named] : [here, inTree];
            return Array.Find(candidates, c => File.Exists(Path.Combine(c, InstalledProgram.EntryFile)))
                ?? throw new CommandException($"{InstalledProgram.EntryFile} is not in {string.Join(" nor in ", candidates)}; build the project "
                    + $"(dotnet build -c Release), or name its directory in {ReplicaVariable}");
        }
    }

    /// <summary>The command line that runs a .NET assembly.</summary>
    public static string[] Command(string program)
    {
        string? process = Environment.ProcessPath;
        return [Path.GetFileNameWithoutExtension(process) == "dotnet" ? process! : "dotnet", program];
    }

    /// <summary>
    /// Starts a program in a session of its own, so that neither the terminal's end nor Ctrl-C reaches it.
    /// </summary>
    /// <param name="log">Receives its error output, and its output too unless that is piped.</param>
    /// <param name="pipeOutput">Its output is for the caller to read.</param>
    public static Process StartDetached(IEnumerable<string> command, string log, bool pipeOutput)
    {
        // setsid does not fork here, since a new process leads no group: the process is the one that was started.
        string script = pipeOutput
            ? "log=$1; shift; exec setsid \"$@\" </dev/null 2>>\"$log\""
            : "log=$1; shift; exec setsid \"$@\" </dev/null >>\"$log\" 2>&1";
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardOutput = pipeOutput, WorkingDirectory = "/" };
        foreach (string argument in (string[])["-c", script, "sh", log, .. command])
        {
            start.ArgumentList.Add(argument);
        }
        return Process.Start(start) ?? throw new CommandException("cannot start /bin/sh");
    }
}
