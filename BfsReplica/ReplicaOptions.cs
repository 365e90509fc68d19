using System.Globalization;
using BfsCore;

namespace BfsReplica;

/// <summary>The arguments of the replica process. People use "bfs replica start"; this is what it runs.</summary>
/// <param name="Cluster">The cluster directory.</param>
internal sealed record ReplicaOptions(string Cluster, ReplicaId Id)
{
    public const string Usage = """
        Usage: BfsReplica --cluster DIR --id N

        Runs replica N of the cluster whose directory is DIR (cluster.json, keys/replica-N.key)
        until it gets SIGTERM or SIGINT; then it saves its state and its log in DIR/replica-N.
        "bfs cluster start" and "bfs replica start N" run it in the background.

        Exit codes: 0 stopped in order, 1 could not start or save, 2 wrong arguments.
        """;

    /// <param name="error">What is wrong with the arguments; empty when nothing is.</param>
    /// <returns>Null when there is an error, or when only help was asked for.</returns>
    public static ReplicaOptions? Parse(ReadOnlySpan<string> args, out string error)
    {
        (string? cluster, int id, error) = (null, -1, "");
        for (int i = 0; i < args.Length; i += 2)
        {
            if (args[i] is "--help" or "-h" or "-?")
            {
                return null;
            }
            if (args[i] is not ("--cluster" or "--id"))
            {
                error = $"unknown option '{args[i]}'";
                return null;
            }
            if (i + 1 == args.Length)
            {
                error = $"{args[i]} needs a value";
                return null;
            }
            if (args[i] == "--cluster")
            {
                cluster = args[i + 1];
            }
            else if (!int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out id))
            {
                error = $"--id needs a replica's number, not '{args[i + 1]}'";
                return null;
            }
        }
        if (string.IsNullOrEmpty(cluster) || id < 0)
        {
            error = string.IsNullOrEmpty(cluster) ? "--cluster is missing" : "--id is missing";
            return null;
        }
        return new ReplicaOptions(cluster, new ReplicaId(id));
    }
}
