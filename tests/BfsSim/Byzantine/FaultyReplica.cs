using BfsCore;
using BfsCore.Crypto;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsSim.Nodes;

namespace BfsSim.Byzantine;

/// <summary>
/// What a strategy has of the replica that it makes lie: its keys, so that what it changes is authentic again, its engine to
/// look at, time and chance.
/// </summary>
public sealed class FaultyReplica(ReplicaNode node, ClusterConfig config, EventQueue events, SimRandom random, Tally tally,
    Action<int, byte[]> send)
{
    public ClusterConfig Config { get; } = config;
    public SimRandom Random { get; } = random;
    public int N { get; } = config.N;
    public MessageFormat Format { get; } = config.Format;

    /// <summary>What it can prove and forge in a VIEW-CHANGE.</summary>
    public ProvenViewChange ViewChanges => field ??= new ProvenViewChange(this);
    public int Address => node.Address;
    public Replica Engine => node.Replica;

    /// <summary>Sends past the strategies.</summary>
    public void Send(int to, byte[] message) => send(to, message);

    public void SendToOthers(byte[] message)
    {
        for (int to = 0; to < N; to++)
        {
            if (to != Address)
            {
                send(to, message);
            }
        }
    }

    /// <summary>
    /// The attacker loses the replica: it runs right code again. What he does in its name from now on he does with the session keys
    /// that it had (§4.3.2).
    /// </summary>
    public void Lose() => _stolen = node.Replica.Keys;

    /// <summary>The engine is that of a correct replica again: no more orders to it.</summary>
    public bool IsLost => _stolen is not null;

    private ReplicaKeys? _stolen;

    public void After(long micros, Action action) => events.After(micros, action);

    /// <summary>Does something again and again, at random times, as long as the run lasts.</summary>
    public void Repeatedly(long longestMicros, Action action) => After(1 + Random.Below(longestMicros), () =>
    {
        if (!node.Crashed)
        {
            action();
        }
        Repeatedly(longestMicros, action);
    });

    /// <summary>A lie was told.</summary>
    public void Count(ISendStrategy strategy) => tally.Add($"lies of {strategy.GetType().Name}");

    /// <summary>Makes the MACs of a message right again after a change.</summary>
    public byte[] Seal(byte[] message)
    {
        BfsAssert.That(MessageHeader.TryReadTag(message, out MessageTag tag));
        ReplicaKeys keys = _stolen ?? node.Replica.Keys;
        if (tag == MessageTag.Reply)
        {
            int client = BitConverter.ToInt32(message, 32);
            Span<byte> mac = message.AsSpan(message.Length - Format.ReplyProofBytes);
            if (client < N)
            {
                keys.AuthenticateTo(new ReplicaId(client), message.AsSpan(0, Reply.HeaderBytes), mac);
            }
            else
            {
                keys.AuthenticateToClient(client - Limits.FirstClientId, message.AsSpan(0, Reply.HeaderBytes), mac);
            }
        }
        else if (AuthenticatedBytes(tag) is var header and > 0)
        {
            keys.Authenticate(message.AsSpan(0, header), message.AsSpan(message.Length - Format.AuthenticatorBytes));
        }
        return message;
    }

    /// <summary>How much of a message between replicas its authenticator covers; zero when it has none.</summary>
    public static int AuthenticatedBytes(MessageTag tag) => tag switch
    {
        MessageTag.PrePrepare => PrePrepare.HeaderBytes,
        MessageTag.Prepare or MessageTag.Commit or MessageTag.Committed => Vote.HeaderBytes,
        MessageTag.Checkpoint => Checkpoint.HeaderBytes,
        MessageTag.ViewChange => ViewChange.HeaderBytes,
        MessageTag.ViewChangeAck => ViewChangeAck.HeaderBytes,
        MessageTag.NewView => NewView.HeaderBytes,
        MessageTag.StatusActive => StatusActive.HeaderBytes,
        MessageTag.StatusPending => StatusPending.HeaderBytes,
        _ => 0,
    };

    /// <summary>A VIEW-CHANGE under any name; in the names of others its MACs are wrong.</summary>
    public byte[] WriteViewChange(View view, SeqNum stable, int name, IReadOnlyList<ViewChangeEntry> c,
        IReadOnlyList<ViewChangeEntry> p, IReadOnlyList<ViewChangeEntry> q) =>
        ViewChanges.Write(view, stable, new ReplicaId(name), c, p, q);

    /// <summary>The pre-prepares of a NEW-VIEW of BFT-PK, under this replica's signature; nothing with MACs.</summary>
    public byte[] SignPrePrepares(View view, SeqNum checkpoint, IReadOnlyList<ViewChangeEntry> batches)
    {
        var signatures = new byte[Format.Signed ? batches.Count * MessageFormat.SignatureBytes : 0];
        Span<byte> header = stackalloc byte[PrePrepare.HeaderBytes];
        for (int i = 0; Format.Signed && i < batches.Count; i++)
        {
            NewView.PrePrepareHeader(header, Format, view, checkpoint + 1 + i, batches[i].Digest);
            Engine.Keys.Authenticate(header, signatures.AsSpan(i * MessageFormat.SignatureBytes, MessageFormat.SignatureBytes));
        }
        return signatures;
    }

    /// <summary>What a VIEW-CHANGE says of checkpoints when only the last stable one is left.</summary>
    public IReadOnlyList<ViewChangeEntry> StableOnly() =>
        Engine.StateIsWhole ? [new ViewChangeEntry(Engine.StableCheckpoint, Engine.StableDigest, default)] : [];

    /// <summary>Makes the MAC for one replica wrong, or the signature; the message must be a copy.</summary>
    public void Spoil(byte[] message, int replica) =>
        message[message.Length - (Format.Signed ? 1 : (N - replica) * MessageHeader.TagBytes)] ^= 1;

    public byte[] WriteVote(MessageTag tag, View view, SeqNum seq, in Digest digest)
    {
        var vote = new byte[Vote.SizeFor(Format)];
        Vote.Write(vote, tag, Format, view, seq, digest, new ReplicaId(Address));
        return Seal(vote);
    }

    public Digest RandomDigest()
    {
        Span<byte> bytes = stackalloc byte[Digest.SizeBytes];
        Random.Fill(bytes);
        return Digest.Read(bytes);
    }

    public static MessageTag TagOf(byte[] message) =>
        MessageHeader.TryReadTag(message, out MessageTag tag) ? tag : default;
}
