using BfsCore;
using BfsCore.Hosting;
using BfsCore.Replication;

namespace BfsTests.Hosting.Files;

/// <summary>Monitor messages: frozen on the wire, never larger than the question, any bytes allowed (pitfall 2).</summary>
public sealed class MonitorProtocolTests
{
    private static readonly MonitorAnswer Answer = new()
    {
        Id = 3,
        Pid = 0x01020304,
        Activity = ReplicaActivity.Fetching,
        IsPrimary = true,
        View = 5,
        LastExecuted = 0x1122334455667788,
        LastCommitted = 7,
        StableCheckpoint = 128,
        StableDigest = Digest.Read(Enumerable.Range(0, 32).Select(i => (byte)(0xa0 + i)).ToArray()),
        RequestsExecuted = 9,
        UptimeMicros = 10,
        MissingPeers = 0x8000000000000001,
        TransferTarget = 12,
        TransferPages = 13,
        TransferMissing = 14,
        TransferUnknown = 0x15,
        ViewChanging = true,
        ViewChanges = 16,
        ViewChangeReason = ViewChangeReason.BadNewView,
        ViewChangeFrom = 17,
        ViewChangeTo = 18,
        ViewChangeAgoMicros = 19,
        ViewChangeTookMicros = 20,
        CutFrom = 21,
        CutTo = 22,
        PagesChecked = 23,
        PagesScrubbed = 24,
        PagesDamaged = 25,
        PagesFetched = 26,
        FilesWereDamaged = true,
        Recovery = new RecoveryReport(RecoveryPhase.CheckAndFetch, new SeqNum(27), new SeqNum(28), new SeqNum(29), new View(30), new View(31), 32, 33, 34),
        RecoveryAlarm = true,
        SlowRecoveries = 35,
    };

    [Fact]
    public void An_answer_is_read_as_it_was_written()
    {
        byte[] message = Write();
        Assert.True(MonitorProtocol.TryReadAnswer(message, 77, out MonitorAnswer read));
        Assert.Equal(Answer, read);
        Assert.False(MonitorProtocol.TryReadAnswer(message, 78, out _));
    }

    [Fact]
    public void The_bytes_are_frozen()
    {
        Assert.Equal(
            "FD7F0200400100004D00000000000000" + "0300000004030201" + "0201010315000000" + "0500000000000000"
            + "8877665544332211" + "0700000000000000" + "8000000000000000"
            + "A0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBF"
            + "0900000000000000" + "0A00000000000000" + "0100000000000080" + "0C00000000000000"
            + "0D00000000000000" + "0E00000000000000" + "1000000000000000" + "1100000000000000" + "1200000000000000"
            + "1300000000000000" + "1400000000000000" + "1500000000000000" + "1600000000000000" + "1700000000000000"
            + "1800000000000000" + "1900000000000000" + "1A00000000000000" + "0100000000000000"
            + "0301000000000000" + "1B00000000000000" + "1C00000000000000" + "1D00000000000000" + "1E00000000000000"
            + "1F00000000000000" + "2000000000000000" + "2100000000000000" + "2200000000000000" + "2300000000000000",
            Convert.ToHexString(Write()));
        byte[] query = new byte[MonitorProtocol.QueryBytes];
        MonitorProtocol.WriteQuery(query, 77);
        Assert.Equal("FD7F0100500100004D00000000000000", Convert.ToHexString(query.AsSpan(0, 16)));
        Assert.Equal(-1, query.AsSpan(16).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_cut_is_read_as_it_was_written_and_is_no_query()
    {
        byte[] message = new byte[MonitorProtocol.QueryBytes];
        MonitorProtocol.WriteCut(message, 77, from: 5, to: 0x8000000000000002);
        Assert.Equal("FD7F0300500100004D00000000000000" + "0500000000000000" + "0200000000000080", Convert.ToHexString(message.AsSpan(0, 32)));
        Assert.True(MonitorProtocol.TryReadCut(message, out ulong nonce, out ulong from, out ulong to));
        Assert.Equal((77UL, 5UL, 0x8000000000000002UL), (nonce, from, to));
        Assert.False(MonitorProtocol.TryReadQuery(message, out _));
        Assert.False(MonitorProtocol.TryReadCut(message.AsSpan(1), out _, out _, out _));
    }

    [Fact]
    public void An_answer_is_smaller_than_its_question() => Assert.True(MonitorProtocol.AnswerBytes < MonitorProtocol.QueryBytes);

    [Fact]
    public void Any_bytes_are_taken()
    {
        var random = new Random(3);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = i % 2 == 0 ? Write() : new byte[random.Next(345)];
            for (int k = 0; k < 4 && bytes.Length > 0; k++)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }
            bytes = bytes[..random.Next(bytes.Length + 1)];
            bool query = MonitorProtocol.TryReadQuery(bytes, out _);
            bool answer = MonitorProtocol.TryReadAnswer(bytes, 77, out _);
            bool cut = MonitorProtocol.TryReadCut(bytes, out _, out _, out _);
            Assert.False((query && answer) || (cut && (query || answer)));
            Assert.True(!query || bytes.Length == MonitorProtocol.QueryBytes);
        }
    }

    private static byte[] Write()
    {
        byte[] message = new byte[MonitorProtocol.AnswerBytes];
        MonitorProtocol.WriteAnswer(message, 77, Answer);
        return message;
    }
}
