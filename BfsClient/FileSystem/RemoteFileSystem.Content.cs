using System.Runtime.CompilerServices;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

// Contents of small files that come with their opening.
public sealed partial class RemoteFileSystem
{
    private readonly OpenContents _contents = new();

    /// <summary>What a mount that may never give out anything old must not do.</summary>
    private bool MayKeepContent => !_options.Strict && _options.AttributeMicros > 0;

    /// <summary>Attributes for an opening and, if the file is small and may be read, its content with them.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Outcome<FileAttributes>> DrainThenFetchContentAsync(Caller caller, OpenFile open)
    {
        Node node = open.Node;
        await _writes.DrainAsync(node);
        if (!_contents.TryRent(out OpenContent? content))
        {
            return await FetchAttributesAsync(caller, node.Handle);
        }
        WireWriter writer = Begin(caller, open.Groups, FileOp.Open, out OpBuffer buffer);
        writer.Handle(node.Handle);
        writer.U32(OpenContent.MaxBytes);
        Asked asked = Ask();
        long changes = node.Changes;
        InvokeResult result = await _invoker.InvokeAsync(buffer.Written(writer).Operation, readOnly: true, content.Body, caller.Call);
        _buffers.Push(buffer);
        WireReader reader = new(content.Body.Span[..result.BodyBytes]);
        FileAttributes attributes = reader.Attributes();
        bool whole = reader.Ok && (reader.Remaining == 0 || (ulong)reader.Remaining == attributes.SizeBytes);
        if (result.Status == Errno.Ok && whole && reader.Remaining > 0)
        {
            content.Keep(open, (int)attributes.SizeBytes, new Freshness(attributes, asked.Micros, changes));
        }
        else
        {
            _contents.Return(content);
        }
        if (result.Status != Errno.Ok || !whole)
        {
            return result.Status != Errno.Ok ? result.Status : Errno.EIO;
        }
        await _writes.DrainAsync(node);
        return node.Learn(attributes, asked);
    }

    /// <summary>Reads from what came with the opening, if that is still the file's content. Gives it back when it is of no more use.</summary>
    private bool TryReadContent(OpenFile file, ulong offset, Span<byte> destination, out int count)
    {
        count = 0;
        if (file.Content is not { } content)
        {
            return false;
        }
        bool valid = content.IsValid(_nowMicros(), _options.AttributeMicros);
        count = valid ? content.Read(offset, destination) : 0;
        if (!valid || content.IsDelivered)
        {
            _contents.Return(content);
        }
        return valid;
    }

    private void DropContent(OpenFile file)
    {
        if (file.Content is { } content)
        {
            _contents.Return(content);
        }
    }
}
