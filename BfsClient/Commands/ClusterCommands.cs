using System.Buffers.Binary;
using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using BfsClient.Fuse;
using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>bfs cluster init, start and stop.</summary>
internal static class ClusterCommands
{
    private const int LowestPort = 7000;
    private const int PortStep = 100;

    /// <summary>Up to port 26 999: above 32 767 the kernel gives ports to whoever asks for any.</summary>
    private const int PortRanges = 200;

    public static Command Create() => new("cluster", "Make a cluster, start and stop its replicas")
    {
        Init(),
        Start(),
        Stop(),
    };

    private static Command Init()
    {
        Option<string> cluster = Cli.ClusterOption();
        Option<int> replicas = new("--replicas") { Description = "How many: 3f+1, where f may fail", HelpName = "N", DefaultValueFactory = _ => 4 };
        Option<string> size = new("--size") { Description = "The drive's size, tables included; takes no space before it is used", HelpName = "16G", DefaultValueFactory = _ => "16G" };
        Option<int?> port = new("--port") { Description = "The first UDP port; the replicas use as many from there (default: free ones from 7000 on, others for each directory)", HelpName = "BASE" };
        Option<int> clients = new("--clients") { Description = "How many drives can be mounted at the same time", HelpName = "N", DefaultValueFactory = _ => 8 };
        Option<bool> noRep = new("--no-rep") { Description = "One unreplicated server, for comparison" };
        Option<bool> bftPk = new("--bft-pk") { Description = "Sign every message instead of using MACs (BFT-PK): slower, without recovery; for comparison" };
        Option<string?> multicast = new("--multicast") { Description = "An IPv4 multicast group for messages between replicas, used as far as it works (default: unicast)", HelpName = "239.1.2.3:7777" };
        Option<string> hosts = new("--host") { Description = "Where the replicas run: one host for all, or one for each", HelpName = "H1,H2,..", DefaultValueFactory = _ => "127.0.0.1" };
        var command = new Command("init", "Make a new cluster: fresh keys for all replicas and clients, and the cluster file.")
        {
            cluster, replicas, size, port, clients, noRep, hosts,
        }.WithExamples("""
            bfs cluster init
            bfs cluster init --cluster /srv/bfs --replicas 7 --size 64G
            bfs cluster init --host a.example,b.example,c.example,d.example --port 7000
              (then copy cluster.json, and to each machine the keys of its replica, there)
            """);
        command.Options.Add(multicast);
        command.Options.Add(bftPk);
        command.Validators.Add(result =>
        {
            if (result.GetValue(bftPk) && result.GetValue(noRep))
            {
                result.AddError("--bft-pk and --no-rep exclude each other");
            }
        });
        command.SetAction(parsed => Init(Cli.Directory(parsed, cluster), new ClusterPlan
        {
            MulticastGroup = parsed.GetValue(multicast),
            Replicas = parsed.GetValue(noRep) && parsed.GetResult(replicas) is null or { Implicit: true } ? 1 : parsed.GetValue(replicas),
            Mode = parsed.GetValue(noRep) ? ClusterMode.NoRep : parsed.GetValue(bftPk) ? ClusterMode.BftPk : ClusterMode.Bft,
            Hosts = parsed.GetValue(hosts)!.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries),
            Clients = parsed.GetValue(clients),
            // Whoever makes the cluster must be able to use the drive.
            OwnerUid = Native.EffectiveUser(),
            OwnerGid = Native.EffectiveGroup(),
            ServiceStateBytes = Size.Parse(parsed.GetValue(size)!) ?? throw new CommandException(
                $"--size {parsed.GetValue(size)} is no size; write 512M, 16G or 1T")
            { ExitCode = 2 },
        }, parsed.GetValue(port)));
        return command;
    }

    private static int Init(ClusterDirectory directory, ClusterPlan plan, int? port)
    {
        plan = plan with { BasePort = port ?? FindPort(directory, plan) };
        ClusterConfig config;
        try
        {
            config = ClusterFounder.Create(directory, plan);
        }
        catch (ClusterFileException e) when (!File.Exists(directory.ClusterFile))
        {
            throw new CommandException(e.Message, e) { ExitCode = 2 };
        }
        Cli.Say(config.Mode == ClusterMode.NoRep
            ? $"made an unreplicated server in {directory.Path}: {Size.Text(config.ServiceStateBytes)}, UDP port {plan.BasePort}"
            : $"made a cluster in {directory.Path}: {config.N} replicas of which {config.F} may fail, "
                + $"{Size.Text(config.ServiceStateBytes)}, UDP ports {plan.BasePort} to {plan.BasePort + config.N - 1}");
        return 0;
    }

    /// <summary>
    /// Ports that are free now. Where the search starts depends on the directory: two clusters that are made while neither
    /// runs are to run together later.
    /// </summary>
    private static int FindPort(ClusterDirectory directory, ClusterPlan plan)
    {
        string[] local = [.. plan.Hosts.Where(LocalHosts.IsLocal)];
        int first = BinaryPrimitives.ReadUInt16LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(directory.Path)));
        for (int i = 0; i < PortRanges; i++)
        {
            int port = LowestPort + ((first + i) % PortRanges * PortStep);
            if (Array.TrueForAll(local, host => LocalHosts.PortsAreFree(host, port, plan.Replicas)))
            {
                return port;
            }
        }
        throw new CommandException($"there are no free UDP ports from {LowestPort} on; choose some with --port");
    }

    private static Command Start()
    {
        Option<string> cluster = Cli.ClusterOption();
        Option<bool> keepGoing = new("--keep-going") { Description = "If replicas cannot start, leave the others running as long as they make a quorum" };
        Option<bool> forMount = new("--for-mount") { Hidden = true };
        var command = new Command("start", "Start the replicas of this machine in the background, and wait until they answer.")
        {
            cluster, keepGoing, forMount,
        }.WithExamples("""
            bfs cluster start
            bfs cluster start --cluster /srv/bfs
            """);
        command.SetAction(parsed =>
            Start(Cli.Directory(parsed, cluster), parsed.GetValue(keepGoing), parsed.GetValue(forMount)));
        return command;
    }

    private static int Start(ClusterDirectory directory, bool keepGoing, bool forMount)
    {
        ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
        var processes = new ReplicaProcesses(directory, config);
        if (processes.Local.Count == 0)
        {
            throw new CommandException($"none of the hosts in {directory.ClusterFile} is this machine: nothing to start here");
        }
        int running = processes.Local.Count(id => processes.PidOf(id) is not null);
        if (running == processes.Local.Count)
        {
            Cli.Say($"all {running} replicas of this machine run already");
            return 0;
        }
        IReadOnlyList<ReplicaId> started = Progress.While($"starting {processes.Local.Count - running} replicas",
            () => processes.Start(processes.Local.Where(id => processes.PidOf(id) is null), keepGoing, Console.Error.WriteLine));
        if (forMount && running == 0)
        {
            StartedForMount.Set(directory);
        }
        if (started.Count == 0)
        {
            throw new CommandException("no further replica could be started");
        }
        Cli.Say($"started {Names(started)}; stop with: bfs cluster stop --cluster {directory.Path}");
        return 0;
    }

    private static Command Stop()
    {
        Option<string> cluster = Cli.ClusterOption();
        Option<bool> ifStarted = new("--if-started-for-mount") { Hidden = true };
        Option<bool> force = new("--force") { Description = "Even if drives of this cluster are mounted here: their users wait until it is started again" };
        var command = new Command("stop", "Stop the replicas of this machine. They save their state and take up from there when they are started again.")
        {
            cluster, force, ifStarted,
        }.WithExamples("""
            bfs cluster stop
            bfs cluster stop --cluster /srv/bfs
            """);
        command.SetAction(parsed =>
            Stop(Cli.Directory(parsed, cluster), parsed.GetValue(force), parsed.GetValue(ifStarted)));
        return command;
    }

    private static int Stop(ClusterDirectory directory, bool force, bool onlyIfStarted)
    {
        ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
        if (onlyIfStarted)
        {
            StopIfStartedForMount(directory, config);
            return 0;
        }
        IReadOnlyList<RunningRelay> relays = RunningRelay.All(directory, config);
        if (relays.Count > 0 && !force)
        {
            throw new CommandException("drives of this cluster are mounted here: "
                + string.Join(", ", relays.Select(r => r.MountPoint)) + "; unmount them first (bfs unmount), or use --force");
        }
        StopAll(directory, config);
        return 0;
    }

    /// <summary>After a drive has gone: its replicas go too if they were started for it and serve no other.</summary>
    public static void StopIfStartedForMount(ClusterDirectory directory, ClusterConfig config)
    {
        IReadOnlyList<RunningRelay> others = RunningRelay.All(directory, config);
        if (others.Count > 0)
        {
            Cli.Say("the replicas go on running for " + string.Join(", ", others.Select(r => r.MountPoint)));
        }
        else if (!StartedForMount.IsSet(directory))
        {
            Cli.Say($"the replicas were not started for this mount; stop them with: bfs cluster stop --cluster {directory.Path}");
        }
        else
        {
            StopAll(directory, config);
        }
    }

    private static void StopAll(ClusterDirectory directory, ClusterConfig config)
    {
        var processes = new ReplicaProcesses(directory, config);
        StartedForMount.Clear(directory);
        IReadOnlyList<ReplicaId> stopped = Progress.While("stopping the replicas",
            () => processes.Stop(processes.Local.Where(id => processes.PidOf(id) is not null || processes.MonitorOf(id) is not null), Cli.Say));
        Cli.Say(stopped.Count == 0 ? "no replica of this cluster runs here" : $"stopped {Names(stopped)}; their state is saved");
    }

    private static string Names(IReadOnlyList<ReplicaId> ids) =>
        (ids.Count == 1 ? "replica " : "replicas ") + string.Join(", ", ids.Select(id => id.Value));
}
