using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>
/// Doubts requests of the last client, and votes for both batches when the primary proposes anew without them (§3.2.2): for
/// the first to one backup, just before the second arrives there, and for the second to the others.
/// </summary>
public sealed class DoubleVoter(FaultyReplica self) : ISendStrategy, IListener
{
    /// <summary>Until the others have said that they doubt; then as long as the primary waits, and a little.</summary>
    private const int OthersDoubtMicros = 60_000, PrimaryWaitsMicros = 31_000;

    private readonly int _firstTo = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;
    private readonly ClientId _client = self.Config.Clients[^1].Id;
    private readonly Dictionary<(long View, long Seq), Digest> _first = [];

    public void Hear(int from, byte[] message)
    {
        if (FaultyReplica.TagOf(message) != MessageTag.PrePrepare || !PrePrepare.TryParse(message, self.Format, out PrePrepare proposal)
            || proposal.Primary.Value != from || Batch.TryRead(message, self.Format) is not { } batch)
        {
            return;
        }
        (long, long) numbers = (batch.View.Value, batch.Seq.Value);
        Digest digest = proposal.Digest;
        if ((proposal.Flags & PrePrepareFlags.Anew) != 0)
        {
            self.Count(this);
            Vote(batch, digest, except: _firstTo);
        }
        else if (batch.Entries.Find(e => e.Client == _client) is { Bytes: not null } doubted && _first.TryAdd(numbers, digest))
        {
            self.After(OthersDoubtMicros, () => Doubt(from, batch, doubted.Digest));
            self.After(OthersDoubtMicros + PrimaryWaitsMicros, () =>
            {
                self.Count(this);
                Doubt(from, batch, doubted.Digest);
                VoteTo(_firstTo, batch, digest);
            });
        }
    }

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        bool withheld = tag == MessageTag.StatusActive
            || (tag is MessageTag.Prepare or MessageTag.Commit && _first.ContainsKey(Batch.NumbersOf(message)));
        if (!withheld)
        {
            send(message);
        }
    }

    private void Doubt(int primary, Batch batch, Digest request)
    {
        var buffer = new byte[StatusActive.SizeFor(self.Config.LogSize, StatusActive.MaxMissing, self.Format)];
        var builder = new StatusActive.Builder(buffer, self.Config.LogSize, self.Format);
        builder.AddMissing(_client, 0, request, doubted: true);
        int size = builder.Finish(batch.View, self.Engine.StableCheckpoint, self.Engine.LastCommitted, new ReplicaId(self.Address));
        self.Send(primary, self.Seal(buffer[..size]));
    }

    private void Vote(Batch batch, Digest digest, int except)
    {
        for (int to = 0; to < self.N; to++)
        {
            if (to != except && to != self.Address)
            {
                VoteTo(to, batch, digest);
            }
        }
    }

    private void VoteTo(int to, Batch batch, Digest digest)
    {
        self.Send(to, self.WriteVote(MessageTag.Prepare, batch.View, batch.Seq, digest));
        self.Send(to, self.WriteVote(MessageTag.Commit, batch.View, batch.Seq, digest));
    }
}
