using System.Runtime.InteropServices;
using BfsCore;

namespace BfsClient.Fuse;

/// <summary>How reading the device went.</summary>
internal enum FuseReadResult
{
    /// <summary>A message is there.</summary>
    Message,

    /// <summary>Nothing more for now.</summary>
    Empty,

    /// <summary>The drive was unmounted.</summary>
    Unmounted,

    /// <summary>The connection was aborted.</summary>
    Aborted,
}

/// <summary>The kernel's end of a mount: one read gives one request, one write takes one reply. Never blocks.</summary>
internal sealed unsafe class FuseDevice : IFuseReplies, IDisposable
{
    private readonly byte* _buffer;

    /// <param name="descriptor">An open /dev/fuse; taken over, and made non-blocking.</param>
    public FuseDevice(int descriptor)
    {
        Descriptor = descriptor;
        int flags = Native.Fcntl(descriptor, Native.GetStatusFlags, 0);
        BfsAssert.That(Native.Fcntl(descriptor, Native.SetStatusFlags, flags | Native.OpenNonBlocking) == 0);
        // Aligned, so that the kernel copies whole pages into whole pages.
        _buffer = (byte*)NativeMemory.AlignedAlloc(FuseConstants.ReadBufferBytes, FuseConstants.PageBytes);
    }

    public int Descriptor { get; }

    /// <param name="message">Valid until the next call.</param>
    public FuseReadResult TryRead(out ReadOnlySpan<byte> message)
    {
        message = default;
        while (true)
        {
            nint length = Native.Read(Descriptor, _buffer, FuseConstants.ReadBufferBytes);
            if (length > 0)
            {
                message = new ReadOnlySpan<byte>(_buffer, (int)length);
                return FuseReadResult.Message;
            }
            switch (length == 0 ? Native.ENODEV : Marshal.GetLastPInvokeError())
            {
                case Native.EINTR:
                case Native.ENOENT:
                    // ENOENT: the request was interrupted before it could be read.
                    continue;
                case Native.EAGAIN:
                    return FuseReadResult.Empty;
                case Native.ENODEV:
                    return FuseReadResult.Unmounted;
                default:
                    return FuseReadResult.Aborted;
            }
        }
    }

    /// <summary>
    /// Sends a reply. ENOENT (the caller is gone), ENODEV and ENOTCONN (the drive is gone) are harmless; EINVAL is what
    /// the kernel says to a reply that it cannot understand, a bug of ours.
    /// </summary>
    public void Send(ReadOnlySpan<byte> message)
    {
        fixed (byte* start = message)
        {
            while (Native.Write(Descriptor, start, message.Length) < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                BfsAssert.That(error != Native.EINVAL);
                if (error is not (Native.EINTR or Native.EAGAIN))
                {
                    return;
                }
            }
        }
    }

    public void Dispose()
    {
        _ = Native.Close(Descriptor);
        NativeMemory.AlignedFree(_buffer);
    }
}
