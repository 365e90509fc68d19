using System.Text;
using System.Text.Json;
using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using BfsCore.Replication;

namespace BfsClient.Commands;

/// <summary>The status of a cluster as one JSON object. What is not known, as of a replica that does not answer, is null.</summary>
internal static class StatusJson
{
    public static string Write(ClusterStatus status)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteNumber("n", status.Config.N);
            json.WriteNumber("f", status.Config.F);
            json.WriteNumber("view", status.View);
            json.WriteNumber("primary", status.Primary.Value);
            json.WriteBoolean("primaryReachable", status.PrimaryAnswers);
            json.WriteBoolean("viewChanging", status.ViewChanging);
            json.WriteStartArray("alarms");
            foreach (int id in status.Alarms)
            {
                json.WriteNumberValue(id);
            }
            json.WriteEndArray();
            json.WriteStartArray("replicas");
            foreach (ReplicaInfo replica in status.Config.Replicas)
            {
                WriteReplica(json, status, replica.Id);
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    private static void WriteReplica(Utf8JsonWriter json, ClusterStatus status, ReplicaId id)
    {
        MonitorAnswer? answer = status.Answers[id.Value];
        json.WriteStartObject();
        json.WriteNumber("id", id.Value);
        WriteNumber(json, "pid", answer?.Pid);
        json.WriteBoolean("reachable", answer is not null);
        json.WriteString("is", answer is { } known ? status.Activity(known) : status.Unreachable(id));
        json.WriteBoolean("isPrimary", status.IsPrimary(id));
        WriteNumber(json, "view", answer?.View);
        WriteNumber(json, "lastExecuted", answer?.LastExecuted);
        WriteNumber(json, "lastCommitted", answer?.LastCommitted);
        WriteNumber(json, "stableCheckpoint", answer?.StableCheckpoint);
        json.WriteString("stableDigest", answer?.StableDigest.ToString());
        json.WriteNumber("requestsPerSecond", Math.Round(status.RequestsPerSecond(id), 1));
        WriteViewChanges(json, answer);
        WriteTransfer(json, answer);
        WriteChecking(json, answer);
        WriteRecovery(json, status, id);
        json.WriteEndObject();
    }

    /// <summary>The recovery that the replica was started for; null when it was not. Of the monitor only on its machine.</summary>
    private static void WriteRecovery(Utf8JsonWriter json, ClusterStatus status, ReplicaId id)
    {
        if (status.Answers[id.Value] is { Recovery: { Phase: not RecoveryPhase.None } recovery })
        {
            json.WriteStartObject("recovery");
            json.WriteString("phase", JsonNamingPolicy.CamelCase.ConvertName(recovery.Phase.ToString()));
            json.WriteNumber("bound", recovery.Bound.Value);
            json.WriteNumber("requestSeq", recovery.RequestSeq.Value);
            json.WriteNumber("point", recovery.Point.Value);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("recovery");
        }
        status.Monitors.TryGetValue(id.Value, out MonitorLine? monitor);
        json.WriteString("nextRecovery", monitor?.NextRecovery is { } next ? next.ToString("O", System.Globalization.CultureInfo.InvariantCulture) : null);
    }

    /// <summary>What checking the state against its digests brought since the replica's start (§5.3.3).</summary>
    private static void WriteChecking(Utf8JsonWriter json, MonitorAnswer? answer)
    {
        if (answer is not { } known)
        {
            json.WriteNull("state");
            return;
        }
        json.WriteStartObject("state");
        json.WriteBoolean("filesWereDamaged", known.FilesWereDamaged);
        json.WriteNumber("pagesChecked", known.PagesChecked);
        json.WriteNumber("pagesScrubbed", known.PagesScrubbed);
        json.WriteNumber("pagesDamaged", known.PagesDamaged);
        json.WriteNumber("pagesFetched", known.PagesFetched);
        json.WriteEndObject();
    }

    private static void WriteViewChanges(Utf8JsonWriter json, MonitorAnswer? answer)
    {
        WriteNumber(json, "viewChanges", answer?.ViewChanges);
        if (answer is { } known)
        {
            json.WriteBoolean("viewChanging", known.ViewChanging);
        }
        else
        {
            json.WriteNull("viewChanging");
        }
        if (answer is not { ViewChanges: > 0 } change)
        {
            json.WriteNull("lastViewChange");
            return;
        }
        json.WriteStartObject("lastViewChange");
        json.WriteNumber("from", change.ViewChangeFrom);
        json.WriteNumber("to", change.ViewChangeTo);
        json.WriteString("reason", ClusterStatus.Reason(change.ViewChangeReason));
        json.WriteNumber("secondsAgo", Math.Round(change.ViewChangeAgoMicros / 1e6, 3));
        json.WriteNumber("tookMillis", Math.Round(change.ViewChangeTookMicros / 1e3, 3));
        json.WriteEndObject();
    }

    private static void WriteTransfer(Utf8JsonWriter json, MonitorAnswer? answer)
    {
        if (answer is not { TransferTarget: > 0 } transfer)
        {
            json.WriteNull("transfer");
            return;
        }
        json.WriteStartObject("transfer");
        json.WriteNumber("checkpoint", transfer.TransferTarget);
        json.WriteNumber("pagesFetched", transfer.TransferPages);
        json.WriteNumber("pagesKnownMissing", transfer.TransferMissing);
        WriteNumber(json, "percent", ClusterStatus.TransferPercent(transfer));
        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string name, long? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }
}
