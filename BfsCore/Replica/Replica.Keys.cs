namespace BfsCore.Replication;

/// <summary>
/// Session keys are changed every T_k (§4.3.1). With the old ones go the messages that are not part of a complete certificate, so
/// that no certificate mixes messages of different ages: whoever was faulty longer than 2T_k ago counts in none. What is still
/// needed comes again, authenticated with the new keys, because this replica says what it lacks (§5.2, pitfall 37).
/// </summary>
public sealed partial class Replica
{
    /// <summary>How long a due change waits for a moment when nothing is under way: one part in so many of T_k.</summary>
    private const int PatienceParts = 4;

    private const long QuietMicros = 5_000;

    /// <summary>A client that has not changed its key for so many T_k must (§4.3.1).</summary>
    private const int ClientKeyPeriods = 3;

    private long _keyDeadlineMicros = long.MaxValue;
    private long _keysChosenMicros;
    private bool _refreshWanted;

    private long KeyPeriodMicros => _config.KeyRefreshMillis * 1000L;

    private void RunKeys()
    {
        long now = _now.MonotonicMicros;
        if (!_refreshWanted && now < _keyDeadlineMicros)
        {
            return;
        }
        if (!_refreshWanted && SomethingIsOutstanding() && now < _keysChosenMicros + KeyPeriodMicros + (KeyPeriodMicros / PatienceParts))
        {
            _keyDeadlineMicros = now + QuietMicros;
            return;
        }
        ChooseKeys();
        DiscardIncomplete();
        if (SomethingIsOutstanding())
        {
            ResetStatusTimer();
            SendStatus();
        }
    }

    private void ChooseKeys()
    {
        long now = _now.MonotonicMicros;
        _refreshWanted = false;
        _keysChosenMicros = now;
        _keyDeadlineMicros = KeyPeriodMicros == 0 ? long.MaxValue : now + KeyPeriodMicros;
        if (KeyPeriodMicros > 0)
        {
            _keys.ForgetClientKeysBefore(now - (ClientKeyPeriods * KeyPeriodMicros));
        }
        Counters.KeysChosen++;
        _keys.Refresh();
    }

    /// <summary>What others said under the old keys is forgotten, unless a certificate is complete; what this replica said is not.</summary>
    private void DiscardIncomplete()
    {
        for (SeqNum seq = LowWaterMark.Next; seq <= HighWaterMark; seq = seq.Next)
        {
            if (_log.Find(seq) is { } entry && entry.View == _view)
            {
                DiscardIncomplete(entry);
            }
        }
        _checkpoints.KeepOnly(Id);
        _claims.Clear();
        for (int j = 0; j < _n; j++)
        {
            Leaving leaving = _leaving[j];
            if (j != Id.Value && (leaving.View > _view || !_viewActive))
            {
                // The view too: one that was faulty may have gone where it has come back from (§4.3.2).
                (leaving.View, leaving.Message, leaving.Identity, leaving.Facts, leaving.Authentic) = (default, [], default, null, false);
                leaving.Acks.Clear();
            }
        }
    }

    private void DiscardIncomplete(LogEntry entry)
    {
        if (!entry.Prepared)
        {
            entry.Prepares.KeepOnly(Id);
            // The primary's word counts as a prepare. What a new view decided has its own certificate.
            if (entry.HasPrePrepare && !IsPrimary && entry.Seq > _newViewLast)
            {
                entry.Unconfirmed = entry.PrePrepared;
                if (!entry.PrePrepared)
                {
                    entry.DropPrePrepare(_pool);
                    _incompleteBatches--;
                }
            }
        }
        if (!entry.Committed)
        {
            entry.Commits.KeepOnly(Id);
        }
    }
}
