using System.Runtime.InteropServices;
using BfsClient.FileSystem;
using BfsClient.Fuse;
using BfsCore.FileProtocol;
using static BfsTests.Fuse.TestKernel;

namespace BfsTests.Fuse;

/// <summary>
/// How many operations the system calls of programs cost, as docs/mount.md says: with the requests that the kernel makes of
/// them, over the real file service. An operation more is a round trip more for everybody.
/// </summary>
public sealed class RoundTripTests : IDisposable
{
    private const uint ReadWrite = 2;
    private const int Page = 4096;

    private readonly SnfsdDrive _drive = new(64 << 20);
    private readonly FileSystemFixture _fixture;
    private readonly TestKernel _kernel;

    public RoundTripTests()
    {
        // Without time: what waits for more to join it, or is known for a while, must not depend on how fast the test is.
        _fixture = new FileSystemFixture(service: _drive.As(0), clock: () => 0, timers: false);
        _kernel = new TestKernel(_fixture);
    }

    public void Dispose()
    {
        _fixture.Dispose();
        _drive.Dispose();
    }

    [Fact]
    public void ReadingASmallFileIsOneOperation()
    {
        FileHandle file = NewFile("a", 3 * Page);
        ulong handle = 0;
        Costs("", () => handle = Open(file, 0), FileOp.Open);
        Costs("", () => Assert.Equal(2 * Page, Read(file, handle, 0, 2 * Page)));
        Costs("", () => Assert.Equal(Page, Read(file, handle, 2 * Page, 2 * Page)));
        Costs("", () => Close(file, handle));
        Costs("the kernel has its pages", () => Close(file, Open(file, 0)), FileOp.GetAttr);
        Costs("a new name", () => Lookup("a"), FileOp.Lookup);
    }

    [Fact]
    public void ReadingAFileThatChangedIsOneOperationIfItsNameWasLookedUp()
    {
        FileHandle file = NewFile("a", 100);
        ulong handle = Open(file, 0);
        Read(file, handle, 0, Page);
        Close(file, handle);
        Change(file, 200);
        Costs("nobody told", () => handle = Open(file, 0), FileOp.GetAttr);
        Costs("nobody told", () => Assert.Equal(200, Read(file, handle, 0, Page)), FileOp.Read);
        Close(file, handle);
        Change(file, 300);
        Lookup("a");
        Costs("", () => handle = Open(file, 0), FileOp.Open);
        Costs("", () => Assert.Equal(300, Read(file, handle, 0, Page)));
    }

    [Fact]
    public void ReadingALargeFileIsOneOperationForItsAttributesAndOneForEachPiece()
    {
        FileHandle file = NewFile("a", 120 * 1024);
        ulong handle = 0;
        Costs("", () => handle = Open(file, 0), FileOp.Open);
        Costs("", () => Assert.Equal(120 * 1024, Read(file, handle, 0, 120 * 1024)), FileOp.Read, FileOp.Read);
        Costs("", () => Close(file, handle));
    }

    [Fact]
    public void MakingASmallFileIsThreeOperations()
    {
        Costs("the name", () => Lookup("a"), FileOp.Lookup);
        FuseEntryOut entry = default;
        ulong handle = 0;
        Costs("", () => (entry, handle) = Create("a"), FileOp.Create);
        var file = FileHandle.Unpack(entry.NodeId);
        Costs("the kernel asks before it makes the next one", () => Stat(FileHandle.Root));
        Costs("", () => { Write(file, handle, 0, 3000); Close(file, handle); }, FileOp.Write);
        Costs("what was written is read back", () => handle = Open(file, 0), FileOp.Open);
        Costs("", () => Assert.Equal(3000, Read(file, handle, 0, Page)));
    }

    [Fact]
    public void WritingAFileInPartsAndReadingThemIsOneOperation()
    {
        (FuseEntryOut entry, ulong handle) = Create("a");
        var file = FileHandle.Unpack(entry.NodeId);
        Costs("all of it is known", () =>
        {
            Write(file, handle, 5000, 400);
            Assert.Equal(5400, Size(file, handle));
            Assert.Equal(5400, Read(file, handle, 0, 2 * Page));
            Write(file, handle, 64, 2000);
            Write(file, handle, 2064, 100);
            Assert.Equal(5400, Size(file, handle));
            Assert.Equal(1304, Read(file, handle, Page, Page));
        });
        Costs("two stretches", () => Close(file, handle), FileOp.WriteParts);
    }

    [Fact]
    public void LinkingALargeProgramIsAnOperationForEachPieceOfIt()
    {
        (FuseEntryOut entry, ulong handle) = Create("a");
        var file = FileHandle.Unpack(entry.NodeId);
        const int half = 3 * FileLimits.MaxTransferBytes;
        Costs("two parts in turn, and all of it is known", () =>
        {
            for (int at = 0; at < half; at += Page)
            {
                Write(file, handle, half + at, Page);
                Write(file, handle, at, Page);
                Assert.Equal(half + at + Page - (at / 2), Read(file, handle, at / 2, 2 * half));
            }
        }, [.. Enumerable.Repeat(FileOp.Write, 2 * half / FileLimits.MaxTransferBytes)]);
        Costs("", () => Close(file, handle));
    }

    [Fact]
    public void RemovingAFileIsOneOperation()
    {
        FileHandle file = NewFile("a", 100);
        NewFile("b", 100);
        Costs("", () => _kernel.Ask(FuseOpcode.Unlink, 1, Name("b")), FileOp.Unlink);
        Costs("the kernel asks before it removes the next one", () => Stat(FileHandle.Root));
        ulong handle = Open(file, ReadWrite);
        Costs("", () => _kernel.Ask(FuseOpcode.Unlink, 1, Name("a")), FileOp.Unlink);
        Costs("nobody waits", () => Close(file, handle), FileOp.ReleaseOrphan);
    }

    [Fact]
    public void AskingForAttributesIsOneOperation()
    {
        FileHandle file = NewFile("a", 100);
        Costs("", () => Stat(file), FileOp.GetAttr);
        Open(file, 0);
        Costs("open files that were asked for lately", () => Stat(file));
    }

    [Fact]
    public void MakingAndRenamingAreOneOperation()
    {
        byte[] mode = Bytes(new FuseMkdirIn { Mode = 0x1FF });
        Costs("", () => Assert.Equal(0, _kernel.Ask(FuseOpcode.Mkdir, 1, mode, Name("d")).Error), FileOp.Mkdir);
        byte[] target = Bytes(new FuseRenameIn { NewDirectory = 1 });
        Costs("", () => Assert.Equal(0, _kernel.Ask(FuseOpcode.Rename, 1, target, Name("d"), Name("e")).Error), FileOp.Rename);
        Costs("the kernel asks before the next one", () => Stat(FileHandle.Root));
        Costs("", () => Assert.Equal(0, _kernel.Ask(FuseOpcode.Rmdir, 1, Name("e")).Error), FileOp.Rmdir);
    }

    [Fact]
    public void ListingADirectoryIsOneOperationForEachPieceOfIt()
    {
        for (int i = 0; i < 200; i++)
        {
            NewFile($"name-{i}", 0);
        }
        Costs("", () => Assert.Equal(202, List()), FileOp.Readdir);
        for (int i = 200; i < 800; i++)
        {
            NewFile($"name-{i}", 0);
        }
        Costs("", () => Assert.Equal(802, List()), FileOp.Readdir, FileOp.Readdir);
    }

    [Fact]
    public void ListingADirectoryOfWhichNothingIsKnownIsOneOperation() => Costs("", () => Assert.Equal(2, List()), FileOp.Readdir);

    private void Costs(string why, Action calls, params FileOp[] expected)
    {
        int before = _fixture.Invoker.Submitted.Count;
        calls();
        Assert.Equal((why, string.Join(' ', expected)),
            (why, string.Join(' ', _fixture.Invoker.Submitted.Skip(before).Select(o => o.Op))));
    }

    /// <summary>A file that the kernel knows nothing of yet.</summary>
    private FileHandle NewFile(string name, int bytes)
    {
        OpenFile file = _fixture.Create(name);
        if (bytes > 0)
        {
            _fixture.Wait(_fixture.Files.WriteAsync(file, 0, new byte[bytes], keepSetId: false));
            _fixture.Wait(_fixture.Files.FlushAsync(file));
        }
        _fixture.Files.Release(file);
        return file.Handle;
    }

    /// <summary>Somebody else changes a file.</summary>
    private void Change(FileHandle file, int bytes)
    {
        AttributeChange change = new(SetAttrMask.Size, 0, 0, 0, (ulong)bytes, 0, 0);
        Assert.False(_fixture.Wait(_fixture.Files.SetAttrAsync(FileSystemFixture.Root, file, change)).Failed);
    }

    private void Lookup(string name) => _kernel.Ask(FuseOpcode.Lookup, 1, Name(name));

    private void Stat(FileHandle file) => Assert.Equal(0, _kernel.Ask(FuseOpcode.GetAttr, file.Packed, new byte[16]).Error);

    /// <summary>As the kernel asks before it reads; nothing else of the answer counts, and that not for long.</summary>
    private int Size(FileHandle file, ulong handle)
    {
        FuseGetAttrIn get = new() { Flags = FuseConstants.GetAttrHasHandle, FileHandle = handle };
        FuseAttrOut reply = MemoryMarshal.Read<FuseAttrOut>(_kernel.Ask(FuseOpcode.GetAttr, file.Packed, Bytes(get)).Body);
        Assert.Equal((0ul, 0u), (reply.AttrValid, reply.AttrValidNanos));
        return (int)reply.Attr.Size;
    }

    private ulong Open(FileHandle file, uint flags)
    {
        (int error, byte[] body) = _kernel.Ask(FuseOpcode.Open, file.Packed, Bytes(new FuseOpenIn { Flags = flags }));
        Assert.Equal(0, error);
        return MemoryMarshal.Read<FuseOpenOut>(body).FileHandle;
    }

    private (FuseEntryOut Entry, ulong Handle) Create(string name)
    {
        byte[] body = _kernel.Ask(FuseOpcode.Create, 1, Bytes(new FuseCreateIn { Flags = ReadWrite, Mode = 0x81A4 }), Name(name)).Body;
        return (MemoryMarshal.Read<FuseEntryOut>(body), MemoryMarshal.Read<FuseOpenOut>(body.AsSpan(128)).FileHandle);
    }

    private int Read(FileHandle file, ulong handle, int offset, int count)
    {
        FuseReadIn read = new() { FileHandle = handle, Offset = (ulong)offset, Size = (uint)count };
        (int error, byte[] body) = _kernel.Ask(FuseOpcode.Read, file.Packed, Bytes(read));
        Assert.Equal(0, error);
        return body.Length;
    }

    private void Write(FileHandle file, ulong handle, int offset, int count)
    {
        FuseWriteIn write = new() { FileHandle = handle, Offset = (ulong)offset, Size = (uint)count };
        Assert.Equal(0, _kernel.Ask(FuseOpcode.Write, file.Packed, Bytes(write), new byte[count]).Error);
    }

    private void Close(FileHandle file, ulong handle)
    {
        Assert.Equal(0, _kernel.Ask(FuseOpcode.Flush, file.Packed, Bytes(new FuseFlushIn { FileHandle = handle })).Error);
        Assert.Equal(0, _kernel.Ask(FuseOpcode.Release, file.Packed, Bytes(new FuseReleaseIn { FileHandle = handle })).Error);
    }

    /// <summary>What ls does, with the C library's opendir: how many names.</summary>
    private int List()
    {
        byte[] opened = _kernel.Ask(FuseOpcode.OpenDir, 1, Bytes(new FuseOpenIn())).Body;
        Stat(FileHandle.Root);
        FuseReadIn read = new() { FileHandle = MemoryMarshal.Read<FuseOpenOut>(opened).FileHandle, Size = 1 << 16 };
        int names = 0;
        byte[] listing;
        while ((listing = _kernel.Ask(FuseOpcode.ReadDirPlus, 1, Bytes(read)).Body).Length > 0)
        {
            const int entryBytes = 128, direntBytes = 24;
            for (int at = 0; at < listing.Length; names++)
            {
                FuseDirent dirent = MemoryMarshal.Read<FuseDirent>(listing.AsSpan(at + entryBytes));
                read.Offset = dirent.Offset;
                at += entryBytes + FuseConstants.Align8(direntBytes + (int)dirent.NameLength);
            }
        }
        _kernel.Ask(FuseOpcode.ReleaseDir, 1, Bytes(new FuseReleaseIn { FileHandle = read.FileHandle }));
        return names;
    }
}
