using BfsCore.Messages;

namespace BfsCore.Replication;

/// <summary>
/// Requests in batches that others could authenticate and this replica cannot. Either the client wrote wrong MACs, or it has changed its
/// keys (§4.3.1) and the batch, which comes from the primary, overtook the NEW-KEY, which comes from the client. So nobody is suspected at once:
/// the request is looked at again when new keys come, and held against its client when they do not.
/// </summary>
public sealed partial class Replica
{
    /// <summary>How long after a batch the keys may come that its requests were authenticated with.</summary>
    private const long LateKeyMicros = 50_000;

    /// <summary>At most one request of each client, in the order of their deadlines.</summary>
    private readonly List<(int Client, byte[] Request, long DeadlineMicros)> _strangers = [];

    private long StrangersDeadlineMicros => _strangers.Count > 0 ? _strangers[0].DeadlineMicros : long.MaxValue;

    /// <summary>Others could authenticate requests of this batch which this replica cannot (condition 2 of §3.2.2).</summary>
    private void NoteStrangers(LogEntry entry)
    {
        if (_format.Signed)
        {
            return;
        }
        for (int i = 0; i < entry.ItemCount; i++)
        {
            ref BatchItem item = ref entry.Items[i];
            int client = item.ClientIndex;
            if (item.Authentic || IsReplica(client) || !entry.TryGetRequest(item, _format, out Request request)
                || request.Session != _keys.ClientSession(client))
            {
                // Without keys for its session nothing is known of the client.
                continue;
            }
            if (_standing[client].Suspected)
            {
                Suspect(client, request);
            }
            else if (!IsStranger(client))
            {
                _strangers.Add((client, request.Message.ToArray(), _now.MonotonicMicros + LateKeyMicros));
            }
        }
    }

    private bool IsStranger(int client)
    {
        foreach ((int Client, byte[] Request, long DeadlineMicros) stranger in _strangers)
        {
            if (stranger.Client == client)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>A client has new keys: what had a wrong MAC under the old ones may have a right one.</summary>
    private void RecognizeStrangers(int client)
    {
        _strangers.RemoveAll(s => s.Client == client && Request.TryParse(s.Request, _format, out Request request) && HasRightMac(request, client));
        for (SeqNum seq = _lastCommitted.Next; seq <= HighWaterMark && _incompleteBatches > 0; seq = seq.Next)
        {
            if (_log.Find(seq) is not { HasPrePrepare: true, PrePrepared: false } entry || entry.View != _view)
            {
                continue;
            }
            for (int i = 0; i < entry.ItemCount; i++)
            {
                ref BatchItem item = ref entry.Items[i];
                item.Authentic |= item.ClientIndex == client && item.Present && entry.TryGetRequest(item, _format, out Request request)
                    && HasRightMac(request, client);
            }
            MaybePrepare(entry);
        }
    }

    private void RunStrangers()
    {
        while (_now.MonotonicMicros >= StrangersDeadlineMicros)
        {
            (int client, byte[] message, _) = _strangers[0];
            _strangers.RemoveAt(0);
            BfsAssert.That(Request.TryParse(message, _format, out Request request));
            Suspect(client, request);
        }
    }
}
