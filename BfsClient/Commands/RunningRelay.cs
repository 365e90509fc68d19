using BfsCore;
using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>
/// A relay of this machine. Beside its lock lies a note: the mount point, and when it has ended how that went.
/// </summary>
internal sealed record RunningRelay(ClientId Client, int Pid, string MountPoint)
{
    /// <summary>The relays of a cluster that run here.</summary>
    public static IReadOnlyList<RunningRelay> All(ClusterDirectory directory, ClusterConfig config)
    {
        var found = new List<RunningRelay>();
        foreach (ClientInfo client in config.Clients)
        {
            if (ProcessLock.HolderOf(directory.ClientLock(client.Id)) is { } pid)
            {
                found.Add(new RunningRelay(client.Id, pid, Lines(directory, client.Id).FirstOrDefault() ?? "(not yet mounted)"));
            }
        }
        return found;
    }

    public static void NoteMounted(ClusterDirectory directory, ClientId client, string mountPoint) =>
        File.WriteAllText(NotePath(directory, client), mountPoint + "\n");

    /// <param name="error">Empty when all was well.</param>
    public static void NoteEnded(ClusterDirectory directory, ClientId client, string mountPoint, string error) =>
        File.WriteAllText(NotePath(directory, client), $"{mountPoint}\n{error}\n");

    /// <summary>How a relay that is gone ended: an error, or empty.</summary>
    public static string EndOf(ClusterDirectory directory, ClientId client) => Lines(directory, client) switch
    {
        [_, string error, ..] => error,
        _ => "the relay died before it had ended in order: what was written last may be lost",
    };

    private static string[] Lines(ClusterDirectory directory, ClientId client)
    {
        string path = NotePath(directory, client);
        return File.Exists(path) ? File.ReadAllLines(path) : [];
    }

    private static string NotePath(ClusterDirectory directory, ClientId client) =>
        Path.Combine(directory.Clients, $"{client.Value}.mount");
}
