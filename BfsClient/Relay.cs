using BfsClient.FileSystem;
using BfsClient.Fuse;
using BfsCore.FileProtocol;
using BfsCore.Hosting;

namespace BfsClient;

/// <summary>What a relay mounts, and where.</summary>
/// <param name="MountPoint">An existing directory; absolute, without symbolic links.</param>
public sealed record RelayOptions(string MountPoint, MountOptions Mount)
{
    /// <summary>How long the replicas may take to answer the first operation, milliseconds.</summary>
    public int ConnectMillis { get; init; } = 30_000;

    /// <summary>How long a relay that was unmounted waits for the last operations, milliseconds.</summary>
    public int DrainMillis { get; init; } = 30_000;

    /// <summary>Mount through fusermount3 though the caller is root.</summary>
    public bool ViaHelper { get; init; }
}

/// <summary>How mounting or serving went; the error is for people, and empty on success.</summary>
public readonly record struct MountResult(string Error)
{
    public bool Succeeded => Error.Length == 0;
}

/// <summary>
/// One mounted drive: everything runs on the thread that calls <see cref="Mount"/> and then <see cref="Run"/>, in the
/// event loop that also drives the cluster client behind the invoker. That thread, and this process, must never use the
/// drive themselves.
/// </summary>
public sealed class Relay : IDisposable
{
    /// <summary>Most requests taken from the kernel before other descriptors get their turn.</summary>
    private const int MaxRequestsPerTurn = 32;

    private readonly EventLoop _loop;
    private readonly RelayOptions _options;
    private readonly RemoteFileSystem _files;
    private FuseDevice? _device;
    private FuseSession? _session;
    private bool _serving;
    private string _failure = "";

    public Relay(IInvoker invoker, EventLoop loop, RelayOptions options)
    {
        (_loop, _options) = (loop, options);
        Caller self = new(Native.EffectiveUser(), Native.EffectiveGroup());
        FileSystemOptions fileOptions = new(options.Mount.AttributeMillis * 1000, options.Mount.Strict, self);
        _files = new RemoteFileSystem(invoker, fileOptions, () => _loop.Now.MonotonicMicros,
            (time, action) => _loop.AddTimer(time, action));
    }

    /// <summary>
    /// Asks the replicas for a first sign of life, mounts, and returns when the drive is usable, or with what is wrong.
    /// </summary>
    public MountResult Mount()
    {
        // What awaits an operation goes on inside the event that completes it, on this thread.
        SynchronizationContext.SetSynchronizationContext(null);
        string error = Connect();
        if (error.Length > 0)
        {
            return new MountResult(error);
        }
        int descriptor = FuseMount.Mount(_options.MountPoint, _options.Mount, _options.ViaHelper, out error);
        if (descriptor < 0)
        {
            return new MountResult(error);
        }
        _device = new FuseDevice(descriptor);
        bool started = false;
        _session = new FuseSession(_files, _device, SessionOptions(), ProcessStatus.IsKilled,
            action => _loop.AddTimer(TimeSpan.FromSeconds(1), action))
        { Started = () => started = true };
        _serving = true;
        _loop.AddReader(descriptor, OnReadable);
        while (_serving && !started)
        {
            _loop.RunOnce();
        }
        if (!started)
        {
            return new MountResult(_failure.Length > 0 ? _failure : "the drive was unmounted before it could be used");
        }
        MountTable.TrySetReadahead(_options.MountPoint, _options.Mount.ReadaheadKib);
        return new MountResult("");
    }

    /// <summary>Serves the drive until it is unmounted and the last writes are at the replicas.</summary>
    public MountResult Run()
    {
        while (_serving)
        {
            _loop.RunOnce();
        }
        bool late = false;
        _loop.AddTimer(TimeSpan.FromMilliseconds(_options.DrainMillis), () => late = true);
        while (_files.BackgroundOperations > 0 && !late)
        {
            _loop.RunOnce();
        }
        if (_files.UnwrittenBytes > 0)
        {
            return new MountResult($"the replicas did not confirm the last {_files.UnwrittenBytes} bytes written");
        }
        return new MountResult(_failure);
    }

    /// <summary>
    /// Unmounts from any thread, without waiting; <see cref="Run"/> returns when the kernel has let go.
    /// </summary>
    /// <param name="done">Called on another thread with the outcome.</param>
    public void RequestUnmount(bool lazy, Action<MountResult>? done = null)
    {
        // On a thread of its own: unmounting waits for the relay to answer.
        Thread thread = new(() =>
        {
            bool ok = FuseMount.Unmount(_options.MountPoint, lazy, out string error);
            done?.Invoke(new MountResult(ok ? "" : error));
        })
        {
            IsBackground = true,
        };
        thread.Start();
    }

    /// <summary>Gives the device back; calls that the drive still has get ENOTCONN.</summary>
    public void Dispose()
    {
        if (_device is not null)
        {
            _loop.RemoveReader(_device.Descriptor);
            _device.Dispose();
            _device = null;
        }
    }

    private string Connect()
    {
        Errno? status = null;
        bool late = false;
        _loop.AddTimer(TimeSpan.FromMilliseconds(_options.ConnectMillis), () => late = true);
        NoteStatus(_files.StartAsync());
        while (status is null && !late)
        {
            _loop.RunOnce();
        }
        return status switch
        {
            Errno.Ok => "",
            null => $"the replicas did not answer within {_options.ConnectMillis / 1000} s",
            _ => $"the replicas refused the first operation: {status}",
        };

        async void NoteStatus(ValueTask<Errno> pending) => status = await pending;
    }

    private FuseSessionOptions SessionOptions() => new()
    {
        AttributeMicros = _options.Mount.AttributeMillis * 1000,
        EntryMicros = _options.Mount.EntryMillis * 1000,
        Strict = _options.Mount.Strict,
        ReadaheadBytes = _options.Mount.ReadaheadKib * 1024,
    };

    private void OnReadable()
    {
        for (int i = 0; i < MaxRequestsPerTurn && _serving; i++)
        {
            switch (_device!.TryRead(out ReadOnlySpan<byte> message))
            {
                case FuseReadResult.Message:
                    _session!.Receive(message);
                    break;
                case FuseReadResult.Empty:
                    return;
                case FuseReadResult.Unmounted:
                    StopServing("");
                    return;
                default:
                    StopServing("the kernel aborted the connection to the drive");
                    return;
            }
        }
    }

    private void StopServing(string failure)
    {
        _serving = false;
        _failure = failure;
        _loop.Post(() => _loop.RemoveReader(_device!.Descriptor));
    }
}
