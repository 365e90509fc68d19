using System.Security.Cryptography;
using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;

namespace BfsTests.Engine;

/// <summary>Layouts on the wire are frozen: these bytes never change (§6.1). Parsers take any bytes.</summary>
public sealed class MessageTests
{
    private const int N = 4;
    private static readonly Digest D = Digest.Read(SHA256.HashData("digest"u8));

    private static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes))[..16];

    private static byte[] NewRequest(bool readOnly = false)
    {
        byte[] buffer = new byte[Request.SizeFor(5, MessageFormat.Macs(N))];
        Assert.Equal(buffer.Length, Request.Write(buffer, MessageFormat.Macs(N), new ClientId(1025), 7, readOnly, 0x1122334455667788, 42, 3,
            RequestFlags.None, "hello"u8));
        return buffer;
    }

    private static byte[] NewLongRequest()
    {
        byte[] operation = [.. Enumerable.Range(0, 9000).Select(i => (byte)(i * 7))];
        byte[] buffer = new byte[Request.SizeFor(operation.Length, MessageFormat.Macs(N))];
        Request.Write(buffer, MessageFormat.Macs(N), new ClientId(1025), 7, false, 5, 6, 3, RequestFlags.None, operation);
        return buffer;
    }

    private static byte[] NewSignedRequest()
    {
        byte[] buffer = new byte[Request.SizeFor(5, MessageFormat.Macs(N)) + Request.SignatureBytes];
        NewRequest().CopyTo(buffer, 0);
        Assert.Equal(buffer.Length, Request.MarkSigned(buffer, Request.SizeFor(5, MessageFormat.Macs(N))));
        buffer.AsSpan(buffer.Length - Request.SignatureBytes).Fill(7);
        return buffer;
    }

    private static byte[] NewPrePrepare()
    {
        byte[] buffer = new byte[1000];
        Span<byte> payload = buffer.AsSpan(PrePrepare.HeaderBytes);
        int at = PrePrepare.AppendInline(payload, 0, NewRequest());
        at = PrePrepare.AppendSeparate(payload, at, new ClientId(1026), 2, D);
        int size = PrePrepare.WriteHeader(buffer, MessageFormat.Macs(N), new View(6), new SeqNum(77), 123_456_789, D, 2, new ReplicaId(2), at);
        return buffer[..size];
    }

    private static byte[] NewStatus()
    {
        byte[] buffer = new byte[2000];
        var builder = new StatusActive.Builder(buffer, 256, MessageFormat.Macs(N));
        builder.SetPrepared(0);
        builder.SetPrepared(9);
        builder.SetCommitted(0);
        builder.AddMissing(new ClientId(1024), 3, D);
        builder.AddMissing(new ClientId(1025), 4, D, doubted: true);
        return buffer[..builder.Finish(new View(1), new SeqNum(128), new SeqNum(130), new ReplicaId(3))];
    }

    private static readonly ClusterConfig Config = new()
    {
        Replicas = [.. Enumerable.Range(0, N).Select(i => new ReplicaInfo(new ReplicaId(i), "127.0.0.1", 7000 + i, default))],
        Clients = [],
    };

    private static ViewChangeEntry Entry(long seq, Digest digest, long view) => new(new SeqNum(seq), digest, new View(view));

    private static byte[] NewViewChange(ViewChangeEntry[]? c = null, ViewChangeEntry[]? p = null, ViewChangeEntry[]? q = null,
        long view = 3, long h = 128)
    {
        c ??= [Entry(128, D, 0), Entry(256, D, 0)];
        p ??= [Entry(129, D, 2), Entry(384, D, 0)];
        q ??= [Entry(129, D, 2), Entry(130, D, 0), Entry(130, default, 1), Entry(384, D, 2)];
        byte[] buffer = new byte[ViewChange.SizeFor(c.Length, p.Length, q.Length, MessageFormat.Macs(N))];
        Assert.Equal(buffer.Length, ViewChange.Write(buffer, MessageFormat.Macs(N), new View(view), new SeqNum(h), new ReplicaId(2), c, p, q));
        return buffer;
    }

    private static byte[] NewNewView(ViewChangeEntry[]? views = null, int batches = 2)
    {
        views ??= [Entry(0, D, 0), Entry(2, D, 0), Entry(3, D, 0)];
        ViewChangeEntry[] x = [.. Enumerable.Range(0, batches).Select(i => Entry(129 + i, i % 2 == 0 ? D : default, 0))];
        byte[] buffer = new byte[NewView.HeaderBytes + ((views.Length + x.Length) * ViewChange.EntryBytes) + (N * MessageHeader.TagBytes)];
        Assert.Equal(buffer.Length, NewView.Write(buffer, MessageFormat.Macs(N), new View(3), new SeqNum(128), D, new ReplicaId(3), views, x));
        return buffer;
    }

    private static byte[] NewBatch()
    {
        byte[] buffer = new byte[2000];
        return buffer[..BatchMessage.Write(buffer, new SeqNum(9), NewPrePrepare(), [NewRequest()])];
    }

    private static byte[] NewMetaData()
    {
        byte[] buffer = new byte[MetaData.TotalBytes];
        MetaData.WriteHeader(buffer, new SeqNum(256), 1, 7, new ReplicaId(1));
        buffer.AsSpan(MetaData.HeaderBytes).Fill(0x5a);
        return buffer;
    }

    private static byte[] NewData()
    {
        byte[] buffer = new byte[Data.HeaderBytes + (2 * PagedState.PageBytes)];
        Data.WriteHeader(buffer, new SeqNum(256), 11, (1UL << 63) | 4);
        buffer.AsSpan(Data.HeaderBytes).Fill(0xa5);
        return buffer;
    }

    private static byte[] NewVoteRecord()
    {
        byte[] buffer = new byte[VoteRecord.HeaderBytes + 4 + 8];
        VoteRecord.Write(buffer, VoteRecordKind.OldBatch, new SeqNum(5), new View(2), D);
        BatchMessage.Append(buffer, VoteRecord.HeaderBytes, "contents"u8);
        return buffer;
    }

    private static byte[] Written(int size, Func<byte[], int> write)
    {
        byte[] buffer = new byte[size];
        Assert.Equal(size, write(buffer));
        return buffer;
    }

    public static TheoryData<string, byte[], string> Golden() => new()
    {
        { "request", NewRequest(), "c3dcbcb63c5229cf" },
        { "long request", NewLongRequest(), "e9100753d5a90610" },
        { "signed request", NewSignedRequest(), "37acb66bd1db0a24" },
        { "must sign", Written(Reply.HeaderBytes + 8, b => Reply.Write(b, MessageFormat.Macs(N), ReplyFlags.MustSign, new View(5), 9, 10,
            new ClientId(1024), 1, new ReplicaId(2), D, default, default)), "d7c1bccdc9a6f911" },
        { "relay", Written(Relay.SizeFor(Request.SizeFor(5, MessageFormat.Macs(N))), b => Relay.Write(b, new ReplicaId(2), NewRequest())), "143d382f45f09f77" },
        { "reply", Written(Reply.HeaderBytes + 6 + 8, b => Reply.Write(b, MessageFormat.Macs(N), ReplyFlags.Tentative, new View(5), 9, 10,
            new ClientId(1024), 1, new ReplicaId(2), D, default, "result"u8)), "5a960044da864053" },
        { "digest reply", Written(Reply.HeaderBytes + 8, b => Reply.Write(b, MessageFormat.Macs(N), ReplyFlags.DigestOnly, new View(5), 9, 10,
            new ClientId(1024), 1, new ReplicaId(2), D, new SeqNum(300), "result"u8)), "c3425dc9441cf6e6" },
        { "pre-prepare", NewPrePrepare(), "46e56bda078beeb4" },
        { "pre-prepare anew", Written(PrePrepare.SizeFor(0, MessageFormat.Macs(N)), b => PrePrepare.WriteHeader(b, MessageFormat.Macs(N), new View(6), new SeqNum(77), 5, default, 0,
            new ReplicaId(2), 0, PrePrepareFlags.Anew)), "14daf11779a680fa" },
        { "prepare", Written(Vote.SizeFor(MessageFormat.Macs(N)), b => Vote.Write(b, MessageTag.Prepare, MessageFormat.Macs(N), new View(3), new SeqNum(4), D, new ReplicaId(1))), "8156932f24a85edc" },
        { "commit", Written(Vote.SizeFor(MessageFormat.Macs(N)), b => Vote.Write(b, MessageTag.Commit, MessageFormat.Macs(N), new View(3), new SeqNum(4), D, new ReplicaId(1))), "a47417f7eadafeb1" },
        { "checkpoint", Written(Checkpoint.SizeFor(MessageFormat.Macs(N)), b => Checkpoint.Write(b, MessageFormat.Macs(N), new SeqNum(128), D, new ReplicaId(1))), "b44695534810144a" },
        { "status", NewStatus(), "97c6651a5f56d05f" },
        { "new-key", Written(NewKey.SizeFor(N), b => NewKey.WriteHeader(b, N, 1024, 12, 11, new byte[65])), "2fb18f0195ad2e43" },
        { "key-request", Written(KeyRequest.SizeBytes, b => KeyRequest.Write(b, 2, 99)), "c4b088a47f22be3a" },
        { "view-change", NewViewChange(), "4c9f22dbedf676ec" },
        { "view-change-ack", Written(ViewChangeAck.SizeFor(MessageFormat.Macs(N)), b => ViewChangeAck.Write(b, MessageFormat.Macs(N), new View(3), new ReplicaId(1),
            new ReplicaId(2), D)), "814185b9777bbad8" },
        { "new-view", NewNewView(), "93a13e6a55589eef" },
        { "status-pending", Written(StatusPending.SizeFor(1, MessageFormat.Macs(N)), b => StatusPending.Write(b, MessageFormat.Macs(N), new View(3), new SeqNum(128),
            new ReplicaId(1), true, 0b1011, [(new SeqNum(129), D)])), "0dc56d19f1eea395" },
        { "batch", NewBatch(), "994cd955c3892c14" },
        { "fetch", Written(Fetch.TotalBytes, b => Fetch.Write(b, new SeqNum(256), 2, 77, 0x8000000000000001, new ReplicaId(3))), "2fc988ce3fcd0011" },
        { "meta-data", NewMetaData(), "4cb613112a817fbd" },
        { "data", NewData(), "0f3dd18169c39027" },
        { "vote record", NewVoteRecord(), "1b008acdc946ed47" },
    };

    [Theory]
    [MemberData(nameof(Golden))]
    public void Bytes_on_the_wire_are_frozen(string name, byte[] message, string hash)
    {
        Assert.Equal($"{name} {hash}", $"{name} {Hash(message)}");
    }

    [Fact]
    public void Tags_are_frozen()
    {
        Assert.Equal("Request=1 Reply=2 PrePrepare=3 Prepare=4 Commit=5 Checkpoint=6 ViewChange=7 ViewChangeAck=8 NewView=9 "
            + "NewKey=10 StatusActive=11 StatusPending=12 Fetch=13 MetaData=14 Data=15 QueryStable=16 ReplyStable=17 KeyRequest=18 Batch=19 Committed=20 Relay=21",
            string.Join(' ', Enum.GetValues<MessageTag>().Select(t => $"{t}={(int)t}")));
    }

    [Fact]
    public void A_request_reads_back_as_written()
    {
        Assert.True(Request.TryParse(NewRequest(readOnly: true), MessageFormat.Macs(N), out Request request));
        Assert.Equal(1025, request.Client.Value);
        Assert.Equal(7, request.Slot);
        Assert.True(request.ReadOnly);
        Assert.Equal(0x1122334455667788u, request.Session);
        Assert.Equal(42u, request.Timestamp);
        Assert.Equal(3, request.Replier);
        Assert.Equal("hello"u8, request.Operation);
        Assert.Equal(8 * N, request.Authenticator.Length);
        Assert.True(request.DigestIsRight());
    }

    [Fact]
    public void A_signature_follows_the_macs_of_a_signed_request()
    {
        byte[] message = NewSignedRequest();
        Assert.True(Request.TryParse(message, MessageFormat.Macs(N), out Request request));
        Assert.True(request.Signed && request.DigestIsRight());
        Assert.Equal("hello"u8, request.Operation);
        Assert.Equal(8 * N, request.Authenticator.Length);
        Assert.Equal(64, request.Signature.Length);
        Assert.All(request.Signature.ToArray(), b => Assert.Equal(7, b));
        Request.MarkRetransmission(message);
        Assert.True(Request.TryParse(message, MessageFormat.Macs(N), out request) && request.Signed);
        // The flag and the size must agree.
        message[2] = 0;
        Assert.False(Request.TryParse(message, MessageFormat.Macs(N), out _));
    }

    [Theory]
    [InlineData(48)]
    [InlineData(52)]
    [InlineData(54)]
    [InlineData(56)]
    [InlineData(64)]
    [InlineData(80)]
    public void The_request_digest_covers_everything_execution_reads(int offset)
    {
        byte[] message = NewRequest();
        message[offset] ^= 1;
        Assert.False(Request.TryParse(message, MessageFormat.Macs(N), out Request request) && request.DigestIsRight());
    }

    [Theory]
    [InlineData(72)]
    [InlineData(80)]
    [InlineData(80 + 9000 - 8193)]
    [InlineData(80 + 9000 - 8192)]
    [InlineData(80 + 9000 - 4097)]
    [InlineData(80 + 9000 - 4096)]
    [InlineData(80 + 9000 - 1)]
    public void The_digest_of_a_long_request_covers_all_of_it(int offset)
    {
        byte[] message = NewLongRequest();
        Assert.True(Request.TryParse(message, MessageFormat.Macs(N), out Request request) && request.DigestIsRight());
        message[offset] ^= 1;
        Assert.False(Request.TryParse(message, MessageFormat.Macs(N), out request) && request.DigestIsRight());
    }

    [Fact]
    public void A_pre_prepare_walks_its_batch()
    {
        Assert.True(PrePrepare.TryParse(NewPrePrepare(), MessageFormat.Macs(N), out PrePrepare prePrepare));
        PrePrepare.EntryReader reader = prePrepare.Entries(MessageFormat.Macs(N));
        Assert.True(reader.Next());
        Assert.Equal(NewRequest().Length, reader.InlineBytes);
        Assert.Equal(1025, reader.Client.Value);
        Assert.True(reader.Next());
        Assert.Equal(0, reader.InlineBytes);
        Assert.Equal(1026, reader.Client.Value);
        Assert.Equal(D, reader.Digest);
        Assert.False(reader.Next());
        Assert.True(reader.Complete);
    }

    [Fact]
    public void A_view_change_reads_back_as_written()
    {
        Assert.True(ViewChange.TryParse(NewViewChange(), Config, out ViewChange message));
        Assert.Equal((3, 128, 2), (message.View.Value, message.StableCheckpoint.Value, message.Replica.Value));
        ViewChangeFacts facts = ViewChangeFacts.From(message);
        Assert.Equal([Entry(128, D, 0), Entry(256, D, 0)], facts.Checkpoints);
        Assert.Equal([Entry(129, D, 2), Entry(384, D, 0)], facts.Prepared);
        Assert.Equal([Entry(129, D, 2), Entry(130, D, 0), Entry(130, default, 1), Entry(384, D, 2)], facts.PrePrepared);
        Assert.Equal(8 * N, message.Authenticator(MessageFormat.Macs(N)).Length);
    }

    [Fact]
    public void The_identity_of_a_view_change_covers_everything_but_the_authenticator()
    {
        byte[] message = NewViewChange();
        Assert.True(ViewChange.TryParse(message, Config, out ViewChange original));
        Digest identity = original.Identity;
        for (int at = MessageHeader.SizeBytes; at < message.Length - (8 * N); at++)
        {
            byte[] other = (byte[])message.Clone();
            other[at] ^= 1;
            Assert.False(ViewChange.TryParse(other, Config, out ViewChange changed) && changed.Identity == identity, $"byte {at}");
        }
    }

    /// <summary>What correct replicas never send is refused, whoever sends it (pitfall 25; bounds of §3.2.4).</summary>
    public static TheoryData<string, byte[]> SenselessViewChanges()
    {
        ViewChangeEntry[] one = [Entry(129, D, 2)];
        return new()
        {
            { "C below h", NewViewChange(c: [Entry(127, D, 0)]) },
            { "C twice for a number", NewViewChange(c: [Entry(128, D, 0), Entry(128, default, 0)]) },
            { "C out of order", NewViewChange(c: [Entry(256, D, 0), Entry(128, D, 0)]) },
            { "C above H", NewViewChange(c: [Entry(385, D, 0)]) },
            { "P at h", NewViewChange(p: [Entry(128, D, 2)]) },
            { "P above H", NewViewChange(p: [Entry(385, D, 2)]) },
            { "P twice for a number", NewViewChange(p: [Entry(129, D, 1), Entry(129, default, 2)]) },
            { "P out of order", NewViewChange(p: [Entry(130, D, 1), Entry(129, D, 2)]) },
            { "P of the new view", NewViewChange(p: [Entry(129, D, 3)]) },
            { "P of a negative view", NewViewChange(p: [Entry(129, D, -1)]) },
            { "P of a negative number", NewViewChange(p: [Entry(long.MinValue, D, 1)]) },
            { "P at the end of numbers", NewViewChange(p: [Entry(long.MaxValue, D, 1)]) },
            { "Q at h", NewViewChange(q: [Entry(128, D, 2)]) },
            { "Q above H", NewViewChange(q: [Entry(385, D, 2)]) },
            { "Q out of order", NewViewChange(q: [Entry(130, D, 1), Entry(129, D, 2)]) },
            { "Q of the new view", NewViewChange(q: [Entry(129, D, 3)]) },
            { "Q of a negative view", NewViewChange(q: [Entry(129, D, long.MinValue)]) },
            { "Q with more than f+2 for a number", NewViewChange(q: [Entry(129, D, 0), Entry(129, default, 1), Entry(129, Other(1), 2), Entry(129, Other(2), 0)]) },
            { "h at the end of numbers", NewViewChange(h: long.MaxValue, c: [], p: [], q: [Entry(long.MinValue, D, 0)]) },
            { "h below zero", NewViewChange(h: -1, c: [], p: one, q: one) },
            { "view 0", NewViewChange(view: 0, p: [], q: []) },
            { "view below zero", NewViewChange(view: long.MinValue, p: [], q: []) },
        };
    }

    private static Digest Other(byte seed) => Digest.Read(SHA256.HashData([seed]));

    [Theory]
    [MemberData(nameof(SenselessViewChanges))]
    public void Senseless_sets_are_refused(string name, byte[] message)
    {
        Assert.False(ViewChange.TryParse(message, Config, out _), name);
    }

    [Fact]
    public void A_new_view_names_a_replica_once_and_no_more_batches_than_the_log_holds()
    {
        Assert.True(NewView.TryParse(NewNewView(), Config, out _));
        Assert.True(NewView.TryParse(NewNewView(batches: Config.LogSize), Config, out _));
        Assert.False(NewView.TryParse(NewNewView(batches: Config.LogSize + 1), Config, out _));
        Assert.False(NewView.TryParse(NewNewView([Entry(0, D, 0), Entry(0, D, 0), Entry(1, D, 0)]), Config, out _));
        Assert.False(NewView.TryParse(NewNewView([Entry(0, D, 0), Entry(1, D, 0), Entry(N, D, 0)]), Config, out _));
        Assert.False(NewView.TryParse(NewNewView([Entry(0, D, 0), Entry(1, D, 0), Entry(-1, D, 0)]), Config, out _));
        Assert.False(NewView.TryParse(NewNewView([Entry(0, D, 0), Entry(1, D, 0), Entry(64, D, 0)]), Config, out _));
    }

    [Fact]
    public void Parsers_take_any_bytes()
    {
        byte[][] samples = [.. Golden().Select(row => (byte[])row[1])];
        var entropy = new TestEntropy(5);
        byte[] random = new byte[8];
        int parsed = 0;
        for (int i = 0; i < 400_000; i++)
        {
            byte[] message = (byte[])samples[i % samples.Length].Clone();
            entropy.Fill(random);
            for (int j = 0; j < 1 + (random[0] % 4); j++)
            {
                message[BitConverter.ToUInt16(random, 1 + j) % Math.Min(message.Length, 240)] = random[7 - j];
            }
            int cut = random[1] < 16 ? random[2] % message.Length : message.Length;
            if (random[3] < 128 && cut == message.Length)
            {
                SealPayload(message);
            }
            parsed += ParseEverything(message.AsSpan(0, cut)) ? 1 : 0;
        }
        Assert.InRange(parsed, 40_000, 360_000);
    }

    /// <summary>Makes the payload's digest right again, as one who changes a message on purpose would.</summary>
    private static void SealPayload(byte[] message)
    {
        (int header, int digest) = (MessageTag)message[0] switch
        {
            MessageTag.ViewChange => (ViewChange.HeaderBytes, 32),
            MessageTag.NewView => (NewView.HeaderBytes, 64),
            MessageTag.StatusPending => (StatusPending.HeaderBytes, 40),
            _ => (0, 0),
        };
        if (header > 0 && message.Length >= header + (8 * N))
        {
            SHA256.HashData(message.AsSpan(header, message.Length - header - (8 * N)), message.AsSpan(digest));
        }
    }

    /// <summary>Touches every field of whatever parses; whether anything did.</summary>
    private static bool ParseEverything(ReadOnlySpan<byte> message) =>
        ParseRequests(message) | ParseVotes(message) | ParseViewChanges(message) | ParseState(message);

    private static bool ParseRequests(ReadOnlySpan<byte> message)
    {
        bool any = false;
        if (Request.TryParse(message, MessageFormat.Macs(N), out Request request))
        {
            any = true;
            Assert.True(request.Operation.Length + request.Authenticator.Length < message.Length);
            Assert.True(!request.Signed || request.Signature.Length == 64);
        }
        Assert.True(!Relay.TryParse(message, N, out Relay relay) || (relay.Request.Length < message.Length && relay.Replica.Value < N));
        if (Reply.TryParse(message, MessageFormat.Macs(N), out Reply reply))
        {
            any = true;
            Assert.True(reply.Result.Length <= message.Length && reply.Proof.Length == 8);
        }
        if (PrePrepare.TryParse(message, MessageFormat.Macs(N), out PrePrepare prePrepare))
        {
            any = true;
            PrePrepare.EntryReader reader = prePrepare.Entries(MessageFormat.Macs(N));
            while (reader.Next())
            {
                Assert.True(reader.InlineOffset + reader.InlineBytes <= prePrepare.Payload.Length);
            }
        }
        return any;
    }

    private static bool ParseVotes(ReadOnlySpan<byte> message)
    {
        bool any = false;
        foreach (MessageTag tag in new[] { MessageTag.Prepare, MessageTag.Commit })
        {
            if (Vote.TryParse(message, tag, MessageFormat.Macs(N), out Vote vote))
            {
                any = true;
                Assert.Equal(8 * N, vote.Authenticator.Length);
            }
        }
        if (Checkpoint.TryParse(message, MessageFormat.Macs(N), out Checkpoint checkpoint))
        {
            any = true;
            Assert.Equal(8 * N, checkpoint.Authenticator.Length);
        }
        if (StatusActive.TryParse(message, 256, MessageFormat.Macs(N), out StatusActive status))
        {
            any = true;
            _ = status.Prepared(255) | status.Committed(255);
            Assert.Equal(8 * N, status.Authenticator.Length);
        }
        if (NewKey.TryParse(message, N, out NewKey newKey))
        {
            any = true;
            Assert.Equal(32, newKey.WrappedKey(new ReplicaId(3)).Length);
        }
        return any | (KeyRequest.TryParse(message, out KeyRequest keyRequest) && keyRequest.Principal >= 0);
    }

    private static bool ParseViewChanges(ReadOnlySpan<byte> message)
    {
        bool any = false;
        if (ViewChange.TryParse(message, Config, out ViewChange viewChange))
        {
            any = true;
            ViewChangeFacts facts = ViewChangeFacts.From(viewChange);
            Assert.All(facts.Prepared.Concat(facts.PrePrepared), e => Assert.InRange(e.Seq - facts.StableCheckpoint, 1, Config.LogSize));
            long view = viewChange.View.Value;
            Assert.All(facts.Prepared.Concat(facts.PrePrepared), e => Assert.InRange(e.View.Value, 0, view - 1));
            Assert.All(facts.Checkpoints, e => Assert.InRange(e.Seq - facts.StableCheckpoint, 0, Config.LogSize));
        }
        if (ViewChangeAck.TryParse(message, MessageFormat.Macs(N), out ViewChangeAck ack))
        {
            any = true;
            Assert.True(ack.Replica.Value < N && ack.Subject.Value < N && ack.Authenticator.Length == 8 * N);
        }
        if (NewView.TryParse(message, Config, out NewView newView))
        {
            any = true;
            for (int i = 0; i < newView.ViewChangeCount; i++)
            {
                Assert.InRange(newView.ViewChangeAt(i).Replica.Value, 0, N - 1);
            }
            for (int i = 0; i < newView.BatchCount; i++)
            {
                _ = newView.BatchAt(i);
            }
        }
        if (StatusPending.TryParse(message, MessageFormat.Macs(N), out StatusPending status))
        {
            any = true;
            for (int i = 0; i < status.WantedCount; i++)
            {
                _ = status.Wanted(i);
            }
            Assert.Equal(8 * N, status.Authenticator.Length);
        }
        return any;
    }

    private static bool ParseState(ReadOnlySpan<byte> message)
    {
        bool any = Fetch.TryParse(message, N, out Fetch fetch) && fetch.Mac.Length == 8;
        any |= MetaData.TryParse(message, N, out MetaData metaData) && metaData.Children.Length == MetaData.ChildrenBytes;
        if (Data.TryParse(message, out Data data))
        {
            any = true;
            Assert.Equal(PagedState.PageBytes, data.Page(System.Numerics.BitOperations.PopCount(data.Mask) - 1).Length);
        }
        if (BatchMessage.TryParse(message, out _, out ReadOnlySpan<byte> parts))
        {
            any = true;
            TakeAll(parts, message.Length);
        }
        if (VoteRecord.TryParse(message, out VoteRecord record))
        {
            any = true;
            _ = (record.Seq, record.View, record.Digest);
            TakeAll(record.Parts, message.Length);
        }
        return any;
    }

    private static void TakeAll(ReadOnlySpan<byte> parts, int longest)
    {
        while (BatchMessage.TryTake(ref parts, out ReadOnlySpan<byte> part))
        {
            Assert.InRange(part.Length, 0, longest);
        }
    }
}
