using System.Text;
using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.State;
using BfsReplica.Snfsd;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsBench;

/// <summary>
/// The file service on memory in this process, asked as the relay asks it, with a checkpoint after as many batches as a
/// replica takes one: what an operation costs a server besides the protocol.
/// </summary>
internal sealed class LocalVolume : IDisposable
{
    /// <summary>K (§2.3.4); one operation in a batch, which is the worst case.</summary>
    private const int CheckpointPeriod = 128;

    private readonly PagedState _pages;
    private readonly FileService _service;
    private readonly byte[] _operation = new byte[Limits.MaxOperationBytes];
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];
    private long _number;

    public LocalVolume(long sizeBytes)
    {
        _pages = new PagedState(sizeBytes);
        var client = new ClientInfo(new ClientId(Limits.FirstClientId), "client", new byte[65], RootSquash: false, []);
        _service = new FileService(new ClusterConfig { Replicas = [], Clients = [client] });
        _service.Open(_pages.Window(0, sizeBytes));
        _pages.AmendFirstCheckpoint();
    }

    public FileHandle NewDirectory(FileHandle parent, string name)
    {
        WireWriter writer = Begin(FileOp.Mkdir, parent, name);
        writer.U32(0x1ed);
        return Attributes(Execute(writer.Length, false), 0).Handle;
    }

    public FileHandle NewFile(FileHandle parent, string name)
    {
        WireWriter writer = Begin(FileOp.Create, parent, name);
        writer.U32(0x1a4);
        writer.U8(1);
        return Attributes(Execute(writer.Length, false), 1).Handle;
    }

    public void Unlink(FileHandle parent, string name)
    {
        WireWriter writer = Begin(FileOp.Unlink, parent, name);
        writer.U16(0);
        Execute(writer.Length, false);
    }

    public FileHandle Lookup(FileHandle parent, string name)
    {
        WireWriter writer = Begin(FileOp.Lookup, parent, name);
        return Attributes(Execute(writer.Length, true), 0).Handle;
    }

    public void GetAttr(FileHandle file)
    {
        WireWriter writer = Begin(FileOp.GetAttr);
        writer.Handle(file);
        Execute(writer.Length, true);
    }

    public void Read(FileHandle file, long offset, int count)
    {
        WireWriter writer = Begin(FileOp.Read);
        writer.Handle(file);
        writer.U64((ulong)offset);
        writer.U32((uint)count);
        Execute(writer.Length, true);
    }

    public void Write(FileHandle file, long offset, ReadOnlySpan<byte> data)
    {
        WireWriter writer = Begin(FileOp.Write);
        writer.Handle(file);
        writer.U64((ulong)offset);
        writer.U8(0);
        writer.Bytes(data);
        Execute(writer.Length, false);
    }

    private WireWriter Begin(FileOp op, FileHandle parent, string name)
    {
        WireWriter writer = Begin(op);
        writer.Handle(parent);
        writer.Name(Encoding.ASCII.GetBytes(name));
        return writer;
    }

    private WireWriter Begin(FileOp op)
    {
        var writer = new WireWriter(_operation);
        writer.U16((ushort)op);
        writer.U16(0);
        writer.U32(0);
        writer.U32(0);
        return writer;
    }

    /// <returns>The length of the result's body.</returns>
    private int Execute(int length, bool readOnly)
    {
        _number += readOnly ? 0 : 1;
        _pages.ReadOnlyGuard = readOnly;
        int written = _service.Execute(new ExecutionContext(new ClientId(Limits.FirstClientId), _number, readOnly), _operation.AsSpan(0, length), _result);
        _pages.ReadOnlyGuard = false;
        var status = (Errno)new WireReader(_result.AsSpan(0, written)).I32();
        if (status != Errno.Ok)
        {
            throw new BenchException($"the file service answered {status} to {(FileOp)new WireReader(_operation).U16()}");
        }
        if (!readOnly && _number % CheckpointPeriod == 0)
        {
            _pages.TakeCheckpoint(new SeqNum(_number));
            _pages.DiscardBefore(new SeqNum(_number));
        }
        return written - sizeof(int);
    }

    private BfsCore.FileProtocol.FileAttributes Attributes(int length, int at) => new WireReader(_result.AsSpan(sizeof(int) + at, length - at)).Attributes();

    public void Dispose() => _pages.Dispose();
}
