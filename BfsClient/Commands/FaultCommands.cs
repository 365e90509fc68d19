using System.CommandLine;
using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>bfs fault cut and heal: partitions without a firewall, for tests.</summary>
internal static class FaultCommands
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    public static Command Create() => new("fault",
        "For tests: cut links between replicas. Only replicas that were started with BFS_TEST_FAULTS=1 in their environment obey.")
    {
        Cut(), Heal(),
    };

    private static Command Cut()
    {
        Option<string> cluster = Cli.ClusterOption();
        Argument<string> id = new("ID") { Description = "The replica that drops datagrams" };
        Argument<string[]> others = new("OTHER") { Description = "The replicas whose datagrams it drops, and that it sends nothing to; all links to others are whole", Arity = ArgumentArity.OneOrMore };
        Option<bool> incoming = new("--incoming") { Description = "It does not hear them, but sends to them" };
        Option<bool> outgoing = new("--outgoing") { Description = "It sends them nothing, but hears them" };
        var command = new Command("cut", "Cut a replica off from others until it is healed or started again. Its links to clients stay.")
        {
            id, others, incoming, outgoing, cluster,
        }.WithExamples("""
            bfs fault cut 0 2 3
            bfs fault cut 0 1 2 3 --outgoing
            """);
        command.SetAction(parsed =>
        {
            ClusterConfig config = ClusterFile.Read(Cli.Directory(parsed, cluster).ClusterFile);
            ReplicaId replica = Cli.Replica(config, parsed.GetValue(id)!);
            ulong mask = 0;
            foreach (string other in parsed.GetValue(others)!)
            {
                mask |= 1UL << Cli.Replica(config, other).Value;
            }
            if ((mask >> replica.Value & 1) != 0)
            {
                throw new CommandException($"replica {replica.Value} cannot be cut off from itself") { ExitCode = 2 };
            }
            bool both = parsed.GetValue(incoming) == parsed.GetValue(outgoing);
            return Report(Send(config, replica, both || parsed.GetValue(incoming) ? mask : 0, both || parsed.GetValue(outgoing) ? mask : 0));
        });
        return command;
    }

    private static Command Heal()
    {
        Option<string> cluster = Cli.ClusterOption();
        Argument<string[]> ids = new("ID") { Description = "The replicas whose links are whole again (default: all)", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("heal", "Make all links of replicas whole again.") { ids, cluster }.WithExamples("""
            bfs fault heal
            """);
        command.SetAction(parsed =>
        {
            ClusterConfig config = ClusterFile.Read(Cli.Directory(parsed, cluster).ClusterFile);
            string[] named = parsed.GetValue(ids)!;
            ReplicaId[] replicas = named.Length == 0 ? [.. config.Replicas.Select(r => r.Id)] : [.. named.Select(n => Cli.Replica(config, n))];
            return Report([.. replicas.Select(r => Send(config, r, 0, 0))]);
        });
        return command;
    }

    private static int Report(params string?[] problems) => problems.All(p => p is null)
        ? 0
        : throw new CommandException(string.Join('\n', problems.Where(p => p is not null)));

    /// <summary>What is wrong, or null.</summary>
    private static string? Send(ClusterConfig config, ReplicaId id, ulong from, ulong to)
    {
        ReplicaInfo replica = config.Replicas[id.Value];
        MonitorAnswer? answer = MonitorClient.CutAsync(replica, from, to, Patience).GetAwaiter().GetResult();
        return answer is { } done && done.CutFrom == from && done.CutTo == to ? null
            : MonitorClient.AskAsync(replica, Patience).GetAwaiter().GetResult() is null ? $"replica {id.Value} cannot be reached"
            : $"replica {id.Value} takes no faults: it was not started with BFS_TEST_FAULTS=1 in its environment";
    }
}
