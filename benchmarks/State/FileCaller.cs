using System.Text;
using BfsCore;
using BfsCore.FileProtocol;
using FileAttributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsBench;

/// <summary>Operations of the file service, as the relay asks for them; somebody executes them.</summary>
internal abstract class FileCaller
{
    private readonly byte[] _operation = new byte[Limits.MaxOperationBytes];
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];
    private int _resultBytes;

    /// <summary>What the last operation answered, behind its status.</summary>
    public ReadOnlySpan<byte> Result => _result.AsSpan(sizeof(int), _resultBytes);

    /// <returns>The length of the result.</returns>
    protected abstract int Execute(ReadOnlySpan<byte> operation, Span<byte> result, bool readOnly);

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

    /// <summary>The operation itself, for somebody else to invoke.</summary>
    public byte[] LookupOperation(FileHandle parent, string name) => _operation[..Begin(FileOp.Lookup, parent, name).Length];

    /// <summary>Gives a file the time that it is.</summary>
    public void Touch(FileHandle file) => Execute(BeginTouch(file).Length, false);

    /// <summary>The operation itself, as above.</summary>
    public byte[] TouchOperation(FileHandle file) => _operation[..BeginTouch(file).Length];

    private WireWriter BeginTouch(FileHandle file)
    {
        WireWriter writer = Begin(FileOp.SetAttr);
        writer.Handle(file);
        writer.U32((uint)SetAttrMask.MtimeNow);
        writer.U32(0);
        writer.U32(0);
        writer.U32(0);
        writer.U64(0);
        writer.I64(0);
        writer.I64(0);
        return writer;
    }

    public void GetAttr(FileHandle file)
    {
        WireWriter writer = Begin(FileOp.GetAttr);
        writer.Handle(file);
        Execute(writer.Length, true);
    }

    public void Read(FileHandle file, long offset, int count) => Execute(BeginRead(file, offset, count).Length, true);

    /// <summary>The operation itself, as above.</summary>
    public byte[] ReadOperation(FileHandle file, long offset, int count) => _operation[..BeginRead(file, offset, count).Length];

    public void Write(FileHandle file, long offset, ReadOnlySpan<byte> data) => Execute(BeginWrite(file, offset, data).Length, false);

    /// <summary>The operation itself, as above.</summary>
    public byte[] WriteOperation(FileHandle file, long offset, ReadOnlySpan<byte> data) => _operation[..BeginWrite(file, offset, data).Length];

    private WireWriter BeginRead(FileHandle file, long offset, int count)
    {
        WireWriter writer = Begin(FileOp.Read);
        writer.Handle(file);
        writer.U64((ulong)offset);
        writer.U32((uint)count);
        return writer;
    }

    private WireWriter BeginWrite(FileHandle file, long offset, ReadOnlySpan<byte> data)
    {
        WireWriter writer = Begin(FileOp.Write);
        writer.Handle(file);
        writer.U64((ulong)offset);
        writer.U8(0);
        writer.Bytes(data);
        return writer;
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
        int written = Execute(_operation.AsSpan(0, length), _result, readOnly);
        var status = (Errno)new WireReader(_result.AsSpan(0, written)).I32();
        if (status != Errno.Ok)
        {
            throw new BenchException($"the file service answered {status} to {(FileOp)new WireReader(_operation).U16()}");
        }
        _resultBytes = written - sizeof(int);
        return _resultBytes;
    }

    private FileAttributes Attributes(int length, int at) => new WireReader(_result.AsSpan(sizeof(int) + at, length - at)).Attributes();
}
