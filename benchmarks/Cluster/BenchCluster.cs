using System.Diagnostics;
using BfsCore;
using BfsCore.Crypto;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;
using BfsCore.Hosting.Storage;
using BfsCore.Replication;
using BfsCore.State;
using BfsReplica.Snfsd;

namespace BfsBench;

/// <summary>Servers of a simple service as processes of their own, in a temporary cluster, on loopback.</summary>
internal sealed class BenchCluster : IDisposable
{
    /// <summary>Bytes after which a server's log begins anew.</summary>
    private const long LogBytes = 16 << 20;

    private const string FileServiceName = "files";

    private readonly List<Process> _servers = [];
    private readonly Scratch _scratch = new("cluster");
    private readonly string _service;
    private readonly bool _probe;

    /// <param name="replicas">For NO-REP always 1.</param>
    /// <param name="stateBytes">Of the <see cref="PageService"/>; without it the <see cref="NullService"/>.</param>
    /// <param name="content">The file service instead, on state files with this.</param>
    /// <param name="probe">With a <see cref="ViewChangeProbe"/> around each replica.</param>
    /// <param name="echo">Servers that only answer (<see cref="EchoServer"/>).</param>
    /// <param name="change">What is to be different in the cluster file.</param>
    public BenchCluster(ClusterMode mode, int clients, int replicas = 4, long? stateBytes = null, bool probe = false,
        bool echo = false, Growth? content = null, Func<ClusterConfig, ClusterConfig>? change = null)
    {
        _probe = probe;
        _service = echo ? EchoServer.Name : content is not null ? FileServiceName : stateBytes is null ? "null" : "pages";
        stateBytes ??= content?.DriveBytes ?? 1 << 20;
        Directory = new ClusterDirectory(_scratch.In("cluster"));
        replicas = mode == ClusterMode.NoRep ? 1 : replicas;
        Config = ClusterFounder.Create(Directory, new ClusterPlan
        {
            Mode = mode,
            Replicas = replicas,
            BasePort = FreePorts.Find(replicas),
            Clients = clients,
            ServiceStateBytes = stateBytes.Value,
        });
        if (change is not null)
        {
            Config = change(Config);
            ClusterFile.Write(Directory.ClusterFile, Config);
        }
        if (content is not null)
        {
            GrownState.Make(Directory, Config, content.Value);
        }
        for (int i = 0; i < Config.N; i++)
        {
            _servers.Add(Launch(i));
        }
        // Clients that find only some of them are measured with what that costs.
        _servers.ForEach(s => s.StandardOutput.ReadLine());
    }

    public ClusterDirectory Directory { get; }
    public ClusterConfig Config { get; }

    /// <summary>Processor time that each server has used, microseconds.</summary>
    public double[] CpuMicros() =>
        [.. _servers.Select(s =>
        {
            s.Refresh();
            return s.TotalProcessorTime.TotalMicroseconds;
        })];

    private Process Launch(int id)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { UseShellExecute = false, RedirectStandardOutput = true };
        if (System.IO.Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(typeof(BenchCluster).Assembly.Location);
        }
        foreach (string argument in new[] { "serve", "--cluster", Directory.Path, "--id", $"{id}", "--service", _service })
        {
            start.ArgumentList.Add(argument);
        }
        if (_probe)
        {
            start.ArgumentList.Add("--probe");
        }
        // Servers are killed, and would leave the runtime's pipes for debuggers in the directory for temporary files.
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        CleanUp.StayIfEnding();
        return Process.Start(start) ?? throw new InvalidOperationException("a server process could not be started");
    }

    /// <summary>Ends a server without warning, and starts it again with nothing.</summary>
    public Process Replace(int id)
    {
        Kill(id);
        return Start(id);
    }

    /// <summary>Ends a server without warning.</summary>
    public void Kill(int id) => End(_servers[id]);

    /// <summary>Starts a server again that was ended, with nothing; its first line says that it has begun.</summary>
    public Process Start(int id)
    {
        // Not the counters: they must not go back (§4.2).
        Array.ForEach(System.IO.Directory.GetFiles(Directory.Replica(new ReplicaId(id)), "votes.*"), File.Delete);
        return _servers[id] = Launch(id);
    }

    /// <summary>What a server process runs, until it is ended.</summary>
    public static int Serve(string path, int id, string service, bool probe)
    {
        var directory = new ClusterDirectory(path);
        ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
        var self = new ReplicaId(id);
        using var loop = new EventLoop();
        using UdpTransport transport = UdpTransport.ForReplica(config, self);
        System.IO.Directory.CreateDirectory(directory.Replica(self));
        using StateFile? file = service == FileServiceName ? GrownState.Open(directory, config, self) : null;
        using PagedState pages = file?.State ?? new PagedState(Replica.StateBytes(config));
        using VoteLogFile votes = VoteLogFile.Open(directory.Replica(self));
        using FileSigner signer = FileSigner.ForReplica(directory, config, self);
        IServerEngine engine = service == EchoServer.Name ? new EchoServer(config, transport)
            : config.Mode == ClusterMode.NoRep ? new NoRepServer(config, pages, NewService(service, config), transport)
            : new Replica(self, config, pages, NewService(service, config), transport, new SystemEntropy(),
                new KeyExchange(config, signer), new FileStableStore(directory.AcceptedCounters(self)), votes);
        if (engine is Replica replica)
        {
            replica.StateTransferred = report => Console.WriteLine(
                $"transferred {report.Checkpoint.Value} {report.Fetched} {report.Micros}");
            // The log of a real replica begins anew with each saved image; here nothing is saved, and it must not grow. It is so short
            // that warming up has written all its blocks once: the first time takes twice as long.
            replica.CheckpointBecameStable = _ =>
            {
                if (votes.Bytes > LogBytes)
                {
                    replica.RestartLog();
                }
            };
        }
        _ = new ServerOnLoop(loop, transport, probe && engine is Replica probed ? new ViewChangeProbe(probed, transport) : engine);
        // A server whose benchmark was killed ends by itself.
        int parent = Posix.ParentProcess();
        void StopIfAlone()
        {
            if (Posix.ParentProcess() != parent)
            {
                loop.Stop();
            }
            loop.AddTimer(TimeSpan.FromSeconds(1), StopIfAlone);
        }
        StopIfAlone();
        Console.WriteLine("begun");
        loop.Run();
        return 0;
    }

    private static IService NewService(string name, ClusterConfig config) => name switch
    {
        FileServiceName => new FileService(config),
        "pages" => new PageService(),
        _ => new NullService(),
    };

    private static void End(Process server)
    {
        if (!server.HasExited)
        {
            server.Kill();
            server.WaitForExit();
        }
        server.Dispose();
    }

    public void Dispose()
    {
        _servers.ForEach(End);
        _scratch.Dispose();
    }
}
