using System.Runtime.InteropServices;
using System.Text;
using BfsClient.Fuse;
using BfsCore.FileProtocol;
using static BfsTests.Fuse.TestKernel;

namespace BfsTests.Fuse;

/// <summary>Requests as the kernel encodes them, also short and senseless ones, and the replies to them.</summary>
public sealed class FuseSessionTests : IDisposable
{
    private const uint Changed = FuseConstants.OpenNoFlush;
    private const uint Unchanged = FuseConstants.OpenNoFlush | FuseConstants.OpenKeepCache;

    private readonly FileSystemFixture _fixture = new();
    private readonly HashSet<uint> _killed = [];
    private readonly List<Action> _later = [];
    private readonly TestKernel _kernel;

    public FuseSessionTests() => _kernel = new TestKernel(_fixture, isKilled: _killed.Contains, later: _later.Add);

    public void Dispose() => _fixture.Dispose();

    [Fact]
    public void InitAgreesOnWhatBothCan()
    {
        (_, byte[] body) = Ask(FuseOpcode.Init, 0, Bytes(new FuseInitIn { Major = 7, Minor = 45, MaxReadahead = 131072, Flags = 0xFFFFFFFF }), Bytes(0xFFFFFFFFu), new byte[44]);
        FuseInitOut init = MemoryMarshal.Read<FuseInitOut>(body);
        Assert.Equal((7u, 39u, 131072u, 1u << 20), (init.Major, init.Minor, init.MaxReadahead, init.MaxWrite));
        Assert.Equal((256, 64, 1u), (init.MaxPages, init.MaxBackground, init.TimeGranularity));
        ulong flags = init.Flags | ((ulong)init.Flags2 << 32);
        const ulong notDone = (1ul << 1) | (1ul << 4) | (1ul << 6) | (1ul << 10) | (1ul << 16) | (1ul << 20) | (1ul << 24) | (1ul << 31);
        Assert.Equal(0ul, flags & notDone);
        Assert.Equal((ulong)FuseInitFlags.DirectIoAllowMmap, flags & (ulong)FuseInitFlags.DirectIoAllowMmap);
    }

    [Fact]
    public void InitOfAnOlderKernelIsShorter()
    {
        (int error, byte[] body) = Ask(FuseOpcode.Init, 0, Bytes(new FuseInitIn { Major = 7, Minor = 31, Flags = 1 }));
        Assert.Equal(0, error);
        FuseInitOut init = MemoryMarshal.Read<FuseInitOut>(body);
        Assert.Equal((31u, 1u, 0u), (init.Minor, init.Flags, init.Flags2));
    }

    [Fact]
    public void CreateWriteReadRelease()
    {
        (_, byte[] created) = Ask(FuseOpcode.Create, 1, Bytes(new FuseCreateIn { Flags = 2, Mode = 0x81A4 }), Name("a"));
        FuseEntryOut entry = MemoryMarshal.Read<FuseEntryOut>(created);
        ulong handle = MemoryMarshal.Read<FuseOpenOut>(created.AsSpan(128)).FileHandle;
        Assert.Equal((7ul, 1ul, 2ul), (entry.Generation, entry.EntryValid, entry.Attr.Inode));
        Assert.Equal((7ul << 32) | 2, entry.NodeId);
        (_, byte[] written) = Ask(FuseOpcode.Write, entry.NodeId, Bytes(new FuseWriteIn { FileHandle = handle, Offset = 3, Size = 4 }), "data"u8.ToArray());
        Assert.Equal(4u, MemoryMarshal.Read<FuseWriteOut>(written).Size);
        Assert.Equal(0, Ask(FuseOpcode.Flush, entry.NodeId, Bytes(new FuseFlushIn { FileHandle = handle })).Error);
        (_, byte[] read) = Ask(FuseOpcode.Read, entry.NodeId, Bytes(new FuseReadIn { FileHandle = handle, Size = 100 }));
        Assert.Equal("\0\0\0data"u8.ToArray(), read);
        Assert.Equal(0, Ask(FuseOpcode.Release, entry.NodeId, Bytes(new FuseReleaseIn { FileHandle = handle })).Error);
        Assert.Equal(-9, Ask(FuseOpcode.Read, entry.NodeId, Bytes(new FuseReadIn { FileHandle = handle, Size = 100 })).Error);
        Assert.Equal(0, _fixture.Files.NodesInUse);
        // The kernel said nothing of killing setuid, so the bits are kept.
        Assert.Equal([(3ul, 4, (byte)2)], _fixture.Drive.Writes);
    }

    [Fact]
    public void PagesAndAttributesAreKeptOnlyIfNothingChanged()
    {
        FileHandle file = _fixture.Create("a").Handle;
        Assert.Equal(Changed, OpenAndRead(file, out bool invalidated));
        Assert.True(invalidated);
        Assert.Equal(Unchanged, OpenAndRead(file, out invalidated));
        Assert.False(invalidated);
        _fixture.Drive.ChangeElsewhere(file, [1, 2, 3]);
        Assert.Equal(Changed, OpenAndRead(file, out invalidated));
        Assert.True(invalidated);
        Assert.Equal(Unchanged, OpenAndRead(file, out _));
        Forget(file, 1);
        Assert.Equal(Changed, OpenAndRead(file, out _));
    }

    [Fact]
    public void PagesHoldOnlyWhenAReadShowsThatTheyWereDropped()
    {
        FileHandle file = _fixture.Create("a").Handle;
        ulong first = Open(file).FileHandle;
        ulong late = Open(file).FileHandle;
        Assert.Equal(Changed, Open(file).OpenFlags);
        Read(file, first);
        Assert.Equal(Unchanged, Open(file).OpenFlags);
        _fixture.Drive.ChangeElsewhere(file, [1]);
        ulong second = Open(file).FileHandle;
        Read(file, first);
        Assert.Equal(Changed, Open(file).OpenFlags);
        Read(file, second);
        Assert.Equal(Unchanged, Open(file).OpenFlags);
        Read(file, late);
        Assert.Equal(Unchanged, Open(file).OpenFlags);
    }

    [Fact]
    public void AttributesHoldIfTheKernelCanHaveNoOlderOnes()
    {
        FileHandle file = _fixture.Create("a").Handle;
        Ask(FuseOpcode.Lookup, 1, Name("a"));
        OpenAndRead(file, out bool invalidated);
        Assert.False(invalidated);
        // It may have asked for these before it took others, and then ignores them.
        _fixture.Drive.ChangeElsewhere(file, [1]);
        Ask(FuseOpcode.Lookup, 1, Name("a"));
        OpenAndRead(file, out invalidated);
        Assert.True(invalidated);
    }

    [Fact]
    public void WhatIsForgottenAsOftenAsItWasLookedUpIsGone()
    {
        FileHandle file = _fixture.Create("a").Handle;
        Ask(FuseOpcode.Lookup, 1, Name("a"));
        Ask(FuseOpcode.Lookup, 1, Name("a"));
        OpenAndRead(file, out _);
        Forget(file, 1);
        Assert.Equal(Unchanged, OpenAndRead(file, out _));
        Forget(file, 1);
        Assert.Equal(Changed, OpenAndRead(file, out _));
        Ask(FuseOpcode.Forget, file.Packed, new byte[7]);
        Assert.Equal(Unchanged, OpenAndRead(file, out _));
    }

    [Fact]
    public void ClosingAsksOnlyIfTheFileWasOpenedForWriting()
    {
        const uint writeOnly = 1, readWrite = 2;
        FileHandle file = _fixture.Create("a").Handle;
        Assert.Equal(FuseConstants.OpenNoFlush, Open(file).OpenFlags & FuseConstants.OpenNoFlush);
        Assert.Equal(0u, Open(file, writeOnly).OpenFlags & FuseConstants.OpenNoFlush);
        Assert.Equal(0u, Open(file, readWrite).OpenFlags & FuseConstants.OpenNoFlush);
    }

    [Fact]
    public void ContentIsAskedForOnlyIfTheKernelHasNoneAndReadsThroughItsPages()
    {
        const uint directX86 = 0x4000, directArm = 0x10000;
        FileHandle file = _fixture.Create("a").Handle;
        OpenAndRead(file, out _, directX86);
        Forget(file, 1);
        OpenAndRead(file, out _, directArm);
        Forget(file, 1);
        Assert.DoesNotContain(FileOp.Open, _fixture.Drive.Log);
        OpenAndRead(file, out _);
        OpenAndRead(file, out _);
        Assert.Single(_fixture.Drive.Log, FileOp.Open);
        Forget(file, 1);
        OpenAndRead(file, out _);
        Assert.Equal(2, _fixture.Drive.Log.Count(o => o == FileOp.Open));
    }

    [Fact]
    public void StrictFilesBypassThePageCache()
    {
        TestKernel strict = new(_fixture, strict: true);
        FileHandle file = _fixture.Create("a").Handle;
        (_, byte[] opened) = strict.Ask(FuseOpcode.Open, file.Packed, Bytes(new FuseOpenIn()));
        Assert.Equal(FuseConstants.OpenDirectIo | FuseConstants.OpenNoFlush, MemoryMarshal.Read<FuseOpenOut>(opened).OpenFlags);
    }

    [Fact]
    public void ListingWithAttributes()
    {
        _fixture.Create("a");
        ulong handle = MemoryMarshal.Read<FuseOpenOut>(Ask(FuseOpcode.OpenDir, 1, Bytes(new FuseOpenIn())).Body).FileHandle;
        (_, byte[] listing) = Ask(FuseOpcode.ReadDirPlus, 1, Bytes(new FuseReadIn { FileHandle = handle, Size = 4096 }));
        Assert.Equal(3 * 160, listing.Length);
        Assert.Equal(0ul, MemoryMarshal.Read<FuseEntryOut>(listing).NodeId);
        Assert.Equal((7ul << 32) | 2, MemoryMarshal.Read<FuseEntryOut>(listing.AsSpan(320)).NodeId);
        FuseDirent dirent = MemoryMarshal.Read<FuseDirent>(listing.AsSpan(320 + 128));
        Assert.Equal((2ul, FileLimits.EndCookie, 1u, 8u), (dirent.Inode, dirent.Offset, dirent.NameLength, dirent.Type));
        // What does not fit comes with the next request.
        (_, byte[] first) = Ask(FuseOpcode.ReadDir, 1, Bytes(new FuseReadIn { FileHandle = handle, Size = 70 }));
        Assert.Equal(64, first.Length);
        (_, byte[] second) = Ask(FuseOpcode.ReadDir, 1, Bytes(new FuseReadIn { FileHandle = handle, Size = 70, Offset = 2 }));
        Assert.Equal("a", Encoding.UTF8.GetString(second.AsSpan(24, 1)));
        Assert.Empty(Ask(FuseOpcode.ReadDir, 1, Bytes(new FuseReadIn { FileHandle = handle, Size = 70, Offset = 3 })).Body);
    }

    [Fact]
    public void NamesOfMoreThan255BytesAreTooLong()
    {
        Assert.Equal(-2, Ask(FuseOpcode.Lookup, 1, Name(new string('x', 255))).Error);
        Assert.Equal(-36, Ask(FuseOpcode.Lookup, 1, Name(new string('x', 256))).Error);
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    [InlineData(31)]
    [InlineData(43)]
    [InlineData(46)]
    [InlineData(47)]
    [InlineData(9999)]
    public void WhatIsNotDoneIsEnosys(uint opcode) => Assert.Equal(-38, Ask((FuseOpcode)opcode, 1, new byte[64]).Error);

    [Fact]
    public void EveryRequestCutShortGetsAnErrorOrNothing()
    {
        FuseOpcode[] withBody =
        [
            FuseOpcode.Lookup, FuseOpcode.SetAttr, FuseOpcode.Symlink, FuseOpcode.Mknod, FuseOpcode.Mkdir, FuseOpcode.Unlink,
            FuseOpcode.Rmdir, FuseOpcode.Rename, FuseOpcode.Link, FuseOpcode.Open, FuseOpcode.Read, FuseOpcode.Write,
            FuseOpcode.Release, FuseOpcode.Fsync, FuseOpcode.Flush, FuseOpcode.Init, FuseOpcode.OpenDir, FuseOpcode.ReadDir,
            FuseOpcode.ReleaseDir, FuseOpcode.FsyncDir, FuseOpcode.Access, FuseOpcode.Create, FuseOpcode.ReadDirPlus,
            FuseOpcode.Rename2,
        ];
        Assert.All(withBody, opcode => Assert.Equal(-22, Ask(opcode, 1, [1, 2, 3]).Error));
        Assert.Equal(0, _kernel.Session.ActiveRequests);
        Receive([]);
        Receive(new byte[39]);
        byte[] wrongLength = Message(FuseOpcode.GetAttr, 1, 500, new byte[16]);
        wrongLength[0]++;
        Receive(wrongLength);
        Ask(FuseOpcode.BatchForget, 1, Bytes(new FuseBatchForgetIn { Count = uint.MaxValue }), new byte[20]);
        Ask(FuseOpcode.Interrupt, 1, [1]);
        Ask(FuseOpcode.Interrupt, 1, Bytes(12345ul));
        Assert.Equal(0, _kernel.Session.ActiveRequests);
    }

    [Fact]
    public void RandomBytesHarmNothing()
    {
        Random random = new(3);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] body = new byte[random.Next(120)];
            random.NextBytes(body);
            if (random.Next(2) == 0)
            {
                Array.Clear(body, 0, body.Length / 2);
            }
            Receive(Message((FuseOpcode)random.Next(55), (ulong)random.Next(4), (ulong)(i + 10), body));
            if (i % 64 == 0)
            {
                _kernel.Settle();
            }
        }
        _kernel.Settle();
        Assert.Equal(0, _kernel.Session.ActiveRequests);
        Assert.Equal(0, Ask(FuseOpcode.GetAttr, 1, new byte[16]).Error);
    }

    [Fact]
    public void InterruptEndsWhatWaitsForASlot()
    {
        _fixture.Invoker.Held = true;
        for (ulong i = 0; i < 65; i++)
        {
            Receive(Message(FuseOpcode.GetAttr, 1, 100 + i, new byte[16]));
        }
        Receive(Message(FuseOpcode.Interrupt, 0, 1, Bytes(100ul)));
        Assert.Empty(_kernel.Sent);
        Receive(Message(FuseOpcode.Interrupt, 0, 1, Bytes(164ul)));
        FuseOutHeader reply = MemoryMarshal.Read<FuseOutHeader>(Assert.Single(_kernel.Sent));
        Assert.Equal((164ul, -4), (reply.Unique, reply.Error));
        _fixture.Invoker.ExecuteAll();
        Assert.Equal(65, _kernel.Sent.Count);
    }

    [Fact]
    public void KilledCallersDoNotWaitForTheReplicas()
    {
        FileHandle file = _fixture.Create("a").Handle;
        _fixture.Invoker.Held = true;
        Receive(Message(FuseOpcode.Open, file.Packed, 100, Bytes(new FuseOpenIn()), pid: 55));
        Receive(Message(FuseOpcode.Lookup, 1, 102, Name("a"), pid: 66));
        Receive(Message(FuseOpcode.Interrupt, 0, 1, Bytes(100ul)));
        Receive(Message(FuseOpcode.Interrupt, 0, 1, Bytes(102ul)));
        Assert.Empty(_kernel.Sent);
        _killed.Add(55);
        Assert.Single(_later)();
        FuseOutHeader reply = MemoryMarshal.Read<FuseOutHeader>(Assert.Single(_kernel.Sent));
        Assert.Equal((100ul, -4), (reply.Unique, reply.Error));
        _fixture.Invoker.ExecuteAll();
        Assert.Equal([100ul, 102ul], _kernel.Sent.Select(m => MemoryMarshal.Read<FuseOutHeader>(m).Unique));
        Assert.Equal(0, _kernel.Session.ActiveRequests);
        // The file that was opened in vain is closed; the one that created it is still open.
        Assert.Equal(1, _fixture.Files.NodesInUse);
    }

    [Fact]
    public void TimesBefore1970AndBeyondTheRange()
    {
        FileHandle file = _fixture.Create("a").Handle;
        FuseSetAttrIn set = new() { Valid = FuseAttrValid.Mtime, Mtime = unchecked((ulong)-2), MtimeNanos = 500 };
        Assert.Equal(0, Ask(FuseOpcode.SetAttr, file.Packed, Bytes(set)).Error);
        set.Mtime = ulong.MaxValue / 2;
        Assert.Equal(0, Ask(FuseOpcode.SetAttr, file.Packed, Bytes(set)).Error);
    }

    private FuseOpenOut Open(FileHandle file, uint flags = 0) =>
        MemoryMarshal.Read<FuseOpenOut>(Ask(FuseOpcode.Open, file.Packed, Bytes(new FuseOpenIn { Flags = flags })).Body);

    private void Read(FileHandle file, ulong handle) =>
        Ask(FuseOpcode.Read, file.Packed, Bytes(new FuseReadIn { FileHandle = handle, Size = 4096 }));

    /// <summary>Opens, reads and closes; returns the flags of the opening.</summary>
    private uint OpenAndRead(FileHandle file, out bool invalidated, uint flags = 0)
    {
        int before = _kernel.Sent.Count(TestKernel.IsNotification);
        FuseOpenOut reply = Open(file, flags);
        invalidated = _kernel.Sent.Count(TestKernel.IsNotification) > before;
        Read(file, reply.FileHandle);
        Ask(FuseOpcode.Release, file.Packed, Bytes(new FuseReleaseIn { FileHandle = reply.FileHandle }));
        return reply.OpenFlags;
    }

    private void Forget(FileHandle file, ulong lookups) => Ask(FuseOpcode.Forget, file.Packed, Bytes(lookups));

    private (int Error, byte[] Body) Ask(FuseOpcode opcode, ulong node, params byte[][] parts) =>
        _kernel.Ask(opcode, node, parts);

    private void Receive(byte[] message) => _kernel.Receive(message);
}
