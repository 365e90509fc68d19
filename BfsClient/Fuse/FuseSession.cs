using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BfsClient.FileSystem;
using BfsCore;
using BfsCore.FileProtocol;

namespace BfsClient.Fuse;

/// <summary>What the kernel is told when a session starts, and how long it may keep what it learns.</summary>
public sealed record FuseSessionOptions
{
    /// <summary>How long the kernel may use attributes without asking, microseconds.</summary>
    public required long AttributeMicros { get; init; }

    /// <summary>How long the kernel may use a name without asking, microseconds.</summary>
    public required long EntryMicros { get; init; }

    /// <summary>No page caching, appends at the real end.</summary>
    public required bool Strict { get; init; }

    public required int ReadaheadBytes { get; init; }
}

/// <summary>Where replies go: the device, or a test.</summary>
internal interface IFuseReplies
{
    /// <summary>One whole message. What the kernel no longer waits for is dropped.</summary>
    void Send(ReadOnlySpan<byte> message);
}

/// <summary>
/// Translates between the kernel's requests and file operations: parses a request, starts the operation, and replies when
/// it is done. One thread; many requests are under way at a time. The parts: this file receives and replies; .Names
/// handles what works on names and attributes; .Files on open files; .Directories on listings.
/// </summary>
internal sealed partial class FuseSession
{
    private readonly IFileOperations _files;
    private readonly IFuseReplies _replies;
    private readonly FuseSessionOptions _options;
    private readonly Func<uint, bool> _isKilled;
    private readonly Action<Action> _later;
    private readonly KernelView _kernel = new();
    private readonly BackgroundWork _work = new();
    private readonly Dictionary<ulong, FuseRequest> _active = [];
    private readonly Stack<FuseRequest> _pool = new();
    private readonly HandleTable _handles = new();
    private readonly ReadBuffers _readBuffers = new();
    private bool _lookingAgain;

    /// <param name="isKilled">Whether a thread, by its number, is about to die of a signal.</param>
    /// <param name="later">Runs an action after about a second.</param>
    public FuseSession(IFileOperations files, IFuseReplies replies, FuseSessionOptions options, Func<uint, bool> isKilled,
        Action<Action> later)
    {
        (_files, _replies, _options, _isKilled, _later) = (files, replies, options, isKilled, later);
        files.SetIdCleared = InvalidateAttributes;
    }

    /// <summary>Called when the kernel's INIT was answered: the drive is usable.</summary>
    public Action? Started { get; set; }

    /// <summary>Requests without a reply yet.</summary>
    public int ActiveRequests => _active.Count;

    /// <summary>One message from the device. Data that is too short or contradicts itself is refused.</summary>
    public void Receive(ReadOnlySpan<byte> message)
    {
        FuseReader reader = new(message);
        FuseInHeader header = reader.Take<FuseInHeader>();
        if (!reader.Ok || header.Length != message.Length || _active.ContainsKey(header.Unique))
        {
            return;
        }
        switch (header.Opcode)
        {
            case FuseOpcode.Forget:
                Forget(header.NodeId, ref reader);
                return;
            case FuseOpcode.BatchForget:
                ForgetMany(ref reader);
                return;
            case FuseOpcode.Interrupt:
                Interrupt(ref reader);
                return;
        }
        FuseRequest request = Begin(header);
        ValueTask handled = Dispatch(request, header.Opcode, ref reader);
        if (reader.Ok)
        {
            _work.Start(handled);
        }
        else
        {
            BfsAssert.That(handled.IsCompleted && _active.ContainsKey(request.Unique));
            ReplyError(request, Errno.EINVAL);
        }
    }

    private ValueTask Dispatch(FuseRequest request, FuseOpcode opcode, ref FuseReader reader) => opcode switch
    {
        FuseOpcode.Init => Init(request, ref reader),
        FuseOpcode.Destroy => Done(request),
        FuseOpcode.Lookup => Lookup(request, ref reader),
        FuseOpcode.GetAttr => GetAttr(request, ref reader),
        FuseOpcode.SetAttr => SetAttr(request, ref reader),
        FuseOpcode.Readlink => ReadlinkAsync(request),
        FuseOpcode.Symlink => Symlink(request, ref reader),
        FuseOpcode.Mknod => Mknod(request, ref reader),
        FuseOpcode.Mkdir => Mkdir(request, ref reader),
        FuseOpcode.Unlink => Unlink(request, ref reader),
        FuseOpcode.Rmdir => Rmdir(request, ref reader),
        FuseOpcode.Rename => Rename(request, ref reader),
        FuseOpcode.Rename2 => Rename2(request, ref reader),
        FuseOpcode.Link => Link(request, ref reader),
        FuseOpcode.Open => Open(request, ref reader),
        FuseOpcode.Create => Create(request, ref reader),
        FuseOpcode.Read => Read(request, ref reader),
        FuseOpcode.Write => Write(request, ref reader),
        FuseOpcode.Flush => Flush(request, ref reader),
        FuseOpcode.Fsync => Fsync(request, ref reader),
        FuseOpcode.FsyncDir => Fsync(request, ref reader),
        FuseOpcode.Release => Release(request, ref reader),
        FuseOpcode.ReleaseDir => Release(request, ref reader),
        FuseOpcode.OpenDir => OpenDir(request, ref reader),
        FuseOpcode.ReadDir => ReadDir(request, plus: false, ref reader),
        FuseOpcode.ReadDirPlus => ReadDir(request, plus: true, ref reader),
        FuseOpcode.Statfs => StatfsAsync(request),
        FuseOpcode.Access => Access(request, ref reader),
        FuseOpcode.Ioctl => Refuse(request, Errno.ENOTTY),
        _ => Refuse(request, Errno.ENOSYS),
    };

    private FuseRequest Begin(in FuseInHeader header)
    {
        if (!_pool.TryPop(out FuseRequest? request))
        {
            request = new FuseRequest();
        }
        request.Begin(header);
        _active.Add(header.Unique, request);
        return request;
    }

    private void Forget(ulong node, ref FuseReader reader)
    {
        ulong lookups = reader.Take<ulong>();
        if (reader.Ok)
        {
            _kernel.Forget(node, lookups);
        }
    }

    private void ForgetMany(ref FuseReader reader)
    {
        uint count = reader.Take<FuseBatchForgetIn>().Count;
        for (uint i = 0; i < count && reader.Ok; i++)
        {
            FuseForgetOne one = reader.Take<FuseForgetOne>();
            _kernel.Forget(one.NodeId, one.Lookups);
        }
    }

    /// <summary>
    /// A signal for somebody who waits. What was not sent to the replicas ends with EINTR; what was sent is waited for,
    /// unless the caller is being killed: then nobody is left to be told its result. The kernel interrupts once only, so
    /// interrupted requests are looked at from time to time.
    /// </summary>
    private void Interrupt(ref FuseReader reader)
    {
        FuseInterruptIn interrupt = reader.Take<FuseInterruptIn>();
        if (!reader.Ok || !_active.TryGetValue(interrupt.Unique, out FuseRequest? request))
        {
            return;
        }
        _files.Interrupt(request);
        AbandonKilled();
    }

    private void AbandonKilled()
    {
        bool waiting = false;
        foreach (FuseRequest request in _active.Values)
        {
            if (request.Interrupted && !request.Abandoned)
            {
                request.Abandoned = _isKilled(request.Caller.Pid);
                waiting |= !request.Abandoned;
                if (request.Abandoned)
                {
                    SendHeader(request, Errno.EINTR);
                }
            }
        }
        if (waiting && !_lookingAgain)
        {
            _lookingAgain = true;
            _later(LookAgain);
        }
    }

    private void LookAgain()
    {
        _lookingAgain = false;
        AbandonKilled();
    }

    private ValueTask Refuse(FuseRequest request, Errno error)
    {
        ReplyError(request, error);
        return default;
    }

    private ValueTask Done(FuseRequest request)
    {
        Reply(request, default);
        return default;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask ReplyStatusAsync(FuseRequest request, ValueTask<Errno> pending)
    {
        Errno error = await pending;
        if (error == Errno.Ok)
        {
            Reply(request, default);
        }
        else
        {
            ReplyError(request, error);
        }
    }

    private void ReplyStruct<T>(FuseRequest request, in T value)
        where T : unmanaged =>
        Reply(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    private void Reply(FuseRequest request, ReadOnlySpan<byte> payload)
    {
        Span<byte> message = request.Small.AsSpan(0, Unsafe.SizeOf<FuseOutHeader>() + payload.Length);
        payload.CopyTo(message[Unsafe.SizeOf<FuseOutHeader>()..]);
        ReplyMessage(request, message, Errno.Ok);
    }

    private void ReplyError(FuseRequest request, Errno error)
    {
        // The kernel takes -1 to -511.
        Errno known = (int)error is > 0 and < 512 ? error : Errno.EIO;
        ReplyMessage(request, request.Small.AsSpan(0, Unsafe.SizeOf<FuseOutHeader>()), known);
    }

    private void SendHeader(FuseRequest request, Errno error)
    {
        FuseOutHeader header = HeaderOf(request, Unsafe.SizeOf<FuseOutHeader>(), error);
        _replies.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<FuseOutHeader>(in header)));
    }

    /// <summary>Sends a message that has room for the header before its payload; the request is over.</summary>
    private void ReplyMessage(FuseRequest request, Span<byte> message, Errno error)
    {
        BfsAssert.That(_active.Remove(request.Unique));
        if (!request.Abandoned)
        {
            FuseOutHeader header = HeaderOf(request, message.Length, error);
            MemoryMarshal.Write(message, in header);
            _replies.Send(message);
        }
        _pool.Push(request);
    }

    private static FuseOutHeader HeaderOf(FuseRequest request, int length, Errno error) =>
        new() { Length = (uint)length, Error = -(int)error, Unique = request.Unique };
}
