using BfsClient.FileSystem;
using BfsCore.FileProtocol;
using Attributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Fuse;

/// <summary>The content that comes with the opening of a small file: what it saves, and when it must not be used.</summary>
public class OpenContentTests
{
    private const int Most = OpenContent.MaxBytes;

    [Theory]
    [InlineData(1)]
    [InlineData(5000)]
    [InlineData(Most)]
    public void WhatIsReadAfterTheOpeningIsThereAlready(int bytes)
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, bytes);
        OpenFile opened = Open(fixture, file);
        Assert.Equal(FileOp.Open, fixture.Drive.Log[^1]);
        fixture.Drive.Log.Clear();
        byte[] read = new byte[Most];
        int half = bytes / 2;
        Assert.Equal(half, Read(fixture, opened, 0, read.AsMemory(0, half)));
        Assert.Equal(0, Read(fixture, opened, (ulong)bytes, new byte[10]));
        Assert.Equal(bytes - half, Read(fixture, opened, (ulong)half, read.AsMemory(half)));
        Assert.Equal(Pattern(bytes), read[..bytes]);
        Assert.Empty(fixture.Drive.Log);
        // Who reads it again wants to know what is there now.
        Assert.Equal(bytes, Read(fixture, opened, 0, read));
        Assert.Equal([FileOp.Read], fixture.Drive.Log);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(Most + 1)]
    public void EmptyAndLargerFilesAreReadAsEver(int bytes)
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, bytes);
        OpenFile opened = Open(fixture, file);
        Assert.Equal((ulong)bytes, opened.Attributes.SizeBytes);
        fixture.Drive.Log.Clear();
        Assert.Equal(Math.Min(bytes, 100), Read(fixture, opened, 0, new byte[100]));
        Assert.Equal([FileOp.Read], fixture.Drive.Log);
    }

    [Theory]
    [InlineData(OpenMode.Write)]
    [InlineData(OpenMode.ReadWrite | OpenMode.Truncate)]
    public void WhoDoesNotReadAsksForNoContent(OpenMode mode)
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        Open(fixture, file, mode);
        Assert.DoesNotContain(FileOp.Open, fixture.Drive.Log);
    }

    [Theory]
    [InlineData(true, 1_000_000)]
    [InlineData(false, 0)]
    public void MountsThatKeepNothingAskForNoContent(bool strict, long attributeMicros)
    {
        using FileSystemFixture fixture = new(strict, attributeMicros: attributeMicros);
        Open(fixture, NewFile(fixture, 100));
        Assert.DoesNotContain(FileOp.Open, fixture.Drive.Log);
    }

    [Fact]
    public void ContentIsNotUsedLongAfterTheOpening()
    {
        using FileSystemFixture fixture = new(attributeMicros: 5_000);
        FileHandle file = NewFile(fixture, 100);
        OpenFile opened = Open(fixture, file);
        fixture.Drive.ChangeElsewhere(file, Pattern(50));
        Thread.Sleep(10);
        fixture.Loop.Post(() => { });
        fixture.Loop.RunOnce();
        Assert.Equal(50, Read(fixture, opened, 0, new byte[200]));
    }

    [Fact]
    public void OwnWritesAndTruncationsAreReadBack()
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        OpenFile reader = Open(fixture, file);
        OpenFile writer = Open(fixture, file, OpenMode.Write);
        byte[] read = new byte[200];
        fixture.Wait(fixture.Files.WriteAsync(writer, 50, Pattern(100), true));
        Assert.Equal(150, Read(fixture, reader, 0, read));
        Assert.Equal(Pattern(100), read[50..150]);
        reader = Open(fixture, file, OpenMode.ReadWrite);
        AttributeChange cut = new(SetAttrMask.Size, 0, 0, 0, 10, 0, 0);
        fixture.Wait(fixture.Files.SetAttrAsync(FileSystemFixture.Root, file, cut));
        Assert.Equal(10, Read(fixture, reader, 0, read));
        fixture.Wait(fixture.Files.WriteAsync(reader, 0, "mine"u8, true));
        Assert.Equal(10, Read(fixture, reader, 0, read));
        Assert.Equal("mine"u8.ToArray(), read[..4]);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void AWriteThatIsUnderWayWithTheOpeningIsReadBack(bool secondFirst, bool lateFirst)
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        OpenFile writer = Open(fixture, file, OpenMode.Write);
        fixture.Invoker.Held = true;
        Task<Outcome<OpenFile>> opened = fixture.Files.OpenAsync(FileSystemFixture.Root, file, OpenMode.Read | OpenMode.WithContent).AsTask();
        _ = fixture.Files.WriteAsync(writer, 0, "mine"u8, true);
        fixture.Invoker.ExecuteBoth(secondFirst, lateFirst);
        byte[] read = new byte[200];
        Assert.Equal(100, Read(fixture, fixture.Wait(opened).Value, 0, read));
        Assert.Equal("mine"u8.ToArray(), read[..4]);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void ATruncationThatIsUnderWayWithTheOpeningIsSeen(bool secondFirst, bool lateFirst)
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        fixture.Invoker.Held = true;
        AttributeChange cut = new(SetAttrMask.Size, 0, 0, 0, 10, 0, 0);
        Task<Outcome<Attributes>> truncated = fixture.Files.SetAttrAsync(FileSystemFixture.Root, file, cut).AsTask();
        Task<Outcome<OpenFile>> opened = fixture.Files.OpenAsync(FileSystemFixture.Root, file, OpenMode.Read | OpenMode.WithContent).AsTask();
        fixture.Invoker.ExecuteBoth(secondFirst, lateFirst);
        Assert.Equal(10ul, fixture.Wait(truncated).Value.SizeBytes);
        Assert.Equal(10, Read(fixture, fixture.Wait(opened).Value, 0, new byte[200]));
    }

    [Fact]
    public void ATruncationOfWhichNothingWasHeardEndsTheUseOfContent()
    {
        using FileSystemFixture fixture = new(timeoutMicros: 20_000);
        FileHandle file = NewFile(fixture, 100);
        OpenFile opened = Open(fixture, file);
        fixture.Invoker.Held = true;
        AttributeChange cut = new(SetAttrMask.Size, 0, 0, 0, 10, 0, 0);
        Assert.Equal(Errno.EIO, fixture.Wait(fixture.Files.SetAttrAsync(FileSystemFixture.Root, file, cut)).Error);
        fixture.Invoker.ExecuteAll();
        fixture.Invoker.Held = false;
        Assert.Equal(10, Read(fixture, opened, 0, new byte[200]));
    }

    [Fact]
    public void ANewOpeningSeesWhatOthersDidAndSoDoReadsThroughOlderOnes()
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        OpenFile older = Open(fixture, file);
        fixture.Drive.ChangeElsewhere(file, Pattern(77));
        OpenFile newer = Open(fixture, file);
        Assert.Equal(77ul, newer.Attributes.SizeBytes);
        // The kernel keeps what it reads through either for the pages of both.
        Assert.Equal(77, Read(fixture, older, 0, new byte[200]));
        Assert.Equal(77, Read(fixture, newer, 0, new byte[200]));
    }

    [Fact]
    public void AttributesThatTellOfAChangeEndTheUseOfContent()
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        OpenFile opened = Open(fixture, file);
        fixture.Drive.ChangeElsewhere(file, Pattern(77));
        fixture.Wait(fixture.Files.LookupAsync(FileSystemFixture.Root, FileHandle.Root, "a"u8));
        Assert.Equal(77, Read(fixture, opened, 0, new byte[200]));
    }

    [Fact]
    public void FilesThatAreOpenedAndNotReadTakeBoundedMemory()
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        OpenFile[] opened = [.. Enumerable.Range(0, OpenContents.MaxBuffers + 1).Select(_ => Open(fixture, file))];
        Assert.Equal(OpenContents.MaxBuffers, opened.Count(f => f.Content is not null));
        fixture.Drive.Log.Clear();
        Assert.All(opened, f => Assert.Equal(100, Read(fixture, f, 0, new byte[200])));
        Assert.Equal([FileOp.Read], fixture.Drive.Log);
        Assert.All(opened, fixture.Files.Release);
        Assert.Equal(0, fixture.Files.NodesInUse);
    }

    [Fact]
    public void ClosedFilesTakeNoMemory()
    {
        using FileSystemFixture fixture = new();
        FileHandle file = NewFile(fixture, 100);
        OpenFile opened = Open(fixture, file);
        for (int i = 0; i < OpenContents.MaxBuffers; i++)
        {
            fixture.Files.Release(Open(fixture, file));
        }
        Assert.NotNull(opened.Content);
    }

    [Fact]
    public void OpeningsBeyondTheBoundAskForAttributesOnly()
    {
        using FileSystemFixture fixture = new(slots: OpenContents.MaxBuffers + 1);
        FileHandle file = NewFile(fixture, 100);
        fixture.Invoker.Held = true;
        Task<Outcome<OpenFile>>[] opened = [.. Enumerable.Range(0, OpenContents.MaxBuffers + 1).Select(_ =>
            fixture.Files.OpenAsync(FileSystemFixture.Root, file, OpenMode.Read | OpenMode.WithContent).AsTask())];
        Assert.Equal((byte)FileOp.GetAttr, fixture.Invoker.Pending[^1].Operation[0]);
        fixture.Invoker.ExecuteAll();
        Assert.All(opened, o => Assert.Equal(100ul, fixture.Wait(o).Value.Attributes.SizeBytes));
    }

    [Fact]
    public void OpeningsThatFailKeepNothing()
    {
        using FileSystemFixture fixture = new();
        FileHandle gone = new(77, 7);
        for (int i = 0; i < 2 * OpenContents.MaxBuffers; i++)
        {
            Outcome<OpenFile> outcome = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, gone, OpenMode.WithContent));
            Assert.Equal(Errno.ESTALE, outcome.Error);
        }
        Assert.Equal(0, fixture.Files.NodesInUse);
        fixture.Files.Release(Open(fixture, NewFile(fixture, 100)));
        Assert.Equal(FileOp.Open, fixture.Drive.Log[^1]);
    }

    private static FileHandle NewFile(FileSystemFixture fixture, int bytes)
    {
        OpenFile file = fixture.Create("a");
        fixture.Drive.ChangeElsewhere(file.Handle, Pattern(bytes));
        fixture.Files.Release(file);
        return file.Handle;
    }

    private static OpenFile Open(FileSystemFixture fixture, FileHandle file, OpenMode mode = OpenMode.Read)
    {
        Outcome<OpenFile> outcome = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, file, mode | OpenMode.WithContent));
        Assert.Equal(Errno.Ok, outcome.Error);
        return outcome.Value;
    }

    private static int Read(FileSystemFixture fixture, OpenFile file, ulong offset, Memory<byte> destination)
    {
        Outcome<int> outcome = fixture.Wait(fixture.Files.ReadAsync(file, offset, destination, null));
        Assert.Equal(Errno.Ok, outcome.Error);
        return outcome.Value;
    }

    private static byte[] Pattern(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)((i * 31) ^ (i >> 9)))];
}
