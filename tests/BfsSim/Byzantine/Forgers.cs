using BfsCore;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsSim.Byzantine;

/// <summary>Says in the names of others what it says itself, and what it would like them to say; their MACs it cannot make.</summary>
public sealed class Impersonator(FaultyReplica self) : ISendStrategy
{
    private readonly int _victim = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (to >= self.N && Reply.TryParse(message, self.Format, out Reply reply))
        {
            SendReplies(reply, send);
        }
        send(message);
        if (to == _victim && tag == MessageTag.PrePrepare && Batch.TryRead(message, self.Format) is { } batch)
        {
            ForAllOthers(to, name => Vote(MessageTag.Prepare, batch, message, name, send));
            ForAllOthers(to, name => Vote(MessageTag.Commit, batch, message, name, send));
        }
    }

    private void ForAllOthers(int to, Action<int> act)
    {
        for (int name = 0; name < self.N; name++)
        {
            if (name != to)
            {
                act(name);
            }
        }
    }

    private void Vote(MessageTag tag, Batch batch, byte[] prePrepare, int name, Action<byte[]> send)
    {
        var vote = new byte[BfsCore.Messages.Vote.SizeFor(self.Format)];
        BfsCore.Messages.Vote.Write(vote, tag, self.Format, batch.View, batch.Seq, Batch.DigestOf(prePrepare), new ReplicaId(name));
        self.Count(this);
        send(self.Seal(vote));
    }

    /// <summary>A result that nobody computed, from everybody.</summary>
    private void SendReplies(Reply reply, Action<byte[]> send)
    {
        byte[] result = [7, .. reply.HasResult ? reply.Result : []];
        Digest digest = ContentDigest.Of(result);
        for (int name = 0; name < self.N; name++)
        {
            var forged = new byte[Reply.HeaderBytes + result.Length + self.Format.ReplyProofBytes];
            Reply.Write(forged, self.Format, ReplyFlags.None, reply.View, reply.Session, reply.Timestamp, reply.Client, reply.Slot, new ReplicaId(name), digest, reply.State, result);
            self.Count(this);
            send(self.Seal(forged));
        }
    }
}

/// <summary>Sends other content under a digest that stays: of requests, of batches, of results.</summary>
public sealed class Substitutor(FaultyReplica self) : ISendStrategy
{
    private readonly int _victim = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;
    private readonly bool _requests = self.Random.PerMille(500);

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (tag == MessageTag.Reply && Reply.TryParse(message, self.Format, out Reply reply) && reply.HasResult && reply.Result.Length > 0)
        {
            message = (byte[])message.Clone();
            message[Reply.HeaderBytes + self.Random.Below(reply.Result.Length)]++;
            self.Count(this);
        }
        else if (to == _victim && tag == MessageTag.PrePrepare && PrePrepare.TryParse(message, self.Format, out PrePrepare prePrepare))
        {
            message = _requests ? WithOtherRequest(prePrepare) : WithOtherTime(message);
        }
        send(message);
    }

    private byte[] WithOtherRequest(in PrePrepare prePrepare)
    {
        byte[] changed = prePrepare.Message.ToArray();
        PrePrepare.EntryReader reader = prePrepare.Entries(self.Format);
        while (reader.Next())
        {
            int at = PrePrepare.HeaderBytes + reader.InlineOffset;
            if (reader.InlineBytes > 0 && Request.TryParse(changed.AsSpan(at, reader.InlineBytes), self.Format, out Request request)
                && request.OperationBytes > 0)
            {
                // The last byte of an operation is of its value.
                changed[at + Request.HeaderBytes + request.OperationBytes - 1]++;
                self.Count(this);
            }
        }
        return changed;
    }

    private byte[] WithOtherTime(byte[] message)
    {
        if (Batch.TryRead(message, self.Format) is not { Entries.Count: > 0 } batch)
        {
            return message;
        }
        Digest digest = Batch.DigestOf(message);
        batch.TimeNanos++;
        byte[] changed = batch.Write(self);
        digest.Write(changed.AsSpan(32));
        self.Count(this);
        return self.Seal(changed);
    }
}

/// <summary>As primary, orders what no client asked for, in the name of one that asks for other things.</summary>
public sealed class RequestForger(FaultyReplica self) : ISendStrategy
{
    private byte[]? _honest;
    private byte[] _forged = [];

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (FaultyReplica.TagOf(message) == MessageTag.PrePrepare && to < self.N)
        {
            if (!ReferenceEquals(_honest, message))
            {
                (_honest, _forged) = (message, Forge(message));
            }
            message = _forged;
        }
        send(message);
    }

    private byte[] Forge(byte[] message)
    {
        if (!PrePrepare.TryParse(message, self.Format, out PrePrepare prePrepare) || Batch.TryRead(message, self.Format) is not { } batch)
        {
            return message;
        }
        PrePrepare.EntryReader reader = prePrepare.Entries(self.Format);
        for (int i = 0; reader.Next(); i++)
        {
            if (reader.InlineBytes > 0 && self.Random.PerMille(300)
                && Request.TryParse(prePrepare.Payload.Slice(reader.InlineOffset, reader.InlineBytes), self.Format, out Request like) && like.OperationBytes > 0)
            {
                byte[] operation = like.Operation.ToArray();
                operation[^1]++;
                var request = new byte[Request.SizeFor(operation.Length, self.Format)];
                Request.Write(request, self.Format, like.Client, like.Slot, readOnly: false, like.Session, like.Timestamp, like.Replier, RequestFlags.None, operation);
                var bytes = new byte[4 + request.Length];
                PrePrepare.AppendInline(bytes, 0, request);
                Request.TryParse(request, self.Format, out Request forged);
                batch.Entries[i] = (bytes, like.Client, forged.Digest);
                self.Count(this);
            }
        }
        return batch.Write(self);
    }
}
