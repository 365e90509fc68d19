using BfsCore.Messages;
using BfsCore.State;

namespace BfsCore.Replication;

/// <summary>What an event loop needs of a server, replicated or not.</summary>
public interface IServerEngine
{
    void Start(Instant now);

    void Step(ReadOnlySpan<byte> message, SourceAddress source);

    void Tick(Instant now);

    long NextDeadlineMicros { get; }

    /// <summary>Whether messages are due at any moment: others take part in what is under way.</summary>
    bool ExpectsMessages { get; }
}

/// <summary>
/// NO-REP, the baseline of chapter 8: the same service behind one unreplicated server, with the same requests, replies and
/// transport, and no digests, authenticators or agreement. Time comes from its own clock. It keeps the last reply of each
/// slot, so that a request sent again is executed once.
/// </summary>
public sealed class NoRepServer : IServerEngine
{
    private readonly ClusterConfig _config;
    private readonly IService _service;
    private readonly INetwork _network;
    private readonly ReplyTable _replies;
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];
    private readonly byte[] _message = new byte[Limits.MaxResultBytes + 4096];
    private long _wallNanos;

    public NoRepServer(ClusterConfig config, PagedState pages, IService service, INetwork network)
    {
        (_config, _service, _network) = (config, service, network);
        long tableBytes = ReplyTable.SizeFor(config);
        _replies = new ReplyTable(pages.Window(0, tableBytes), config);
        service.Open(pages.Window(tableBytes, config.ServiceStateBytes));
    }

    public ReplicaCounters Counters { get; } = new();

    public long NextDeadlineMicros => long.MaxValue;

    public bool ExpectsMessages => false;

    public void Start(Instant now) => Tick(now);

    public void Tick(Instant now) => _wallNanos = now.WallNanos;

    public void Step(ReadOnlySpan<byte> message, SourceAddress source)
    {
        if (!Request.TryParse(message, _config.Format, out Request request))
        {
            Counters.Count(DropReason.Malformed);
            return;
        }
        int client = _config.ClientIndex(request.Client);
        if (client < 0 || request.Slot >= _config.SlotsPerClient)
        {
            Counters.Count(DropReason.UnknownClient);
            return;
        }
        if (request.ReadOnly && _service.IsReadOnly(request.Operation))
        {
            var context = new ExecutionContext(request.Client, _replies.LastTimeNanos, ReadOnly: true);
            Answer(request, source, _result.AsSpan(0, _service.Execute(context, request.Operation, _result)));
            Counters.ReadOnlyExecuted++;
            return;
        }
        int order = _replies.Compare(client, request.Slot, request.Session, request.Timestamp);
        if (order > 0)
        {
            ExecuteInOrder(request, client);
        }
        if (order >= 0)
        {
            Answer(request, source, _replies.Result(client, request.Slot));
        }
    }

    private void ExecuteInOrder(in Request request, int client)
    {
        long time = Math.Max(_wallNanos, _replies.LastTimeNanos + 1);
        _replies.LastTimeNanos = time;
        int length = _service.Execute(new ExecutionContext(request.Client, time, ReadOnly: false), request.Operation, _result);
        _replies.Store(client, request.Slot, request.Session, request.Timestamp, default, _result.AsSpan(0, length));
        Counters.RequestsExecuted++;
    }

    private void Answer(in Request request, SourceAddress source, ReadOnlySpan<byte> result)
    {
        int size = Reply.Write(_message, _config.Format, ReplyFlags.None, default, request.Session, request.Timestamp, request.Client,
            request.Slot, default, default, default, result);
        _network.Answer(source, _message.AsSpan(0, size));
    }
}
