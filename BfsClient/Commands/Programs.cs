using System.Diagnostics;

namespace BfsClient.Commands;

/// <summary>Where our programs are, and how one is started so that it lives on by itself.</summary>
internal static class Programs
{
    /// <summary>Names the replica's program when it is neither beside this one nor in the source tree.</summary>
    private const string ReplicaVariable = "BFS_REPLICA";

    /// <summary>The command line that runs this program with other arguments.</summary>
    public static IReadOnlyList<string> Self => Command(Path.Combine(AppContext.BaseDirectory, "bfs.dll"));

    /// <summary>The command line that runs a replica.</summary>
    public static IReadOnlyList<string> Replica
    {
        get
        {
            if (Environment.GetEnvironmentVariable(ReplicaVariable) is { Length: > 0 } named)
            {
                return Command(named);
            }
            string here = AppContext.BaseDirectory.TrimEnd(Path.DirectorySeparatorChar);
            string beside = Path.Combine(here, "BfsReplica.dll");
            // In the source tree: BfsClient/bin/Release/net10.0 and BfsReplica/bin/Release/net10.0.
            string framework = Path.GetFileName(here);
            string configuration = Path.GetFileName(Path.GetDirectoryName(here) ?? "");
            string inTree = Path.GetFullPath(
                Path.Combine(here, "../../../..", "BfsReplica", "bin", configuration, framework, "BfsReplica.dll"));
            return File.Exists(beside) ? Command(beside)
                : File.Exists(inTree) ? Command(inTree)
                : throw new CommandException($"the replica's program is neither {beside} nor {inTree}; build the project "
                    + $"(dotnet build -c Release), or name it in {ReplicaVariable}");
        }
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

    private static string[] Command(string program)
    {
        if (!program.EndsWith(".dll", StringComparison.Ordinal))
        {
            return [program];
        }
        string? process = Environment.ProcessPath;
        return [Path.GetFileNameWithoutExtension(process) == "dotnet" ? process! : "dotnet", program];
    }
}
