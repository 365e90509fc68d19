using System.CommandLine;
using System.Globalization;
using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>What the commands share: the option that names the cluster, and messages.</summary>
internal static class Cli
{
    /// <summary>A new one for each command.</summary>
    public static Option<string> ClusterOption() => new("--cluster")
    {
        Description = "The cluster's directory (default: $BFS_HOME, or ~/.bfs)",
        HelpName = "DIR",
        DefaultValueFactory = _ => ClusterDirectory.DefaultPath,
    };

    public static ClusterDirectory Directory(ParseResult parsed, Option<string> option) =>
        new(parsed.GetValue(option) is { Length: > 0 } path
            ? path
            : throw new CommandException("--cluster needs a directory") { ExitCode = 2 });

    /// <summary>One line for people who watch.</summary>
    public static void Say(string line) => Console.Out.WriteLine(line);

    /// <summary>A replica's number as an argument, checked against the cluster.</summary>
    public static ReplicaId Replica(ClusterConfig config, string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int id) && id < config.N
            ? new ReplicaId(id)
            : throw new CommandException($"there is no replica {text}; they are 0 to {config.N - 1}") { ExitCode = 2 };
}
