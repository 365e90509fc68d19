using System.Globalization;
using BfsCore;

namespace BfsReplica;

/// <summary>What a process of this program is.</summary>
internal enum Role
{
    /// <summary>The replica itself.</summary>
    Run,

    /// <summary>The holder of its private key.</summary>
    KeyHolder,

    /// <summary>Its recovery monitor, which starts the other two.</summary>
    Monitor,
}

/// <summary>The arguments of the replica's processes. People use "bfs replica start"; this is what it runs.</summary>
/// <param name="Cluster">The cluster directory.</param>
internal sealed record ReplicaOptions(Role Role, string Cluster, ReplicaId Id)
{
    /// <summary>Exit code of a replica whose key holder has gone: its recovery monitor starts both again.</summary>
    public const int KeyHolderGone = 75;

    public const string Usage = """
        Usage: BfsReplica monitor --cluster DIR --id N --manifest DIGEST
               BfsReplica keyholder --cluster DIR --id N
               BfsReplica run --cluster DIR --id N [--recover]

        The processes of replica N of the cluster whose directory is DIR. "bfs cluster start" and
        "bfs replica start N" start the recovery monitor in the background, from DIR/replica-N/monitor;
        it starts the key holder (keys/replica-N.key) and the replica (DIR/replica-N/program).

        monitor    takes commands on DIR/replica-N/monitor.sock until it is told to stop
        keyholder  serves the process that its standard input names ("replica PID")
        run        the replica, until SIGTERM or SIGINT; then it saves its state and its log

          --manifest DIGEST  the SHA-256 digest of the list of installed files
          --recover          begin with a recovery (proactive recovery, docs/recovery.md)

        Exit codes: 0 stopped in order, 1 could not start or save, 2 wrong arguments,
        75 the key holder has gone.
        """;

    /// <summary>The digest of the manifest that the monitor is to find; null when not named.</summary>
    public string? Manifest { get; init; }

    /// <summary>The replica is to recover.</summary>
    public bool Recover { get; init; }

    /// <summary>Standard input and output are the recovery monitor's.</summary>
    public bool Monitored { get; init; }

    /// <param name="error">What is wrong with the arguments; empty when nothing is.</param>
    /// <returns>Null when there is an error, or when only help was asked for.</returns>
    public static ReplicaOptions? Parse(ReadOnlySpan<string> args, out string error)
    {
        error = "";
        if (args.ContainsAny("--help", "-h", "-?"))
        {
            return null;
        }
        if (args.Length == 0 || RoleOf(args[0]) is not { } role)
        {
            error = args.Length == 0 ? "which process? run, keyholder or monitor" : $"unknown command '{args[0]}'";
            return null;
        }
        (string? cluster, int id, string? manifest, bool recover, bool monitored) = (null, -1, null, false, false);
        for (int i = 1; i < args.Length; i++)
        {
            if (role == Role.Run && args[i] is "--recover" or "--monitored")
            {
                recover |= args[i] == "--recover";
                monitored |= args[i] == "--monitored";
                continue;
            }
            if (args[i] is not ("--cluster" or "--id") && !(role == Role.Monitor && args[i] == "--manifest"))
            {
                error = $"unknown option '{args[i]}'";
                return null;
            }
            if (++i == args.Length)
            {
                error = $"{args[i - 1]} needs a value";
                return null;
            }
            cluster = args[i - 1] == "--cluster" ? args[i] : cluster;
            manifest = args[i - 1] == "--manifest" ? args[i] : manifest;
            if (args[i - 1] == "--id" && !int.TryParse(args[i], NumberStyles.None, CultureInfo.InvariantCulture, out id))
            {
                error = $"--id needs a replica's number, not '{args[i]}'";
                return null;
            }
        }
        if (string.IsNullOrEmpty(cluster) || id < 0)
        {
            error = string.IsNullOrEmpty(cluster) ? "--cluster is missing" : "--id is missing";
            return null;
        }
        return new ReplicaOptions(role, cluster, new ReplicaId(id)) { Manifest = manifest, Recover = recover, Monitored = monitored };
    }

    private static Role? RoleOf(string command) => command switch
    {
        "run" => Role.Run,
        "keyholder" => Role.KeyHolder,
        "monitor" => Role.Monitor,
        _ => null,
    };
}
