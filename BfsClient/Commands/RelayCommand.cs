using System.CommandLine;
using System.Globalization;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Net;

namespace BfsClient.Commands;

/// <summary>
/// The process behind a mounted drive, which "bfs mount" starts. On its output it tells that command, in one line, that
/// the drive is usable or what is wrong; what happens later goes to its log.
/// </summary>
internal static class RelayCommand
{
    public const string Name = "relay";
    public const string Ready = "ready ";
    public const string Failed = "failed ";

    public static Command Create()
    {
        Option<string> cluster = new("--cluster") { Required = true };
        Option<int?> client = new("--client");
        Option<string> mountPoint = new("--mount-point") { Required = true };
        Option<string> options = new("--options") { DefaultValueFactory = _ => "" };
        var command = new Command(Name) { cluster, client, mountPoint, options };
        command.Hidden = true;
        command.SetAction(parsed =>
        {
            ClientId? id = parsed.GetValue(client) is { } number ? new ClientId(number) : null;
            return MountOptions.TryParse(parsed.GetValue(options)!, out MountOptions mount, out string error)
                ? Run(new RelayPlan(new ClusterDirectory(parsed.GetValue(cluster)!), id, parsed.GetValue(mountPoint)!, mount))
                : throw new CommandException(error) { ExitCode = 2 };
        });
        return command;
    }

    private static int Run(RelayPlan plan)
    {
        bool mounted = false;
        try
        {
            RelayProcess.Run(plan, client =>
            {
                mounted = true;
                Log($"client {client.Value} mounted {plan.MountPoint}");
                Console.Out.WriteLine(Ready + client.Value.ToString(CultureInfo.InvariantCulture));
                Signals.DetachOutput();
            }, Log);
            Log($"unmounted {plan.MountPoint}");
            return 0;
        }
        catch (Exception e) when (e is CommandException or ClusterFileException or TransportException or IOException
            or UnauthorizedAccessException)
        {
            Log($"{plan.MountPoint}: {e.Message}");
            if (!mounted)
            {
                Console.Out.WriteLine(Failed + e.Message.ReplaceLineEndings(" "));
            }
            return e is CommandException { ExitCode: var code } ? code : 1;
        }
    }

    private static void Log(string line)
    {
        string time = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture);
        Console.Error.WriteLine($"{time}Z process {Environment.ProcessId}: {line}");
    }
}
