using BfsClient.FileSystem;
using BfsCore.FileProtocol;

namespace BfsClient.Fuse;

/// <summary>A request of the kernel that has no reply yet. Pooled.</summary>
internal sealed class FuseRequest : CallToken
{
    /// <summary>Room for a header and the largest reply that is not data: an entry and an open file.</summary>
    public byte[] Small { get; } = new byte[256];

    public ulong Unique { get; private set; }

    public FileHandle Node { get; private set; }

    public Caller Caller { get; private set; }

    /// <summary>Its caller was killed and got EINTR: the real reply is not sent.</summary>
    public bool Abandoned { get; set; }

    public void Begin(in FuseInHeader header)
    {
        Unique = header.Unique;
        Node = FileHandle.Unpack(header.NodeId);
        Caller = new Caller(header.Uid, header.Gid, header.Pid, this);
        Interrupted = false;
        Abandoned = false;
    }
}
