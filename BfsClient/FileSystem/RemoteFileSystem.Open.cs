using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

// Opening, creating and releasing; listings.
public sealed partial class RemoteFileSystem
{
    private const uint AccessRead = 4;
    private const uint AccessWrite = 2;
    private const int MinPageBytes = 4096;

    public ValueTask<Outcome<OpenFile>> OpenAsync(in Caller caller, FileHandle file, OpenMode mode)
    {
        // In use from now on, so that an unlink that overtakes us keeps the inode.
        OpenFile open = Use(caller, file, mode);
        return OpenedAsync(caller, open, (mode & OpenMode.Truncate) != 0
            ? TruncateAsync(caller, file)
            : (mode & OpenMode.WithContent) != 0 && (mode & OpenMode.Write) == 0 && MayKeepContent
                ? DrainThenFetchContentAsync(caller, open)
                : DrainThenFetchAsync(caller, open.Node));
    }

    public ValueTask<Outcome<OpenFile>> CreateAsync(in Caller caller, FileHandle parent, ReadOnlySpan<byte> name,
        uint mode, OpenMode openMode)
    {
        WireWriter writer = Begin(caller, FileOp.Create, out OpBuffer buffer);
        writer.Handle(parent);
        writer.Name(name);
        writer.U32(mode);
        writer.U8((byte)((openMode & OpenMode.Exclusive) != 0 ? 1 : 0));
        return CreatedAsync(caller, parent, buffer.Written(writer), openMode);
    }

    public OpenFile OpenDirectory(in Caller caller, FileHandle directory)
    {
        OpenFile open = Use(caller, directory, OpenMode.Read);
        open.Node.JustOpened = open;
        return open;
    }

    public void Release(OpenFile file)
    {
        file.Page = null;
        DropContent(file);
        DropOwn(file);
        _writes.Urge(file.Node);
        if (file.Node.JustOpened == file)
        {
            file.Node.JustOpened = null;
        }
        file.Node.OpenCount--;
        DropIfUnused(file.Node, file.Opener);
    }

    private OpenFile Use(in Caller caller, FileHandle file, OpenMode mode)
    {
        if (!_nodes.TryGetValue(file.Packed, out Node? node))
        {
            node = new Node(file);
            _nodes.Add(file.Packed, node);
        }
        node.OpenCount++;
        return new OpenFile(node, caller, _groups.Of(caller, _nowMicros()), mode);
    }

    private void DropIfUnused(Node node, in Caller caller)
    {
        if (!node.InUse && _nodes.Remove(node.Handle.Packed) && node.Orphaned)
        {
            ReleaseOrphan(node.Handle, caller);
        }
    }

    private ValueTask<Outcome<FileAttributes>> TruncateAsync(in Caller caller, FileHandle file) =>
        SetAttrAsync(caller, file, new AttributeChange(SetAttrMask.Size, 0, 0, 0, 0, 0, 0));

    private async ValueTask<Outcome<FileAttributes>> DrainThenFetchAsync(Caller caller, Node node)
    {
        await _writes.DrainAsync(node);
        return await FetchAttributesAsync(caller, node.Handle);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Outcome<OpenFile>> OpenedAsync(Caller caller, OpenFile open,
        ValueTask<Outcome<FileAttributes>> pending)
    {
        long askedMicros = _nowMicros();
        Outcome<FileAttributes> outcome = await pending;
        if (outcome.Failed)
        {
            Release(open);
            return outcome.Error;
        }
        open.Attributes = outcome.Value;
        KeepIfEmpty(open, outcome.Value, askedMicros);
        return open;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<Outcome<OpenFile>> CreatedAsync(Caller caller, FileHandle parent, OpBuffer buffer, OpenMode mode)
    {
        Asked asked = NamesChange(parent);
        InvokeResult result = await _invoker.InvokeAsync(buffer.Operation, readOnly: false, buffer.Body, caller.Call);
        WireReader reader = buffer.Result(result);
        bool existed = reader.U8() != 0;
        FileAttributes attributes = reader.Attributes();
        bool whole = NamesChanged(asked, parent, ref reader);
        _buffers.Push(buffer);
        if (result.Status != Errno.Ok || !whole)
        {
            return result.Status != Errno.Ok ? result.Status : Errno.EIO;
        }
        OpenFile open = Use(caller, attributes.Handle, mode);
        open.Attributes = open.Node.Learn(attributes, asked with { Epoch = _namesEpoch });
        if (existed)
        {
            return await OpenExistingAsync(caller, open);
        }
        KeepIfEmpty(open, open.Attributes, asked.Micros);
        return open;
    }

    /// <summary>Somebody else made the file in the meantime: then creating is opening, with the checks of opening.</summary>
    private async ValueTask<Outcome<OpenFile>> OpenExistingAsync(Caller caller, OpenFile open)
    {
        uint mask = (open.Mode & OpenMode.Write) != 0 ? AccessWrite : AccessRead;
        mask |= (open.Mode & OpenMode.ReadWrite) != 0 ? AccessRead | AccessWrite : 0;
        Errno error = await AccessAsync(caller, open.Handle, mask);
        if (error != Errno.Ok)
        {
            Release(open);
            return error;
        }
        return await OpenedAsync(caller, open, (open.Mode & OpenMode.Truncate) != 0
            ? TruncateAsync(caller, open.Handle)
            : DrainThenFetchAsync(caller, open.Node));
    }

    public ValueTask<Errno> ReadDirectoryAsync(OpenFile directory, ulong cookie, int wantedBytes, CallToken? call)
    {
        if (cookie == FileLimits.EndCookie)
        {
            directory.Page = null;
            return new(Errno.Ok);
        }
        directory.IsListed = true;
        DirectoryPage? page = directory.Page;
        bool goesOn = page is not null && page.Cookie == cookie && page.Position < page.Length && (cookie != 0 || page.IsAhead);
        if (goesOn && _nowMicros() - page!.Asked.Begun.Micros < _options.AttributeMicros && (page.Asked.Changes == _changes || NamesCount(page, directory)))
        {
            page.HasNamesOnly = page.Asked.Changes != _changes;
            page.IsAhead = false;
            return new(Errno.Ok);
        }
        // Who changes what is listed will do so again before the next part: then fetch no more than is wanted now.
        int bytes = goesOn && cookie != 0 ? Math.Clamp(wantedBytes, MinPageBytes, DirectoryPage.MaxBytes) : DirectoryPage.MaxBytes;
        return FetchPageAsync(directory, cookie, bytes, call);
    }

    /// <summary>
    /// Something was changed here since, but not the names in this directory. If they are few, who wants attributes may ask for them; to fetch
    /// the listing again takes everybody longer.
    /// </summary>
    private bool NamesCount(DirectoryPage page, OpenFile directory) => page.IsAhead && page.Length <= DirectoryPage.SmallBytes
        && _changedDirectories.LastChange(directory.Handle) <= page.Asked.Begun.Epoch;

    public bool TryPeekEntry(OpenFile directory, out DirectoryEntry entry)
    {
        DirectoryPage? page = directory.Page;
        if (page is null || page.Position >= page.Length)
        {
            entry = default;
            return false;
        }
        WireReader reader = new(page.Data.AsSpan(page.Position, page.Length - page.Position));
        ulong next = reader.U64();
        FileAttributes attributes = reader.Attributes();
        ReadOnlySpan<byte> name = reader.Name();
        if (!reader.Ok)
        {
            page.Position = page.Length;
            entry = default;
            return false;
        }
        bool settled = !page.HasNamesOnly;
        if (_nodes.TryGetValue(attributes.Handle.Packed, out Node? node))
        {
            settled &= node.Writes.IsEmpty;
            attributes = node.Newest(attributes);
        }
        entry = new DirectoryEntry(next, attributes, settled, name);
        return true;
    }

    public void NextEntry(OpenFile directory)
    {
        DirectoryPage page = directory.Page!;
        WireReader reader = new(page.Data.AsSpan(page.Position, page.Length - page.Position));
        page.Cookie = reader.U64();
        reader.Attributes();
        reader.Name();
        page.Position = page.Length - reader.Remaining;
    }

    /// <summary>Who asks for the attributes of a directory that was just opened is about to list it, as the C library's opendir.</summary>
    private bool IsAboutToList(in Caller caller, Node? node, [NotNullWhen(true)] out OpenFile? directory)
    {
        directory = node?.JustOpened;
        return MayKeepContent && directory is { IsListed: false } && directory.Opener == caller with { Call = null };
    }

    /// <summary>What comes with the beginning of the listing answers both.</summary>
    private async ValueTask<Outcome<FileAttributes>> AttributesWithListingAsync(Caller caller, OpenFile directory)
    {
        directory.Node.JustOpened = null;
        Errno error = await FetchPageAsync(directory, cookie: 0, DirectoryPage.MaxBytes, caller.Call);
        if (error == Errno.Ok && TryPeekEntry(directory, out DirectoryEntry first) && first.Attributes.Handle == directory.Handle)
        {
            directory.Page!.IsAhead = !directory.IsListed;
            return directory.Node.Learn(first.Attributes, directory.Page.Asked.Begun);
        }
        // Say, it may not be read.
        return await FetchAttributesAsync(caller, directory.Handle);
    }

    private async ValueTask<Errno> FetchPageAsync(OpenFile directory, ulong cookie, int maxBytes, CallToken? call)
    {
        DirectoryPage page = new(maxBytes) { Cookie = cookie, Asked = (Ask(), _changes) };
        WireWriter writer = Begin(directory.Opener, directory.Groups, FileOp.Readdir, out OpBuffer buffer);
        writer.Handle(directory.Handle);
        writer.U64(cookie);
        writer.U32((uint)page.Data.Length);
        InvokeResult result = await _invoker.InvokeAsync(buffer.Written(writer).Operation, readOnly: true, page.Data, call);
        _buffers.Push(buffer);
        page.Length = result.Status == Errno.Ok ? result.BodyBytes : 0;
        directory.Page = page;
        return result.Status;
    }
}
