using System.Numerics;
using BfsCore.Messages;

namespace BfsCore.Client;

/// <summary>One operation under way: its request, to send it again, and the replies so far.</summary>
internal sealed class ClientSlot(int n)
{
    private readonly Digest[] _digests = new Digest[n];
    private readonly View[] _views = new View[n];
    private readonly SeqNum[] _states = new SeqNum[n];
    private ulong _received;
    private ulong _final;
    private byte[] _request = [];
    private byte[] _result = [];
    private int _resultBytes;
    private Digest _resultDigest;
    private bool _hasResult;

    public bool Busy { get; set; }
    public bool ReadOnly { get; set; }
    public long Tag { get; private set; }
    public ulong Timestamp { get; set; }
    public int RequestBytes { get; set; }
    public int OperationBytes { get; set; }

    /// <summary>The request as it stands is signed.</summary>
    public bool Signed { get; set; }
    public int Attempts { get; set; }

    /// <summary>Who was to send the result in full.</summary>
    public int Replier { get; set; }

    /// <summary>Which replicas were asked to execute a read-only request, one bit for each.</summary>
    public ulong Asked { get; set; }

    /// <summary>They were asked for committed state, since they did not agree otherwise.</summary>
    public bool CommittedOnly { get; set; }

    /// <summary>Which of them have not answered.</summary>
    public ulong Silent => Asked & ~_received;
    public long SentMicros { get; set; }
    public long DeadlineMicros { get; set; }

    public Span<byte> Message => _request.AsSpan(0, RequestBytes);

    /// <summary>The whole buffer of the request.</summary>
    public Span<byte> Buffer => _request;

    public ReadOnlySpan<byte> Result => _result.AsSpan(0, _resultBytes);

    public void Begin(long tag, bool readOnly)
    {
        Busy = true;
        Tag = tag;
        ReadOnly = readOnly;
        Attempts = 0;
    }

    public Span<byte> RequestBuffer(int bytes) => Grow(ref _request, bytes);

    public void ResetReplies()
    {
        _received = _final = 0;
        _hasResult = false;
    }

    /// <summary>Whether the result with this digest is here.</summary>
    public bool HasResult(in Digest digest) => _hasResult && _resultDigest == digest;

    /// <summary>
    /// Takes a reply; a later one of the same replica replaces its first, as the result of a tentative execution may
    /// change after a rollback (§5.1.2).
    /// </summary>
    /// <param name="withResult">It has the result of its digest, which is not here yet.</param>
    public void Add(in Reply reply, bool withResult)
    {
        ulong bit = 1UL << reply.Replica.Value;
        _received |= bit;
        _digests[reply.Replica.Value] = reply.Digest;
        _views[reply.Replica.Value] = reply.View;
        _states[reply.Replica.Value] = reply.State;
        _final = (reply.Flags & ReplyFlags.Tentative) == 0 ? _final | bit : _final & ~bit;
        if (withResult)
        {
            reply.Result.CopyTo(Grow(ref _result, reply.Result.Length));
            _resultBytes = reply.Result.Length;
            _resultDigest = reply.Digest;
            _hasResult = true;
        }
    }

    public bool AnyReply => _received != 0;

    public bool AnyTentative => (_received & ~_final) != 0;

    public bool HasAnyResult => _hasResult;

    /// <summary>
    /// The most equal replies that speak of the same execution: those that are not tentative, or those of one view, and to a read-only
    /// request of one state. Tentative ones of different views may be of different batches, none of which prepared at a quorum, and then
    /// all of them may be undone (simulator seed 754632126625; §5.1.2 asks for the same result only). So may be the newer of two states
    /// of one view, in which the same was read though it was something else between them.
    /// </summary>
    public int CountAgreeing(in Digest digest)
    {
        int most = CountFinal(digest);
        for (ulong rest = _received & ~_final; rest != 0; rest &= rest - 1)
        {
            most = Math.Max(most, Count(digest, LikeThatOf(BitOperations.TrailingZeroCount(rest))));
        }
        return most;
    }

    /// <summary>Who answered with this digest, one bit for each replica.</summary>
    public ulong WhoSaid(in Digest digest)
    {
        ulong replicas = 0;
        for (ulong rest = _received; rest != 0; rest &= rest - 1)
        {
            replicas |= _digests[BitOperations.TrailingZeroCount(rest)] == digest ? rest & (0 - rest) : 0;
        }
        return replicas;
    }

    /// <summary>Equal replies that are not tentative.</summary>
    public int CountFinal(in Digest digest) => Count(digest, _final);

    /// <summary>Whose replies are of the same view and state as that of this replica.</summary>
    private ulong LikeThatOf(int replica)
    {
        ulong replicas = 0;
        for (ulong rest = _received; rest != 0; rest &= rest - 1)
        {
            int other = BitOperations.TrailingZeroCount(rest);
            replicas |= _views[other] == _views[replica] && _states[other] == _states[replica] ? rest & (0 - rest) : 0;
        }
        return replicas;
    }

    /// <summary>
    /// Whether the replies to a read-only request are of so many results, or tentative ones of so many states, that those still to come
    /// cannot make a quorum.
    /// </summary>
    public bool CannotReach(int quorum)
    {
        int outstanding = BitOperations.PopCount(Silent);
        for (ulong rest = _received; rest != 0; rest &= rest - 1)
        {
            if (CountAgreeing(_digests[BitOperations.TrailingZeroCount(rest)]) + outstanding >= quorum)
            {
                return false;
            }
        }
        return outstanding < quorum;
    }

    private int Count(in Digest digest, ulong among) => BitOperations.PopCount(WhoSaid(digest) & among);

    private static byte[] Grow(ref byte[] buffer, int bytes)
    {
        if (buffer.Length < bytes)
        {
            buffer = new byte[(int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(bytes, 1024))];
        }
        return buffer;
    }
}
