using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>A pooled buffer for one small operation and its result.</summary>
internal sealed class OpBuffer
{
    /// <summary>Caller with groups, three handles, two names, a symbolic link and the held handles, bytes.</summary>
    private const int OperationBytes = 6 * 1024;

    /// <summary>The longest small result is a symbolic link, bytes.</summary>
    private const int BodyBytes = FileLimits.MaxSymlinkBytes + 1;

    private readonly byte[] _data = new byte[OperationBytes + BodyBytes];
    private int _operationBytes;

    /// <summary>Where the operation is written.</summary>
    public Span<byte> Room => _data.AsSpan(0, OperationBytes);

    public ReadOnlyMemory<byte> Operation => _data.AsMemory(0, _operationBytes);

    /// <summary>Where the result's body goes.</summary>
    public Memory<byte> Body => _data.AsMemory(OperationBytes);

    /// <summary>The operation is complete.</summary>
    public OpBuffer Written(in WireWriter writer)
    {
        _operationBytes = writer.Length;
        return this;
    }

    public FileOp Op => (FileOp)_data[0];

    public WireReader Result(InvokeResult result) => new(_data.AsSpan(OperationBytes, result.BodyBytes));
}
