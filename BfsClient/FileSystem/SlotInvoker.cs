using System.Buffers.Binary;
using System.Threading.Tasks.Sources;
using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.Hosting;

namespace BfsClient.FileSystem;

/// <summary>
/// Queue, slots and timeouts in front of a client that takes a bounded number of operations: what cannot be sent now
/// waits, first come first served. With a soft timeout an operation that has no result in time ends with EIO, and its
/// late result is ignored; the slot stays taken until then, since the client itself never gives up.
/// </summary>
public abstract class SlotInvoker : IInvoker
{
    private readonly List<Slot> _slots = [];
    private readonly Stack<int> _freeSlots = new();
    private readonly Queue<Ticket> _queue = new();
    private readonly Queue<Ticket> _deadlines = new();
    private readonly Stack<Invocation> _pool = new();
    private readonly EventLoop _loop;
    private readonly long _timeoutMicros;
    private bool _timerSet;
    private bool _sendingQueued;

    /// <param name="timeoutMicros">After this an operation ends with EIO; 0: it waits for ever.</param>
    protected SlotInvoker(EventLoop loop, long timeoutMicros)
    {
        (_loop, _timeoutMicros) = (loop, timeoutMicros);
    }

    public int Outstanding { get; private set; }

    /// <summary>Sends an operation, or returns false if all slots are busy.</summary>
    protected abstract bool TrySubmit(ReadOnlySpan<byte> operation, bool readOnly, long tag);

    public ValueTask<InvokeResult> InvokeAsync(ReadOnlyMemory<byte> operation, bool readOnly, Memory<byte> body,
        CallToken? call = null)
    {
        if (call is { Interrupted: true })
        {
            return new(new InvokeResult(Errno.EINTR, 0));
        }
        if (!_pool.TryPop(out Invocation? invocation))
        {
            invocation = new Invocation(this);
        }
        ValueTask<InvokeResult> task = invocation.Begin(operation, readOnly, body, call);
        Outstanding++;
        if (_timeoutMicros > 0)
        {
            _deadlines.Enqueue(new Ticket(invocation, invocation.Life, _loop.Now.MonotonicMicros + _timeoutMicros));
            SetTimer();
        }
        if (_queue.Count > 0 || !TrySend(invocation))
        {
            _queue.Enqueue(new Ticket(invocation, invocation.Life, 0));
        }
        return task;
    }

    public void CancelQueued(CallToken call)
    {
        foreach (Ticket ticket in _queue.ToArray())
        {
            if (ticket.IsCurrent && ticket.Invocation.Call == call)
            {
                Finish(ticket.Invocation, new InvokeResult(Errno.EINTR, 0));
            }
        }
    }

    /// <summary>To be called with every result, once for each tag that was submitted.</summary>
    protected void Complete(long tag, ReadOnlySpan<byte> result)
    {
        int index = (int)tag;
        BfsAssert.That((uint)index < (uint)_slots.Count && _slots[index].Busy);
        Invocation? invocation = _slots[index].Invocation;
        _slots[index] = default;
        _freeSlots.Push(index);
        if (invocation is not null)
        {
            Finish(invocation, Read(result, invocation.Body));
        }
        SendQueued();
    }

    private static InvokeResult Read(ReadOnlySpan<byte> result, Memory<byte> body)
    {
        if (result.Length < sizeof(int) || result.Length - sizeof(int) > body.Length)
        {
            return new InvokeResult(Errno.EIO, 0);
        }
        var status = (Errno)BinaryPrimitives.ReadInt32LittleEndian(result);
        ReadOnlySpan<byte> rest = result[sizeof(int)..];
        rest.CopyTo(body.Span);
        return new InvokeResult(status, rest.Length);
    }

    private bool TrySend(Invocation invocation)
    {
        if (!_freeSlots.TryPop(out int index))
        {
            index = _slots.Count;
            _slots.Add(default);
        }
        // Before the submission, because an unreplicated service may complete it inside the call.
        _slots[index] = new Slot(invocation);
        invocation.SlotIndex = index;
        if (TrySubmit(invocation.Operation.Span, invocation.ReadOnly, index))
        {
            return true;
        }
        invocation.SlotIndex = -1;
        _slots[index] = default;
        _freeSlots.Push(index);
        return false;
    }

    /// <summary>Sends what waits, as far as there are slots; also after every completion.</summary>
    protected void SendQueued()
    {
        if (_sendingQueued)
        {
            return;
        }
        _sendingQueued = true;
        while (_queue.TryPeek(out Ticket ticket) && (!ticket.IsCurrent || TrySend(ticket.Invocation)))
        {
            _queue.Dequeue();
        }
        _sendingQueued = false;
    }

    private void Finish(Invocation invocation, InvokeResult result)
    {
        Outstanding--;
        if (invocation.SlotIndex >= 0 && _slots[invocation.SlotIndex].Invocation == invocation)
        {
            _slots[invocation.SlotIndex] = new Slot(null) { Abandoned = true };
        }
        invocation.End(result);
    }

    private void SetTimer()
    {
        if (!_timerSet && _deadlines.TryPeek(out Ticket first))
        {
            _timerSet = true;
            long waitMicros = Math.Max(0, first.DeadlineMicros - _loop.Now.MonotonicMicros);
            _loop.AddTimer(TimeSpan.FromMicroseconds(waitMicros), OnTimer);
        }
    }

    private void OnTimer()
    {
        _timerSet = false;
        long now = _loop.Now.MonotonicMicros;
        while (_deadlines.TryPeek(out Ticket ticket) && (!ticket.IsCurrent || ticket.DeadlineMicros <= now))
        {
            _deadlines.Dequeue();
            if (ticket.IsCurrent)
            {
                Finish(ticket.Invocation, new InvokeResult(Errno.EIO, 0));
            }
        }
        SetTimer();
    }

    /// <summary>A place that the client's tag names; busy without an invocation after a timeout.</summary>
    private readonly record struct Slot(Invocation? Invocation)
    {
        public bool Abandoned { get; init; }

        public bool Busy => Invocation is not null || Abandoned;
    }

    /// <summary>An invocation as it was in one of its lives: they are pooled.</summary>
    private readonly record struct Ticket(Invocation Invocation, long Life, long DeadlineMicros)
    {
        public bool IsCurrent => Invocation.Life == Life && !Invocation.Ended;
    }

    private sealed class Invocation(SlotInvoker owner) : IValueTaskSource<InvokeResult>
    {
        private ManualResetValueTaskSourceCore<InvokeResult> _source;

        public ReadOnlyMemory<byte> Operation { get; private set; }
        public Memory<byte> Body { get; private set; }
        public bool ReadOnly { get; private set; }
        public CallToken? Call { get; private set; }
        public int SlotIndex { get; set; }
        public long Life { get; private set; }
        public bool Ended { get; private set; }

        public ValueTask<InvokeResult> Begin(ReadOnlyMemory<byte> operation, bool readOnly, Memory<byte> body, CallToken? call)
        {
            (Operation, ReadOnly, Body, Call) = (operation, readOnly, body, call);
            SlotIndex = -1;
            Life++;
            Ended = false;
            return new ValueTask<InvokeResult>(this, _source.Version);
        }

        public void End(InvokeResult result)
        {
            Ended = true;
            (Operation, Body, Call) = (default, default, null);
            _source.SetResult(result);
        }

        public InvokeResult GetResult(short token)
        {
            InvokeResult result = _source.GetResult(token);
            _source.Reset();
            owner._pool.Push(this);
            return result;
        }

        public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token,
            ValueTaskSourceOnCompletedFlags flags) => _source.OnCompleted(continuation, state, token, flags);
    }
}
