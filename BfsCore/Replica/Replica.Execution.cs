using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>Execution in order, tentatively where allowed (§5.1.2), and replies (§5.1.1).</summary>
public sealed partial class Replica
{
    /// <summary>Per slot the batch in which its last request was executed here: tells whether the reply is still tentative.</summary>
    private readonly long[] _tentativeReply;

    /// <summary>The view of the batch that was last executed tentatively: its replies are of that view, though the replica has left it.</summary>
    private View _tentativeView;

    /// <summary>
    /// Executes batches whose turn has come. A prepared batch is executed tentatively when every earlier one is known to
    /// have committed; so at most one is tentative at a time, and between its commit and the next execution the state
    /// reflects committed batches only, which is when waiting read-only requests run.
    /// </summary>
    private void ExecuteReady()
    {
        while (StateIsWhole)
        {
            if (_lastExecuted > _lastCommitted)
            {
                if (_log.Find(_lastExecuted) is not { Committed: true } executed)
                {
                    return;
                }
                OnBatchCommitted(executed);
                continue;
            }
            LogEntry? next = _log.Find(_lastExecuted.Next);
            if (next is null || next.View != _view || !(next.Committed || (next.Prepared && _config.TentativeExecution && !_silent)))
            {
                return;
            }
            Execute(next, tentative: !next.Committed);
        }
    }

    private void OnBatchCommitted(LogEntry entry)
    {
        LogMark(VoteRecordKind.Committed, entry.Seq, entry.Digest);
        _lastCommitted = entry.Seq;
        _committedBatches[entry.Seq.Value % _committedBatches.Length] = (entry.Seq, entry.Digest);
        _observer?.OnCommitted(Id, entry.Seq, entry.Digest);
        NoteProgress();
        ExecuteDeferredReads();
        if (entry.Seq.Value % _config.CheckpointPeriod == 0)
        {
            AnnounceCheckpoint(entry.Seq);
            RotateAt(entry.Seq);
        }
    }

    private void Execute(LogEntry entry, bool tentative)
    {
        _lastExecuted = entry.Seq;
        _tentativeView = tentative ? entry.View : _tentativeView;
        if (entry.ItemCount > 0)
        {
            long time = Math.Max(entry.TimeNanos, _replies.LastTimeNanos + 1);
            _replies.LastTimeNanos = time;
            for (int i = 0; i < entry.ItemCount; i++)
            {
                ref BatchItem item = ref entry.Items[i];
                BfsAssert.That(entry.TryGetRequest(item, _format, out Request request));
                if (item.Body is { } body && item.InlineBytes == 0)
                {
                    _pages.Operation.Set(body.Buffer, Request.HeaderBytes + body.OperationBytes, body.Blocks, body.BlockCount);
                }
                ExecuteRequest(entry, item.ClientIndex, request, time, tentative);
                _pages.Operation.Clear();
            }
        }
        Counters.BatchesExecuted++;
        _observer?.OnExecuted(Id, entry.View, entry.Seq, entry.Digest, tentative);
        if (entry.Seq.Value % _config.CheckpointPeriod == 0)
        {
            TakeCheckpoint(entry.Seq);
        }
    }

    private void ExecuteRequest(LogEntry entry, int client, in Request request, long time, bool tentative)
    {
        int place = (client * _config.SlotsPerClient) + request.Slot;
        ushort replier = request.Replier;
        ref StoredRequest? waiting = ref _pending[place];
        if (waiting is not null && (waiting.Session < request.Session
            || (waiting.Session == request.Session && waiting.Timestamp <= request.Timestamp)))
        {
            replier = waiting.WantsFullReply ? Request.AllReplicas : replier;
            NoteResponse(_now.MonotonicMicros - waiting.ArrivedMicros);
            Forget(ref waiting);
        }
        if (IsReplica(client))
        {
            ExecuteRecovery(entry, ReplicaAt(client), request, time);
            return;
        }
        if (_replies.Compare(client, request.Slot, request.Session, request.Timestamp) <= 0)
        {
            // Executed before (§2.3.3: exactly once). Decided from the state alone, so every replica decides the same.
            return;
        }
        int length = _service.Execute(new ExecutionContext(request.Client, time, ReadOnly: false), request.Operation, _result);
        BfsAssert.That(length >= 0 && length <= _result.Length);
        ReadOnlySpan<byte> result = _result.AsSpan(0, length);
        Digest digest = ContentDigest.Of(result);
        _replies.Store(client, request.Slot, request.Session, request.Timestamp, digest, result);
        _tentativeReply[place] = entry.Seq.Value;
        Counters.RequestsExecuted++;
        _watch.Executed(request.OperationBytes);
        ReplyFlags flags = ChooseReplyForm(replier, length) | (tentative ? ReplyFlags.Tentative : ReplyFlags.None);
        SendReply(client, request.Slot, request.Session, request.Timestamp, flags, digest, state: default, result);
    }

    /// <summary>Only the designated replier sends a result above the threshold (§5.1.1).</summary>
    private ReplyFlags ChooseReplyForm(ushort replier, int resultBytes) =>
        resultBytes <= _config.DigestReplyThresholdBytes || replier == Id.Value || replier == Request.AllReplicas
            ? ReplyFlags.None
            : ReplyFlags.DigestOnly;

    /// <param name="state">Of a read-only execution, the last batch that the state reflects.</param>
    private void SendReply(int client, int slot, ulong session, ulong timestamp, ReplyFlags flags, in Digest digest,
        SeqNum state, ReadOnlySpan<byte> result)
    {
        ClientId id = _config.Clients[client].Id;
        View view = (flags & ReplyFlags.Tentative) != 0 ? _tentativeView : _view;
        int size = Reply.Write(_message, _format, flags, view, session, timestamp, id, slot, Id, digest, state, result);
        if (_keys.AuthenticateToClient(client, _message.AsSpan(0, Reply.HeaderBytes),
            _message.AsSpan(size - _format.ReplyProofBytes, _format.ReplyProofBytes)))
        {
            _network.SendToClient(id, _message.AsSpan(0, size));
        }
    }
}
