using BfsClient.FileSystem;
using BfsCore.FileProtocol;
using Attributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Fuse;

/// <summary>The relay's half of the file protocol: pieces, write-behind, errors, files held open (§6.2).</summary>
public class RemoteFileSystemTests
{
    private const int Piece = FileLimits.MaxTransferBytes;

    [Fact]
    public void LargeReadsAreSplitAndUnderWayTogether()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        byte[] data = Pattern((1 << 20) + 5000);
        fixture.Drive.ChangeElsewhere(file.Handle, data);
        byte[] read = new byte[1 << 20];
        Outcome<int> outcome = fixture.Wait(fixture.Files.ReadAsync(file, 4096, read, null));
        Assert.Equal((Errno.Ok, read.Length), (outcome.Error, outcome.Value));
        Assert.Equal(data.AsSpan(4096, read.Length).ToArray(), read);
        Assert.Equal(18, fixture.Invoker.MostBusy);
    }

    [Fact]
    public void ReadsEndWhereTheFileEnds()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        byte[] data = Pattern((2 * Piece) + 100);
        fixture.Drive.ChangeElsewhere(file.Handle, data);
        byte[] read = new byte[10 * Piece];
        Assert.Equal(data.Length, fixture.Wait(fixture.Files.ReadAsync(file, 0, read, null)).Value);
        Assert.Equal(0, fixture.Wait(fixture.Files.ReadAsync(file, (ulong)data.Length, read, null)).Value);
    }

    [Fact]
    public void WritesAreAcknowledgedBeforeTheyAreExecutedAndFlushedByClose()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        fixture.Invoker.Held = true;
        ValueTask<Errno> written = fixture.Files.WriteAsync(file, 0, Pattern(100), true);
        Assert.True(written.IsCompleted);
        Task<Errno> flushed = fixture.Files.FlushAsync(file).AsTask();
        Assert.False(flushed.IsCompleted);
        fixture.Invoker.ExecuteAll();
        Assert.Equal(Errno.Ok, fixture.Wait(flushed));
        Assert.Equal(Pattern(100), fixture.Drive[file.Handle].Data);
        Assert.Equal(0, fixture.Files.UnwrittenBytes);
    }

    [Theory]
    [InlineData(4096, new[] { 15 * 4096, 15 * 4096, 10 * 4096 })]
    [InlineData(1024, new[] { 1024, (15 * 4096) - 1024, 15 * 4096, 10 * 4096 })]
    public void SmallWritesGather(int bytes, int[] sent)
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        byte[] data = Pattern(40 * 4096);
        for (int at = 0; at < data.Length; at += bytes)
        {
            Assert.True(fixture.Files.WriteAsync(file, (ulong)at, data.AsSpan(at, bytes), true).IsCompleted);
        }
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(file)));
        Assert.Equal(data, fixture.Drive[file.Handle].Data);
        // What ends within a page goes at once if nothing is under way; the others fill frames of 15 pages.
        Assert.Equal(sent, fixture.Drive.Writes.Select(w => w.Length));
    }

    [Fact]
    public void WhatWaitsForMoreIsSentSoon()
    {
        using FileSystemFixture fixture = new();
        OpenFile[] files = [fixture.Create("a"), fixture.Create("b")];
        foreach (OpenFile file in files)
        {
            _ = fixture.Files.WriteAsync(file, 0, Filled(8192, 1), true);
        }
        Assert.Empty(fixture.Drive.Writes);
        while (fixture.Files.UnwrittenBytes > 0)
        {
            fixture.Loop.RunOnce();
        }
        Assert.Equal([8192, 8192], fixture.Drive.Writes.Select(w => w.Length));
    }

    [Fact]
    public void OverlappingWritesAreNeverUnderWayTogether()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        fixture.Invoker.Held = true;
        _ = fixture.Files.WriteAsync(file, 0, Filled(8190, 1), true);
        _ = fixture.Files.WriteAsync(file, 4096, Filled(8192, 2), true);
        Task<Errno> flushed = fixture.Files.FlushAsync(file).AsTask();
        Assert.Single(fixture.Invoker.Pending);
        fixture.Invoker.Execute(0);
        Assert.Single(fixture.Invoker.Pending);
        fixture.Invoker.Execute(0);
        fixture.Wait(flushed);
        Assert.Equal([.. Filled(4096, 1), .. Filled(8192, 2)], fixture.Drive[file.Handle].Data);
    }

    [Fact]
    public void RandomOverlappingWritesEndAsIfExecutedInOrder()
    {
        Random random = new(7);
        for (int round = 0; round < 20; round++)
        {
            using FileSystemFixture fixture = new(slots: 4);
            OpenFile file = fixture.Create("a");
            fixture.Invoker.Held = true;
            byte[] expected = [];
            for (int i = 0; i < 60; i++)
            {
                int offset = random.Next(3 * Piece);
                byte[] data = Filled(random.Next(1, Piece + 5000), (byte)i);
                if (expected.Length < offset + data.Length)
                {
                    Array.Resize(ref expected, offset + data.Length);
                }
                data.CopyTo(expected, offset);
                _ = fixture.Files.WriteAsync(file, (ulong)offset, data, true);
                if (random.Next(3) == 0 && fixture.Invoker.Pending.Count > 0)
                {
                    fixture.Invoker.Execute(random.Next(fixture.Invoker.Pending.Count));
                }
            }
            Task<Errno> flushed = fixture.Files.FlushAsync(file).AsTask();
            while (fixture.Invoker.Pending.Count > 0)
            {
                fixture.Invoker.Execute(random.Next(fixture.Invoker.Pending.Count));
            }
            Assert.Equal(Errno.Ok, fixture.Wait(flushed));
            Assert.Equal(expected, fixture.Drive[file.Handle].Data);
        }
    }

    [Fact]
    public void ErrorsOfWriteBehindAreReportedOnceToEachOpenFile()
    {
        using FileSystemFixture fixture = new();
        OpenFile first = fixture.Create("a");
        OpenFile second = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, first.Handle, OpenMode.ReadWrite)).Value;
        fixture.Drive.WriteErrors.Enqueue(Errno.ENOSPC);
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.WriteAsync(first, 0, Pattern(10), true)));
        Assert.Equal(Errno.ENOSPC, fixture.Wait(fixture.Files.FlushAsync(first)));
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(first)));
        Assert.Equal(Errno.ENOSPC, fixture.Wait(fixture.Files.FsyncAsync(second)));
        OpenFile third = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, first.Handle, OpenMode.ReadWrite)).Value;
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(third)));
    }

    [Fact]
    public void AfterAnErrorWritersLearnAtOnce()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        fixture.Drive.WriteErrors.Enqueue(Errno.ENOSPC);
        fixture.Drive.WriteErrors.Enqueue(Errno.ENOSPC);
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.WriteAsync(file, 0, Pattern(10), true)));
        while (fixture.Files.UnwrittenBytes > 0)
        {
            fixture.Loop.RunOnce();
        }
        Assert.Equal(Errno.ENOSPC, fixture.Wait(fixture.Files.WriteAsync(file, 10, Pattern(10), true)));
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.WriteAsync(file, 20, Pattern(10), true)));
        Assert.Equal(Errno.ENOSPC, fixture.Wait(fixture.Files.FlushAsync(file)));
    }

    /// <summary>While one write is under way, others wait: they go together as far as one operation holds them.</summary>
    [Theory]
    [InlineData(1, 100, new[] { 1 })]
    [InlineData(FileLimits.MaxParts, 100, new[] { FileLimits.MaxParts })]
    [InlineData(FileLimits.MaxParts + 1, 100, new[] { FileLimits.MaxParts, 1 })]
    [InlineData(20, 4096, new[] { 15, 5 })]
    [InlineData(3, 40_000, new[] { 1, 1, 1 })]
    public void WritesToManyPlacesGoTogether(int places, int bytes, int[] partsOfOperations)
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        byte[] expected = new byte[((places - 1) * 2 * Piece) + bytes];
        fixture.Drive.Log.Clear();
        _ = fixture.Files.WriteAsync(file, 0, [1], true);
        for (int i = 0; i < places; i++)
        {
            byte[] data = Filled(bytes, (byte)(i + 2));
            data.CopyTo(expected, i * 2 * Piece);
            _ = fixture.Files.WriteAsync(file, (ulong)(i * 2 * Piece), data, true);
        }
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(file)));
        Assert.Equal(expected, fixture.Drive[file.Handle].Data);
        Assert.Equal([FileOp.Write, .. partsOfOperations.Select(parts => parts == 1 ? FileOp.Write : FileOp.WriteParts)], fixture.Drive.Log);
        Assert.Equal(1 + places, fixture.Drive.Writes.Count);
    }

    /// <summary>Each writes with the rights that it opened the file with.</summary>
    [Fact]
    public void WritesOfTwoOpenersGoApart()
    {
        using FileSystemFixture fixture = new();
        OpenFile[] openers = [fixture.Create("a"),
            fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, fixture.Create("a").Handle, OpenMode.ReadWrite)).Value];
        fixture.Drive.Log.Clear();
        fixture.Invoker.Held = true;
        _ = fixture.Files.WriteAsync(openers[0], 0, [1], true);
        for (int i = 1; i < 5; i++)
        {
            _ = fixture.Files.WriteAsync(openers[i / 3], (ulong)i * Piece, [2], true);
        }
        Task<Errno> flushed = fixture.Files.FlushAsync(openers[0]).AsTask();
        fixture.Invoker.ExecuteAll();
        Assert.Equal(Errno.Ok, fixture.Wait(flushed));
        Assert.Equal([FileOp.Write, FileOp.WriteParts, FileOp.WriteParts], fixture.Drive.Log);
    }

    [Fact]
    public void WhatWaitedForAnOperationIsSentSoonAfterIt()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        _ = fixture.Files.WriteAsync(file, 0, [1], true);
        _ = fixture.Files.WriteAsync(file, Piece, Filled(4096, 2), true);
        _ = fixture.Files.WriteAsync(file, 3 * Piece, Filled(4096, 3), true);
        bool ended = false;
        fixture.Loop.AddTimer(TimeSpan.FromSeconds(20), () => ended = true);
        while (!ended && fixture.Files.UnwrittenBytes > 0)
        {
            fixture.Loop.RunOnce();
        }
        Assert.Equal([1, 4096, 4096], fixture.Drive.Writes.Select(w => w.Length));
    }

    [Fact]
    public void OutstandingDataIsBounded()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        fixture.Invoker.Held = true;
        byte[] megabyte = Pattern(1 << 20);
        List<Task<Errno>> writes = [];
        for (int i = 0; i < 18; i++)
        {
            writes.Add(fixture.Files.WriteAsync(file, (ulong)i << 20, megabyte, true).AsTask());
        }
        Assert.Equal(16, writes.Count(w => w.IsCompleted));
        while (fixture.Invoker.Pending.Count > 0)
        {
            fixture.Invoker.Execute(0);
        }
        Assert.All(writes, w => Assert.True(w.IsCompleted));
    }

    [Fact]
    public void AttributesAndDataCoverWritesUnderWay()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        _ = fixture.Files.WriteAsync(file, 0, Pattern(5000), true);
        Assert.Equal(5000ul, fixture.Wait(fixture.Files.LookupAsync(FileSystemFixture.Root, FileHandle.Root, "a"u8)).Value.SizeBytes);
        _ = fixture.Files.WriteAsync(file, 5000, Pattern(1000), true);
        Assert.Equal(6000ul, fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, file.Handle)).Value.SizeBytes);
        _ = fixture.Files.WriteAsync(file, 6000, Pattern(1000), true);
        Assert.Equal(7000, fixture.Wait(fixture.Files.ReadAsync(file, 0, new byte[8000], null)).Value);
        _ = fixture.Files.WriteAsync(file, 7000, Pattern(1000), true);
        AttributeChange cut = new(SetAttrMask.Size, 0, 0, 0, 10, 0, 0);
        Assert.Equal(10ul, fixture.Wait(fixture.Files.SetAttrAsync(FileSystemFixture.Root, file.Handle, cut)).Value.SizeBytes);
        Assert.Equal(Pattern(10), fixture.Drive[file.Handle].Data);
    }

    [Fact]
    public void ListingsLeaveOutAttributesOfFilesUnderWay()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        fixture.Create("b");
        OpenFile root = fixture.Files.OpenDirectory(FileSystemFixture.Root, FileHandle.Root);
        _ = fixture.Files.WriteAsync(file, 0, Pattern(10), true);
        fixture.Invoker.Held = true;
        _ = fixture.Files.WriteAsync(file, 100, Pattern(10), true);
        fixture.Invoker.Held = false;
        _ = fixture.Wait(fixture.Files.ReadDirectoryAsync(root, 0, 4096, null));
        Dictionary<string, bool> settled = [];
        while (fixture.Files.TryPeekEntry(root, out DirectoryEntry entry))
        {
            settled[System.Text.Encoding.UTF8.GetString(entry.Name)] = entry.Settled;
            fixture.Files.NextEntry(root);
        }
        Assert.Equal([".", "..", "a", "b"], settled.Keys);
        Assert.True(settled["b"]);
    }

    [Fact]
    public void ListingsGoOnFromAnyCookie()
    {
        using FileSystemFixture fixture = new();
        for (int i = 0; i < 1500; i++)
        {
            fixture.Create($"file-{i:D4}");
        }
        OpenFile root = fixture.Files.OpenDirectory(FileSystemFixture.Root, FileHandle.Root);
        int before = fixture.Drive.Log.Count(o => o == FileOp.Readdir);
        ulong cookie = 0;
        int count = 0;
        while (true)
        {
            Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.ReadDirectoryAsync(root, cookie, 4096, null)));
            int taken = 0;
            for (; taken < 20 && fixture.Files.TryPeekEntry(root, out DirectoryEntry entry); taken++)
            {
                cookie = entry.NextCookie;
                fixture.Files.NextEntry(root);
            }
            count += taken;
            if (taken == 0)
            {
                break;
            }
        }
        Assert.Equal(1502, count);
        // 60 KiB hold some 530 entries, and the last one says that it is the last.
        Assert.Equal(3, fixture.Drive.Log.Count(o => o == FileOp.Readdir) - before);
        fixture.Wait(fixture.Files.ReadDirectoryAsync(root, 700, 4096, null));
        Assert.True(fixture.Files.TryPeekEntry(root, out DirectoryEntry middle));
        Assert.Equal("file-0698", System.Text.Encoding.UTF8.GetString(middle.Name));
    }

    [Fact]
    public void ListingsNeverBringBackWhatWasChangedHere()
    {
        using FileSystemFixture fixture = new();
        for (int i = 0; i < 10; i++)
        {
            fixture.Files.Release(fixture.Create($"f{i}"));
        }
        OpenFile root = fixture.Files.OpenDirectory(FileSystemFixture.Root, FileHandle.Root);
        fixture.Wait(fixture.Files.ReadDirectoryAsync(root, 0, 4096, null));
        for (int i = 0; i < 4; i++)
        {
            fixture.Files.NextEntry(root);
        }
        FileHandle last = fixture.Wait(fixture.Files.LookupAsync(FileSystemFixture.Root, FileHandle.Root, "f9"u8)).Value.Handle;
        AttributeChange change = new(SetAttrMask.Mode, 0x1C0, 0, 0, 0, 0, 0);
        fixture.Wait(fixture.Files.SetAttrAsync(FileSystemFixture.Root, last, change));
        fixture.Wait(fixture.Files.ReadDirectoryAsync(root, 4, 4096, null));
        uint mode = 0;
        int count = 0;
        for (; fixture.Files.TryPeekEntry(root, out DirectoryEntry entry); count++)
        {
            mode = entry.Attributes.Mode;
            fixture.Files.NextEntry(root);
        }
        Assert.Equal((8, 0x81C0u), (count, mode));
    }

    [Fact]
    public void AttributesOfAnOpenDirectoryFollowItsNames()
    {
        using FileSystemFixture fixture = new();
        fixture.Files.OpenDirectory(FileSystemFixture.Root, FileHandle.Root);
        long before = fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, FileHandle.Root)).Value.CtimeNanos;
        fixture.Create("a");
        long after = fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, FileHandle.Root)).Value.CtimeNanos;
        Assert.True(after > before);
    }

    [Fact]
    public void UnlinkedFilesLiveUntilTheLastClose()
    {
        using FileSystemFixture fixture = new();
        OpenFile first = fixture.Create("a");
        OpenFile second = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, first.Handle, OpenMode.Read)).Value;
        _ = fixture.Files.WriteAsync(first, 0, Pattern(10), true);
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.UnlinkAsync(FileSystemFixture.Root, FileHandle.Root, "a"u8)));
        fixture.Files.Release(first);
        Assert.Equal(10, fixture.Wait(fixture.Files.ReadAsync(second, 0, new byte[100], null)).Value);
        Assert.Empty(fixture.Drive.Released);
        fixture.Files.Release(second);
        Settle(fixture);
        Assert.Equal([first.Handle], fixture.Drive.Released);
        Assert.Equal(0, fixture.Files.NodesInUse);
    }

    [Fact]
    public void WithManyFilesOpenEverythingIsHeldAndReleasedAtOnce()
    {
        using FileSystemFixture fixture = new();
        for (int i = 0; i < FileLimits.MaxHeldHandles + 1; i++)
        {
            fixture.Create($"open-{i}");
        }
        OpenFile closed = fixture.Create("closed");
        fixture.Files.Release(closed);
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.UnlinkAsync(FileSystemFixture.Root, FileHandle.Root, "closed"u8)));
        Settle(fixture);
        Assert.Equal([closed.Handle], fixture.Drive.Released);
    }

    [Fact]
    public void AnOpenThatAnUnlinkOvertakesKeepsTheFile()
    {
        using FileSystemFixture fixture = new();
        OpenFile created = fixture.Create("a");
        FileHandle handle = created.Handle;
        fixture.Files.Release(created);
        fixture.Invoker.Held = true;
        Task<Outcome<OpenFile>> opened = fixture.Files.OpenAsync(FileSystemFixture.Root, handle, OpenMode.Read).AsTask();
        Task<Errno> unlinked = fixture.Files.UnlinkAsync(FileSystemFixture.Root, FileHandle.Root, "a"u8).AsTask();
        fixture.Invoker.Execute(1);
        fixture.Invoker.Execute(0);
        Assert.Equal((Errno.Ok, Errno.Ok), (fixture.Wait(unlinked), fixture.Wait(opened).Error));
    }

    [Fact]
    public void OpenAsksTheReplicasAndStatAfterItDoesNot()
    {
        using FileSystemFixture fixture = new();
        OpenFile created = fixture.Create("a");
        fixture.Drive.ChangeElsewhere(created.Handle, Pattern(77));
        OpenFile opened = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, created.Handle, OpenMode.Read)).Value;
        Assert.Equal(77ul, opened.Attributes.SizeBytes);
        int asked = fixture.Drive.Log.Count;
        Assert.Equal(77ul, fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, created.Handle)).Value.SizeBytes);
        Assert.Equal(asked, fixture.Drive.Log.Count);
        // A name operation of ours may have changed the inode: ask again.
        fixture.Wait(fixture.Files.RenameAsync(FileSystemFixture.Root, FileHandle.Root, "a"u8, FileHandle.Root, "b"u8, RenameFlags.None));
        fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, created.Handle));
        Assert.Equal(FileOp.GetAttr, fixture.Drive.Log[^1]);
    }

    [Fact]
    public void StrictWritesWaitAndAppendAtTheRealEnd()
    {
        using FileSystemFixture fixture = new(strict: true, attributeMicros: 0);
        OpenFile file = fixture.Create("a", OpenMode.Write | OpenMode.Append);
        fixture.Drive.ChangeElsewhere(file.Handle, Pattern(100));
        ValueTask<Errno> written = fixture.Files.WriteAsync(file, 0, Filled(10, 9), true);
        Assert.False(written.IsCompleted);
        Assert.Equal(Errno.Ok, fixture.Wait(written));
        Assert.Equal([(100ul, 10, (byte)3)], fixture.Drive.Writes);
        fixture.Drive.WriteErrors.Enqueue(Errno.EDQUOT);
        Assert.Equal(Errno.EDQUOT, fixture.Wait(fixture.Files.WriteAsync(file, 0, Filled(10, 9), true)));
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(file)));
    }

    [Fact]
    public void QueuedCallsAreInterruptedAndSubmittedOnesAreNot()
    {
        using FileSystemFixture fixture = new(slots: 1);
        fixture.Invoker.Held = true;
        CallToken first = new();
        CallToken second = new();
        Task<Outcome<Attributes>> submitted = fixture.Files.GetAttrAsync(FileSystemFixture.Root with { Call = first }, FileHandle.Root).AsTask();
        Task<Outcome<Attributes>> queued = fixture.Files.GetAttrAsync(FileSystemFixture.Root with { Call = second }, FileHandle.Root).AsTask();
        fixture.Files.Interrupt(first);
        fixture.Files.Interrupt(second);
        Assert.False(submitted.IsCompleted);
        Assert.Equal(Errno.EINTR, fixture.Wait(queued).Error);
        fixture.Invoker.ExecuteAll();
        Assert.Equal(Errno.Ok, fixture.Wait(submitted).Error);
        Assert.Equal(0, fixture.Invoker.Outstanding);
    }

    [Fact]
    public void SoftCallsEndWithEioAndLateResultsAreIgnored()
    {
        using FileSystemFixture fixture = new(slots: 1, timeoutMicros: 20_000);
        fixture.Invoker.Held = true;
        Assert.Equal(Errno.EIO, fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, FileHandle.Root)).Error);
        Task<Outcome<Attributes>> next = fixture.Files.GetAttrAsync(FileSystemFixture.Root, FileHandle.Root).AsTask();
        fixture.Invoker.Execute(0);
        Assert.False(next.IsCompleted);
        fixture.Invoker.Execute(0);
        Assert.Equal(Errno.Ok, fixture.Wait(next).Error);
    }

    [Fact]
    public void GroupsAndSignalsComeFromTheStatusFile()
    {
        Assert.Equal([4u, 24u, 1000u], ProcessStatus.ParseGroups("Name:\tx\nUid:\t1\nGroups:\t4 24 1000 \nNStgid:\t1\n"));
        Assert.Empty(ProcessStatus.ParseGroups("Name:\tx\nGroups:\t \n"));
        Assert.Empty(ProcessStatus.ParseGroups("Name:\tx\n"));
        Assert.Equal([4u], ProcessStatus.ParseGroups("Name:\tx\nGroups:\tz 4 99999999999"));
        Assert.True(ProcessStatus.ParseKilled("Name:\tx\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000002\n"));
        Assert.True(ProcessStatus.ParseKilled("Name:\tx\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n"));
        Assert.False(ProcessStatus.ParseKilled("Name:\tx\nSigPnd:\t0000000000000200\nShdPnd:\t0000000000000002\n"));
        Assert.False(ProcessStatus.ParseKilled("Name:\tx\nSigPnd:\tz"));
    }

    private static byte[] Pattern(int length)
    {
        byte[] data = new byte[length];
        for (int i = 0; i < length; i++)
        {
            data[i] = (byte)((i * 31) ^ (i >> 9));
        }
        return data;
    }

    private static byte[] Filled(int length, byte value)
    {
        byte[] data = new byte[length];
        Array.Fill(data, value);
        return data;
    }

    private static void Settle(FileSystemFixture fixture)
    {
        while (fixture.Files.BackgroundOperations > 0)
        {
            fixture.Loop.RunOnce();
        }
    }
}
