using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;

namespace BfsClient.Commands;

/// <summary>Asks the recovery monitors of this machine how they are.</summary>
internal static class LocalMonitors
{
    /// <summary>The answers, by replica, of those that are there.</summary>
    public static IReadOnlyDictionary<int, MonitorLine> AskAll(ClusterDirectory directory, ClusterConfig config, TimeSpan patience)
    {
        var answers = new Dictionary<int, MonitorLine>();
        foreach (ReplicaInfo replica in config.Replicas)
        {
            if (Ask(directory, replica.Id, patience) is { } answer)
            {
                answers.Add(replica.Id.Value, answer);
            }
        }
        return answers;
    }

    /// <summary>Null when there is no monitor, or it does not answer.</summary>
    public static MonitorLine? Ask(ClusterDirectory directory, ReplicaId id, TimeSpan patience)
    {
        try
        {
            using var ending = new CancellationTokenSource(patience);
            return MonitorConnection.SendAsync(directory.MonitorSocket(id), new MonitorCommand { Command = MonitorCommand.Status }, _ => { },
                ending.Token).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
