using BfsCore.Messages;

namespace BfsBench;

/// <summary>
/// Predicts latency and throughput (§7.3, §7.4) with our messages' sizes. Adapted: on one machine nodes share processors, and an
/// authenticator's copies go out one by one where there is no multicast; frames are datagrams, since loopback does not fragment
/// sizes of the micro-benchmarks. As in the thesis, nothing but digests, MACs and communication costs time.
/// </summary>
internal sealed class PerformanceModel(Surroundings at, int f)
{
    /// <summary>Results above this come whole from one replica (§5.1.1).</summary>
    private const int DigestReplyThreshold = 32;

    private const int DigestBytes = 32;
    private const int EntryBytes = PrePrepare.SeparateEntryBytes;

    private readonly int _n = (3 * f) + 1;
    private readonly int _quorum = (2 * f) + 1;

    /// <summary>Sends that it takes to reach so many.</summary>
    private int Sends(int receivers) => at.Multicast ? 1 : receivers;

    private double RequestBytes(int argument) => Request.SizeFor(argument, MessageFormat.Macs(_n));

    private double VoteBytes => Vote.SizeFor(MessageFormat.Macs(_n));

    private double PrePrepareBytes(int argument, int batch) =>
        PrePrepare.SizeFor((int)(batch * (IsSeparate(argument) ? EntryBytes : 4 + RequestBytes(argument))), MessageFormat.Macs(_n));

    private static double ReplyBytes(int result) => Reply.HeaderBytes + result + MessageHeader.TagBytes;

    private bool IsSeparate(int argument) => argument > at.InlineThreshold;

    /// <summary>The bytes of what replicas send that do not send the result.</summary>
    private static double OtherReplyBytes(int result) => ReplyBytes(result > DigestReplyThreshold ? 0 : result);

    private double Build(int argument) => at.Digest(argument + 32) + (_n * at.Mac);

    private double Check(int argument) => at.Mac + at.Digest(argument + 32);

    private double Authenticator => (_n - 1) * at.Mac;

    /// <summary>One unreplicated server: no digests, no MACs.</summary>
    public static double NoRepLatency(Surroundings at, int argument, int result)
    {
        double request = Request.HeaderBytes + argument, reply = ReplyBytes(result);
        return (2 * at.Host(request)) + at.Hop(request) + (2 * at.Host(reply)) + at.Hop(reply);
    }

    /// <summary>T_ro of §7.3.1.</summary>
    public double ReadOnlyLatency(int argument, int result)
    {
        double request = RequestBytes(argument);
        double client = Build(argument) + (Sends(_n) * at.Host(request));
        double replicas = at.Rounds(_quorum) * (at.Host(request) + Check(argument));
        return client + at.Hop(request) + replicas + Replies(result);
    }

    /// <summary>T_rw of §7.3.2.</summary>
    public double ReadWriteLatency(int argument, int result)
    {
        double request = RequestBytes(argument), prePrepare = PrePrepareBytes(argument, 1);
        bool separate = IsSeparate(argument);
        double client = Build(argument) + ((separate ? Sends(_n) : 1) * at.Host(request));
        // A separate request is checked by all at the same time.
        double primary = ((separate ? at.Rounds(_quorum) : 1) * (at.Host(request) + Check(argument)))
            + at.Digest(DigestBytes) + Authenticator + (Sends(_n - 1) * at.Host(prePrepare));
        double backups = at.Rounds(2 * f) * (at.Host(prePrepare) + at.Mac + at.Digest(DigestBytes) + (separate ? 0 : Check(argument))
            + Authenticator + (Sends(_n - 1) * at.Host(VoteBytes)));
        double prepares = at.Rounds(_quorum) * ((((3 * f) - 1) * Math.Max(at.Host(VoteBytes), at.LinkPerByte * VoteBytes)) + (2 * f * at.Mac));
        return client + at.Hop(request) + primary + at.Hop(prePrepare) + backups + at.Hop(VoteBytes) + prepares + Replies(result);
    }

    /// <summary>From the execution to the certificate: digests, replies, and the client that takes them (T_rep).</summary>
    private double Replies(int result)
    {
        double whole = ReplyBytes(result), other = OtherReplyBytes(result);
        double replicas = at.Rounds(_quorum) * (at.Digest(result) + at.Mac + at.Host(other));
        double client = ((_quorum - 1) * Math.Max(at.Host(other), at.LinkPerByte * other)) + at.Host(whole) + (_quorum * at.Mac) + at.Digest(result);
        return replicas + (at.Host(whole) - at.Host(other)) + at.Hop(whole) + client;
    }

    /// <summary>Processor time of the busiest server for an operation: the primary, of a batch (§7.4.2).</summary>
    public double PrimaryMicros(int argument, int result, int batch) =>
        Requests(argument) + Results(result) + ((at.Digest(batch * DigestBytes) + Authenticator
            + (Sends(_n - 1) * at.Host(PrePrepareBytes(argument, batch))) + ((_n - 1) * (at.Host(VoteBytes) + at.Mac))) / batch);

    private double BackupMicros(int argument, int result, int batch) =>
        (IsSeparate(argument) ? Requests(argument) : Check(argument)) + Results(result)
            + ((at.Host(PrePrepareBytes(argument, batch)) + at.Mac + at.Digest(batch * DigestBytes) + Authenticator
            + (Sends(_n - 1) * at.Host(VoteBytes)) + ((_n - 2) * (at.Host(VoteBytes) + at.Mac))) / batch);

    private double Requests(int argument) => at.Host(RequestBytes(argument)) + Check(argument);

    /// <summary>Of all results a replica sends one in n.</summary>
    private double Results(int result) => at.Digest(result) + at.Mac + (at.Host(ReplyBytes(result)) / _n)
        + (at.Host(OtherReplyBytes(result)) * (_n - 1) / _n);

    private double ClientMicros(int argument, int result) => Build(argument) + ((IsSeparate(argument) ? Sends(_n) : 1) * at.Host(RequestBytes(argument)))
        + at.Host(ReplyBytes(result)) + ((_n - 1) * at.Host(OtherReplyBytes(result))) + (_quorum * at.Mac) + at.Digest(result);

    /// <summary>Operations a second when there is always something to do (§7.4.2): what all together, or the busiest, can compute and links carry.</summary>
    /// <param name="machines">Machines of clients.</param>
    public double Throughput(int argument, int result, int batch, int machines)
    {
        double primary = PrimaryMicros(argument, result, batch), backup = BackupMicros(argument, result, batch), client = ClientMicros(argument, result);
        double micros = at.Processors is { } processors
            ? (primary + ((_n - 1) * backup) + client) / processors
            : Math.Max(Math.Max(primary, backup), client / machines);
        double link = at.LinkPerByte * (RequestBytes(argument) + (ReplyBytes(result) / _n) + OtherReplyBytes(result));
        return 1e6 / Math.Max(micros, link);
    }

    public static double NoRepThroughput(Surroundings at, int argument, int result)
    {
        double server = at.Host(Request.HeaderBytes + argument) + at.Host(ReplyBytes(result));
        double link = at.LinkPerByte * Math.Max(Request.HeaderBytes + argument, ReplyBytes(result));
        return 1e6 / Math.Max(link, at.Processors is { } processors ? 2 * server / processors : server);
    }
}
