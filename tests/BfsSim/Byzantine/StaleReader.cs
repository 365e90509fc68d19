using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>
/// Answers what is asked as read-only as a replica would that is behind: with the result that the same question had before
/// (§5.1.3). It keeps one correct replica behind as well as it can, whose answers are then like its own.
/// </summary>
public sealed class StaleReader(FaultyReplica self) : ISendStrategy, IListener
{
    private const int Remembered = 256;

    private readonly int _behind = (self.Address + 1 + self.Random.Below(self.N - 1)) % self.N;
    private readonly int _perMille = self.Random.Choose(500, 1000);
    private readonly Dictionary<(int Client, int Slot, ulong Timestamp), string> _asked = [];
    private readonly Queue<(int Client, int Slot, ulong Timestamp)> _order = new();
    private readonly Dictionary<string, List<(Digest Digest, SeqNum State, byte[]? Result)>> _answers = [];

    public void Hear(int from, byte[] message)
    {
        if (from < self.N || FaultyReplica.TagOf(message) != MessageTag.Request || !Request.TryParse(message, self.Format, out Request request)
            || !request.ReadOnly)
        {
            return;
        }
        (int, int, ulong) question = (request.Client.Value, request.Slot, request.Timestamp);
        if (_asked.TryAdd(question, Convert.ToHexString(request.Operation)))
        {
            _order.Enqueue(question);
        }
        if (_order.Count > Remembered)
        {
            _asked.Remove(_order.Dequeue());
        }
    }

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (to == _behind && FaultyReplica.TagOf(message) is MessageTag.PrePrepare or MessageTag.Prepare or MessageTag.Commit
            or MessageTag.Committed or MessageTag.Checkpoint)
        {
            return;
        }
        if (Reply.TryParse(message, self.Format, out Reply reply)
            && _asked.TryGetValue((reply.Client.Value, reply.Slot, reply.Timestamp), out string? operation))
        {
            message = AnswerAsBefore(message, reply, operation);
        }
        send(message);
    }

    private byte[] AnswerAsBefore(byte[] message, in Reply reply, string operation)
    {
        if (!_answers.TryGetValue(operation, out List<(Digest Digest, SeqNum State, byte[]? Result)>? answers))
        {
            _answers[operation] = answers = [];
        }
        if (answers.Count == 0 || answers[^1].Digest != reply.Digest)
        {
            answers.Add((reply.Digest, reply.State, reply.HasResult ? reply.Result.ToArray() : null));
        }
        if (answers.Count < 2 || !self.Random.PerMille(_perMille))
        {
            return message;
        }
        (Digest digest, SeqNum state, byte[]? result) = answers[^2];
        // The state that it had then, or the one that others will name.
        state = self.Random.PerMille(500) ? state : reply.State;
        bool whole = reply.HasResult && result is not null;
        var stale = new byte[Reply.HeaderBytes + (whole ? result!.Length : 0) + self.Format.ReplyProofBytes];
        Reply.Write(stale, self.Format, whole ? ReplyFlags.None : ReplyFlags.DigestOnly, reply.View, reply.Session, reply.Timestamp, reply.Client,
            reply.Slot, reply.Replica, digest, state, whole ? result : []);
        self.Count(this);
        return self.Seal(stale);
    }
}
