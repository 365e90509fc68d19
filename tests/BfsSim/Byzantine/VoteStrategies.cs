using BfsCore;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsSim.Byzantine;

/// <summary>Authenticators that are right for some replicas and wrong for others.</summary>
public sealed class PartialAuthenticator(FaultyReplica self) : ISendStrategy
{
    private readonly ulong _wrongFor = self.Random.NextUInt64();
    private readonly int _perMille = self.Random.Choose(100, 500, 1000);

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (to < self.N && (_wrongFor >> to & 1) != 0 && self.Random.PerMille(_perMille)
            && FaultyReplica.AuthenticatedBytes(FaultyReplica.TagOf(message)) > 0)
        {
            message = (byte[])message.Clone();
            // In BFT-PK it is one signature for all: wrong as it is sent to this one.
            message[message.Length - (self.Format.Signed ? 1 : (self.N - to) * MessageHeader.TagBytes)] ^= 1;
            self.Count(this);
        }
        send(message);
    }
}

/// <summary>Votes for batches and states that are not: in PREPARE, COMMIT, CHECKPOINT and COMMITTED.</summary>
public sealed class WrongDigests(FaultyReplica self) : ISendStrategy
{
    private readonly int _perMille = self.Random.Choose(200, 600, 1000);
    private Digest _last;

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        // Another strategy before this one may have shortened it.
        if (message.Length >= 24 + Digest.SizeBytes
            && FaultyReplica.TagOf(message) is MessageTag.Prepare or MessageTag.Commit or MessageTag.Checkpoint or MessageTag.Committed
            && self.Random.PerMille(_perMille))
        {
            Digest wrong = self.Random.Below(3) switch { 0 => default, 1 => _last, _ => self.RandomDigest() };
            _last = Digest.Read(message.AsSpan(24));
            message = Batch.WithDigest(self, (byte[])message.Clone(), wrong);
            self.Count(this);
        }
        send(message);
    }
}

/// <summary>Claims that batches committed which never were, and checkpoints nobody reached, to draw others after them.</summary>
public sealed class FalseProphet : ISendStrategy
{
    private readonly FaultyReplica _self;

    public FalseProphet(FaultyReplica self)
    {
        _self = self;
        self.Repeatedly(100_000, Lie);
    }

    public void Send(int to, byte[] message, Action<byte[]> send) => send(message);

    private void Lie()
    {
        SeqNum next = _self.Engine.LastCommitted + 1 + _self.Random.Below(_self.Config.LogSize);
        var self = new ReplicaId(_self.Address);
        byte[] message;
        if (_self.Random.PerMille(500))
        {
            message = new byte[Vote.SizeFor(_self.Format)];
            Vote.Write(message, MessageTag.Committed, _self.Format, _self.Engine.View, next, _self.RandomDigest(), self);
        }
        else
        {
            long period = _self.Config.CheckpointPeriod;
            var seq = new SeqNum((next.Value / period * period) + (period * _self.Random.Choose(1, 2, 1000)));
            message = new byte[Checkpoint.SizeFor(_self.Format)];
            Checkpoint.Write(message, _self.Format, seq, _self.RandomDigest(), self);
        }
        _self.Count(this);
        _self.SendToOthers(_self.Seal(message));
    }
}

/// <summary>Answers clients with results that it made up, from views that are not.</summary>
public sealed class ReplyLiar(FaultyReplica self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (Reply.TryParse(message, self.Format, out Reply reply) && self.Random.PerMille(700))
        {
            self.Count(this);
            message = Change(reply);
        }
        send(message);
    }

    private byte[] Change(in Reply reply)
    {
        byte[] result = reply.HasResult ? reply.Result.ToArray() : [];
        if (result.Length > 0)
        {
            result[self.Random.Below(result.Length)]++;
        }
        Digest digest = reply.HasResult ? ContentDigest.Of(result) : self.RandomDigest();
        ReplyFlags flags = self.Random.PerMille(100) ? reply.Flags ^ ReplyFlags.Tentative : reply.Flags;
        View view = self.Random.PerMille(300) ? new View(self.Random.Below(long.MaxValue)) : reply.View;
        var changed = new byte[Reply.HeaderBytes + result.Length + self.Format.ReplyProofBytes];
        Reply.Write(changed, self.Format, flags, view, reply.Session, reply.Timestamp, reply.Client, reply.Slot, reply.Replica, digest, reply.State, result);
        return self.Seal(changed);
    }
}

/// <summary>Says of itself in status messages what is not so, and makes others send again and again.</summary>
public sealed class StatusLiar(FaultyReplica self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (tag is MessageTag.StatusActive or MessageTag.StatusPending)
        {
            message = (byte[])message.Clone();
            int field = self.Random.Below(tag == MessageTag.StatusActive ? 3 : 2);
            long value = self.Random.Choose(0, 1, self.Engine.LastCommitted.Value + self.Random.Below(100), long.MaxValue - 7);
            BitConverter.TryWriteBytes(message.AsSpan(8 + (8 * field)), value);
            self.Seal(message);
            self.Count(this);
            for (int i = self.Random.Below(4); i > 0; i--)
            {
                send(message);
            }
        }
        send(message);
    }
}
