using System.Runtime.InteropServices;
using BfsClient.FileSystem;
using BfsCore;
using BfsCore.Crypto;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;

namespace BfsClient.Commands;

/// <summary>What a relay is started with.</summary>
/// <param name="Client">Null: the first client identifier that no other relay of this machine uses.</param>
internal sealed record RelayPlan(ClusterDirectory Directory, ClientId? Client, string MountPoint, MountOptions Mount);

/// <summary>A process's life as a relay: mounts, serves until it is unmounted, says how it went.</summary>
internal static class RelayProcess
{
    /// <param name="mounted">Called when the drive is usable, with the client identifier in use.</param>
    /// <param name="warn">Told what the person who ends it should know.</param>
    /// <exception cref="CommandException">The drive could not be mounted, or not everything was written at the end.</exception>
    public static void Run(RelayPlan plan, Action<ClientId> mounted, Action<string> warn)
    {
        ClusterConfig config = ClusterFile.Read(plan.Directory.ClusterFile);
        Directory.CreateDirectory(plan.Directory.Clients);
        (ClientId client, ProcessLock held) = TakeClient(plan, config);
        using (held)
        using (FileSigner signer = FileSigner.ForClient(plan.Directory, config, client))
        using (var loop = new EventLoop())
        using (UdpTransport transport = UdpTransport.ForClient(config))
        {
            RunningRelay.NoteMounted(plan.Directory, client, plan.MountPoint);
            var invoker = new ClusterInvoker(loop, config, client, transport, new KeyExchange(config, signer),
                plan.Mount.SoftTimeoutMillis * 1000);
            var options = new RelayOptions(plan.MountPoint,
                plan.Mount.Source == new MountOptions().Source ? plan.Mount with { Source = SourceOf(plan.Directory) } : plan.Mount);
            using var relay = new Relay(invoker, loop, options);
            Check(relay.Mount());
            mounted(client);
            MountResult end = Serve(relay, warn);
            RunningRelay.NoteEnded(plan.Directory, client, plan.MountPoint, end.Error);
            Check(end);
        }
    }

    /// <summary>What the mount table shows as the source: whose drive it is.</summary>
    public static string SourceOf(ClusterDirectory directory) => "bfs:" + directory.Path;

    private static MountResult Serve(Relay relay, Action<string> warn)
    {
        int asked = 0;
        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            // Asked a second time it does not wait for those who use the drive.
            bool lazy = Interlocked.Increment(ref asked) > 1;
            relay.RequestUnmount(lazy, result =>
            {
                if (!result.Succeeded)
                {
                    warn(result.Error + "; a second signal unmounts all the same");
                }
            });
        }
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        return relay.Run();
    }

    /// <summary>Two relays must not be the same client: their timestamps would contradict each other.</summary>
    private static (ClientId Client, ProcessLock Held) TakeClient(RelayPlan plan, ClusterConfig config)
    {
        if (plan.Client is { } wanted)
        {
            if (config.FindClient(wanted) is null)
            {
                throw new CommandException($"there is no client {wanted.Value}; they are {Limits.FirstClientId} to "
                    + $"{Limits.FirstClientId + config.Clients.Count - 1}")
                { ExitCode = 2 };
            }
            string path = plan.Directory.ClientLock(wanted);
            return (wanted, ProcessLock.TryTake(path) ?? throw new CommandException($"client {wanted.Value} is in use by "
                + $"process {ProcessLock.HolderOf(path)}; leave --client away, and a free one is taken"));
        }
        bool anyKey = false;
        foreach (ClientInfo client in config.Clients)
        {
            // On a machine that may act as some of the clients only, the others have no key.
            if (!File.Exists(plan.Directory.ClientKey(client.Id)))
            {
                continue;
            }
            anyKey = true;
            if (ProcessLock.TryTake(plan.Directory.ClientLock(client.Id)) is { } held)
            {
                return (client.Id, held);
            }
        }
        throw new CommandException(anyKey
            ? $"all {config.Clients.Count} clients of this cluster are in use on this machine: unmount a drive first, or make a cluster with more (bfs cluster init --clients)"
            : $"{plan.Directory.Keys}: there is no client's key; copy one from the machine where the cluster was made");
    }

    private static void Check(MountResult result)
    {
        if (!result.Succeeded)
        {
            throw new CommandException(result.Error);
        }
    }
}
