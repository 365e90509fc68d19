using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>
/// This replica's own proactive recovery (§4.3.2). Its monitor has restarted it with right code; its state, its log and its view
/// may be what an attacker left. It changes its keys, estimates how far the others can be, has a recovery request agreed on, after
/// which the others have changed theirs, and is recovered when a checkpoint at the recovery point is stable. Meanwhile it takes
/// part: it may not have been faulty at all, and be needed.
/// </summary>
public sealed partial class Replica
{
    private const long RecoveryResendMicros = 100_000;

    private RecoveryReport _recovery;
    private readonly RecoveryReplies _recoveryReplies;
    private byte[] _recoveryRequest = [];
    private ulong _recoveryCounter;
    private long _recoveryDeadlineMicros = long.MaxValue;
    private long _phaseStartMicros;

    /// <summary>
    /// H_M while it holds: nothing above it is sent, or taken over, until a checkpoint there is stable. Zero: no bound.
    /// </summary>
    private SeqNum _bound;

    /// <summary>
    /// A view that this replica went back to and may have decided on before: it decides on nothing in it.
    /// </summary>
    private View _retreatedTo = new(-1);

    /// <summary>The recovery that this replica was started for.</summary>
    public RecoveryReport Recovery => _recovery with { ViewAfter = _recovery.Phase == RecoveryPhase.Recovered ? _recovery.ViewAfter : _view };

    private bool Estimating => _recovery.Phase == RecoveryPhase.Estimation;

    /// <summary>To be called before <see cref="RestoreLog"/>: this replica was restarted by its recovery monitor.</summary>
    public void BeginRecovery() => _recovery = new RecoveryReport { Phase = RecoveryPhase.Estimation };

    /// <summary>
    /// This replica is about to be restarted: if it is the primary, the others get a new one at once (§4.3.2).
    /// </summary>
    /// <returns>Whether it was the primary.</returns>
    public bool HandOver()
    {
        bool wasPrimary = IsPrimary && _viewActive;
        if (wasPrimary)
        {
            LeaveView();
        }
        return wasPrimary;
    }

    private void StartRecovery()
    {
        if (!Estimating)
        {
            return;
        }
        _recovery = _recovery with { ViewBefore = _view };
        _phaseStartMicros = _now.MonotonicMicros;
        _keys.DistrustClientKeys();
        StartEstimating();
        if (!_silent)
        {
            (SeqNum checkpoint, SeqNum prepared) = DescribeProgress();
            _estimate!.Add(Id, checkpoint, prepared, _view, silent: false);
        }
    }

    /// <summary>What a recovering replica listens to before it knows how far the others can be.</summary>
    private static bool ServesEstimation(MessageTag tag) => tag is MessageTag.NewKey or MessageTag.KeyRequest or MessageTag.QueryStable
        or MessageTag.ReplyStable or MessageTag.StatusActive or MessageTag.StatusPending;

    /// <summary>c_M is known: what lies above H_M = c_M + L cannot be right.</summary>
    private void OnEstimated(SeqNum checkpoint)
    {
        SeqNum bound = checkpoint + _config.LogSize;
        DiscardAbove(bound);
        _bound = bound;
        _recoveryCounter = _keys.NextCounter();
        _recoveryRequest = new byte[Request.SizeFor(RecoveryRequest.SizeBytes, _format) + Request.SignatureBytes];
        Span<byte> operation = stackalloc byte[RecoveryRequest.SizeBytes];
        RecoveryRequest.Write(operation, bound);
        int size = Request.Write(_recoveryRequest, _format, new ClientId(Id.Value), 0, readOnly: false, 0, _recoveryCounter,
            Request.AllReplicas, RequestFlags.None, operation);
        Request.MarkSigned(_recoveryRequest, size);
        _keys.SignRequest(_recoveryRequest);
        _recovery = _recovery with { Phase = RecoveryPhase.Request, Bound = bound, EstimationMicros = EndPhase() };
        _recoveryReplies.Clear();
        _recoveryDeadlineMicros = _now.MonotonicMicros;
    }

    private long EndPhase()
    {
        long took = _now.MonotonicMicros - _phaseStartMicros;
        _phaseStartMicros = _now.MonotonicMicros;
        return took;
    }

    /// <summary>A correct replica has nothing there; this one may have been another's for a while.</summary>
    private void DiscardAbove(SeqNum bound)
    {
        if (LowWaterMark > bound || _lastExecuted > bound)
        {
            DistrustState();
        }
        for (SeqNum seq = bound.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            if (_log.Find(seq) is { } entry)
            {
                entry.Reset(seq, entry.View, _pool);
            }
        }
        CountIncompleteBatches();
        if (_sets.DiscardAbove(bound) && !_viewActive)
        {
            AnnounceLeaving();
        }
    }

    /// <summary>The state claims to be of a checkpoint that nobody can have: whatever it is, it is compared with one of the others'.</summary>
    private void DistrustState()
    {
        _pages.RollbackTo(_pages.CheckpointAt(0));
        _pages.DistrustAll();
        _stable = _lastExecuted = _lastCommitted = _floor = default;
        _observer?.OnRolledBack(Id, default);
        Diverged = true;
        StateDistrusted?.Invoke();
        ResetStatusTimer();
    }

    /// <summary>The state of this replica is of no checkpoint: what its host has saved must not be relied on.</summary>
    public Action? StateDistrusted { get; set; }

    private void RunRecovery()
    {
        if (_recovery.Phase == RecoveryPhase.Request)
        {
            NoteOwnRecovery();
            if (_now.MonotonicMicros >= _recoveryDeadlineMicros)
            {
                _recoveryDeadlineMicros = _now.MonotonicMicros + RecoveryResendMicros;
                _network.MulticastToReplicas(_recoveryRequest);
                HandleRequest(_recoveryRequest, default, relayedBy: -1);
            }
        }
        if (_recovery.Phase == RecoveryPhase.CheckAndFetch && StateIsWhole && _stable >= _recovery.Point)
        {
            // Numbers that an attacker left here mean nothing; what it answered with is below the recovery point.
            _bound = _readsFrom = default;
            _recovery = _recovery with { Phase = RecoveryPhase.Recovered, CheckAndFetchMicros = EndPhase(), ViewAfter = _view };
        }
    }

    /// <summary>A certificate under the new keys made a checkpoint there stable: what this replica says above it rests on right state.</summary>
    private void LiftBound()
    {
        if (_bound.Value > 0 && _stable >= _bound)
        {
            _bound = default;
        }
    }

    /// <summary>What this replica itself executed, or fetched, counts as its own reply.</summary>
    private void NoteOwnRecovery()
    {
        if (StateIsWhole && _replies.LastRecovery(Id) is var own && own.Counter == _recoveryCounter)
        {
            Collect(Id, new SeqNum(own.Seq), _view);
        }
    }

    private void OnReply(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!Reply.TryParse(message, _format, out Reply reply) || reply.Replica.Value >= _n || reply.Client.Value != Id.Value)
        {
            Drop(DropReason.Malformed);
            return;
        }
        if (_recovery.Phase != RecoveryPhase.Request || reply.Replica == Id || reply.Timestamp != _recoveryCounter
            || !reply.HasResult || reply.Result.Length != sizeof(long))
        {
            Drop(DropReason.Stale);
            return;
        }
        if (!_keys.VerifyFrom(reply.Replica, reply.Header, reply.Proof))
        {
            Drop(DropReason.BadMac);
            _keys.OnKeyTrouble(reply.Replica.Value, source, _now.MonotonicMicros);
            return;
        }
        // The digest under the MAC covers the result.
        if (ContentDigest.Of(reply.Result) == reply.Digest)
        {
            Collect(reply.Replica, new SeqNum(BitConverter.ToInt64(reply.Result)), reply.View);
        }
    }

    private void Collect(ReplicaId replica, SeqNum executedAt, View view)
    {
        _recoveryReplies.Add(replica, executedAt, view);
        if (_recoveryReplies.TryFind(_config.Quorum, out SeqNum seq))
        {
            OnRequestExecuted(seq);
        }
    }

    private void OnRequestExecuted(SeqNum seq)
    {
        SeqNum point = Last(_recovery.Bound, RecoveryPoint(seq));
        _recovery = _recovery with { Phase = RecoveryPhase.CheckAndFetch, RequestSeq = seq, Point = point, RequestMicros = EndPhase() };
        _recoveryDeadlineMicros = long.MaxValue;
        if (_view == _recovery.ViewBefore && _recoveryReplies.CountFrom(_view, except: Id, seq) < _config.WeakQuorum)
        {
            View median = _recoveryReplies.Median(seq);
            if (_view.Value > median.Value + _n)
            {
                RetreatTo(median);
            }
        }
        ResetStatusTimer();
    }

    /// <summary>
    /// Too few others have reached the view that this replica believed in: what it believed may be an attacker's doing (§4.3.2).
    /// It goes back to one that a correct replica has reached; as it may have voted there before, it votes for nothing until it has
    /// recovered. From a view that is only a little ahead it need not: the others come there if they need this replica, and its
    /// silence might keep them from agreeing on anything.
    /// </summary>
    private void RetreatTo(View view)
    {
        if (view == _view)
        {
            return;
        }
        NoteLeft(view, ViewChangeReason.Recovery);
        _silent = true;
        _silentThrough = _recovery.Point;
        LogMark(VoteRecordKind.Silent, _silentThrough, default);
        TakeView(view);
        LogMark(VoteRecordKind.Retreated, _silentThrough, default);
        _wanted.Clear();
        _incompleteBatches = 0;
        _viewDeadlineMicros = long.MaxValue;
        _store.SaveView(view);
        CountIncompleteBatches();
    }

    /// <summary>Everybody starts in view 0; the decision on another has to come again.</summary>
    private void TakeView(View view)
    {
        _view = _retreatedTo = view;
        _viewActive = view.Value == 0;
        _newView = null;
        _newViewLast = default;
        (_leaving[Id.Value].View, _leaving[Id.Value].Message) = (default, []);
    }
}
