using BfsCore;
using BfsCore.Messages;
using BfsCore.State;

namespace BfsSim.Byzantine;

/// <summary>Answers those who fetch state or batches with something else.</summary>
public sealed class StateCorrupter(FaultyReplica self) : ISendStrategy
{
    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (tag is MessageTag.MetaData or MessageTag.Data or MessageTag.Batch && self.Random.PerMille(700))
        {
            message = (byte[])message.Clone();
            if (tag == MessageTag.MetaData && self.Random.PerMille(500))
            {
                // Two children change so that a sum over them would not (pitfall 28).
                int a = MetaData.HeaderBytes + (Digest.SizeBytes * self.Random.Below(PagedState.Fanout));
                int b = MetaData.HeaderBytes + (Digest.SizeBytes * self.Random.Below(PagedState.Fanout));
                message[a]++;
                message[b]--;
            }
            else
            {
                message[MessageHeader.SizeBytes + self.Random.Below(message.Length - MessageHeader.SizeBytes)] ^= (byte)(1 + self.Random.Below(255));
            }
            self.Count(this);
        }
        send(message);
    }
}

/// <summary>Chooses new session keys all the time, so that others' messages to it are under old ones.</summary>
public sealed class KeyChanger : ISendStrategy
{
    public KeyChanger(FaultyReplica self) => self.Repeatedly(self.Random.Choose(5_000, 100_000, 1_000_000), () =>
    {
        if (!self.IsLost)
        {
            self.Count(this);
            self.Engine.Keys.Refresh();
        }
    });

    public void Send(int to, byte[] message, Action<byte[]> send) => send(message);
}

/// <summary>Fetches parts of the state that it does not need, so that others keep checkpoints for it.</summary>
public sealed class GreedyFetcher : ISendStrategy
{
    private readonly FaultyReplica _self;

    public GreedyFetcher(FaultyReplica self)
    {
        _self = self;
        self.Repeatedly(20_000, Fetch);
    }

    public void Send(int to, byte[] message, Action<byte[]> send) => send(message);

    private void Fetch()
    {
        int to = (_self.Address + 1 + _self.Random.Below(_self.N - 1)) % _self.N;
        var checkpoint = new SeqNum(Math.Max(0, _self.Engine.StableCheckpoint.Value
            - (_self.Config.CheckpointPeriod * _self.Random.Below(3))));
        var message = new byte[BfsCore.Messages.Fetch.TotalBytes];
        BfsCore.Messages.Fetch.Write(message, checkpoint, _self.Random.Below(4), _self.Random.Choose(0, 1, 1000),
            _self.Random.PerMille(500) ? 0 : _self.Random.NextUInt64(), new ReplicaId(_self.Address));
        _self.Engine.Keys.AuthenticateTo(new ReplicaId(to), message.AsSpan(0, BfsCore.Messages.Fetch.HeaderBytes),
            message.AsSpan(BfsCore.Messages.Fetch.HeaderBytes));
        _self.Count(this);
        _self.Send(to, message);
    }
}

/// <summary>Several strategies one after the other: each sees what the one before it sends.</summary>
public sealed class Chain(ISendStrategy first, ISendStrategy second) : ISendStrategy, IListener
{
    public void Hear(int from, byte[] message)
    {
        (first as IListener)?.Hear(from, message);
        (second as IListener)?.Hear(from, message);
    }

    public void Send(int to, byte[] message, Action<byte[]> send) => first.Send(to, message, m => second.Send(to, m, send));
}
