using System.Security.Cryptography;
using BfsCore;
using BfsCore.Messages;

namespace BfsTests.Engine;

/// <summary>Layouts on the wire are frozen: these bytes never change (§6.1). Parsers take any bytes.</summary>
public sealed class MessageTests
{
    private const int N = 4;
    private static readonly Digest D = Digest.Read(SHA256.HashData("digest"u8));

    private static string Hash(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes))[..16];

    private static byte[] NewRequest(bool readOnly = false)
    {
        byte[] buffer = new byte[Request.SizeFor(5, N)];
        Assert.Equal(buffer.Length, Request.Write(buffer, N, new ClientId(1025), 7, readOnly, 0x1122334455667788, 42, 3,
            RequestFlags.None, "hello"u8));
        return buffer;
    }

    private static byte[] NewPrePrepare()
    {
        byte[] buffer = new byte[1000];
        Span<byte> payload = buffer.AsSpan(PrePrepare.HeaderBytes);
        int at = PrePrepare.AppendInline(payload, 0, NewRequest());
        at = PrePrepare.AppendSeparate(payload, at, new ClientId(1026), 2, D);
        int size = PrePrepare.WriteHeader(buffer, N, new View(6), new SeqNum(77), 123_456_789, D, 2, new ReplicaId(2), at);
        return buffer[..size];
    }

    private static byte[] NewStatus()
    {
        byte[] buffer = new byte[2000];
        var builder = new StatusActive.Builder(buffer, 256, N);
        builder.SetPrepared(0);
        builder.SetPrepared(9);
        builder.SetCommitted(0);
        builder.AddMissing(new ClientId(1024), 3, D);
        return buffer[..builder.Finish(new View(1), new SeqNum(128), new SeqNum(130), new ReplicaId(3))];
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
        { "reply", Written(Reply.HeaderBytes + 6 + 8, b => Reply.Write(b, ReplyFlags.Tentative, new View(5), 9, 10,
            new ClientId(1024), 1, new ReplicaId(2), D, "result"u8)), "9d13e620af730055" },
        { "digest reply", Written(Reply.HeaderBytes + 8, b => Reply.Write(b, ReplyFlags.DigestOnly, new View(5), 9, 10,
            new ClientId(1024), 1, new ReplicaId(2), D, "result"u8)), "63185497d3d17086" },
        { "pre-prepare", NewPrePrepare(), "46e56bda078beeb4" },
        { "prepare", Written(Vote.SizeFor(N), b => Vote.Write(b, MessageTag.Prepare, N, new View(3), new SeqNum(4), D, new ReplicaId(1))), "8156932f24a85edc" },
        { "commit", Written(Vote.SizeFor(N), b => Vote.Write(b, MessageTag.Commit, N, new View(3), new SeqNum(4), D, new ReplicaId(1))), "a47417f7eadafeb1" },
        { "checkpoint", Written(Checkpoint.SizeFor(N), b => Checkpoint.Write(b, N, new SeqNum(128), D, new ReplicaId(1))), "b44695534810144a" },
        { "status", NewStatus(), "6d63a56d0f5824ec" },
        { "new-key", Written(NewKey.SizeFor(N), b => NewKey.WriteHeader(b, N, 1024, 12, 11, new byte[65])), "2fb18f0195ad2e43" },
        { "key-request", Written(KeyRequest.SizeBytes, b => KeyRequest.Write(b, 2, 99)), "c4b088a47f22be3a" },
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
            + "NewKey=10 StatusActive=11 StatusPending=12 Fetch=13 MetaData=14 Data=15 QueryStable=16 ReplyStable=17 KeyRequest=18 Batch=19",
            string.Join(' ', Enum.GetValues<MessageTag>().Select(t => $"{t}={(int)t}")));
    }

    [Fact]
    public void A_request_reads_back_as_written()
    {
        Assert.True(Request.TryParse(NewRequest(readOnly: true), N, out Request request));
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
        Assert.False(Request.TryParse(message, N, out Request request) && request.DigestIsRight());
    }

    [Fact]
    public void A_pre_prepare_walks_its_batch()
    {
        Assert.True(PrePrepare.TryParse(NewPrePrepare(), N, out PrePrepare prePrepare));
        PrePrepare.EntryReader reader = prePrepare.Entries(N);
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
    public void Parsers_take_any_bytes()
    {
        byte[][] samples = [.. Golden().Select(row => (byte[])row[1])];
        var entropy = new TestEntropy(5);
        byte[] random = new byte[8];
        for (int i = 0; i < 200_000; i++)
        {
            byte[] message = (byte[])samples[i % samples.Length].Clone();
            entropy.Fill(random);
            for (int j = 0; j < 1 + (random[0] % 4); j++)
            {
                message[BitConverter.ToUInt16(random, 1 + j) % Math.Min(message.Length, 120)] = random[7 - j];
            }
            int cut = random[1] < 16 ? random[2] % message.Length : message.Length;
            ParseEverything(message.AsSpan(0, cut));
        }
    }

    /// <summary>Touches every field of whatever parses.</summary>
    private static void ParseEverything(ReadOnlySpan<byte> message)
    {
        if (Request.TryParse(message, N, out Request request))
        {
            Assert.True(request.Operation.Length + request.Authenticator.Length < message.Length);
        }
        if (Reply.TryParse(message, out Reply reply))
        {
            Assert.True(reply.Result.Length <= message.Length && reply.Mac.Length == 8);
        }
        if (PrePrepare.TryParse(message, N, out PrePrepare prePrepare))
        {
            PrePrepare.EntryReader reader = prePrepare.Entries(N);
            while (reader.Next())
            {
                Assert.True(reader.InlineOffset + reader.InlineBytes <= prePrepare.Payload.Length);
            }
        }
        foreach (MessageTag tag in new[] { MessageTag.Prepare, MessageTag.Commit })
        {
            Assert.True(!Vote.TryParse(message, tag, N, out Vote vote) || vote.Authenticator.Length == 8 * N);
        }
        Assert.True(!Checkpoint.TryParse(message, N, out Checkpoint checkpoint) || checkpoint.Authenticator.Length == 8 * N);
        if (StatusActive.TryParse(message, 256, N, out StatusActive status))
        {
            _ = status.Prepared(255) | status.Committed(255);
            Assert.Equal(8 * N, status.Authenticator.Length);
        }
        Assert.True(!NewKey.TryParse(message, N, out NewKey newKey) || newKey.WrappedKey(new ReplicaId(3)).Length == 32);
        Assert.True(!KeyRequest.TryParse(message, out KeyRequest keyRequest) || keyRequest.Principal >= 0);
    }
}
