using BfsClient.FileSystem;
using BfsCore.FileProtocol;
using Attributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Fuse;

/// <summary>
/// A file that was empty when it was opened for reading and writing is known while it is written: reads need no replicas, and what is written out of
/// order goes to them together.
/// </summary>
public class OwnContentTests
{
    private const OpenMode Mode = OpenMode.ReadWrite | OpenMode.WithContent;
    private const int Most = 2 * OwnContent.ChunkBytes;

    [Fact]
    public void PartsAreReadBackAndGoTogetherWhenTheFileIsClosed()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a", Mode);
        fixture.Drive.Log.Clear();
        byte[] expected = new byte[10_768];
        // What an assembler does.
        (int Offset, int Count)[] parts = [(5136, 369), (64, 1805), (1872, 1704), (5512, 4320), (3576, 1560), (9832, 104), (0, 64), (9936, 832)];
        foreach ((int offset, int count) in parts)
        {
            byte[] data = Pattern(count, offset);
            data.CopyTo(expected, offset);
            Write(fixture, file, offset, data);
            Assert.True(fixture.Files.TryGetOwnSize(file, out Attributes attributes));
            byte[] read = new byte[20_000];
            Assert.Equal((int)attributes.SizeBytes, Read(fixture, file, 0, read));
            Assert.Equal(expected[..(int)attributes.SizeBytes], read[..(int)attributes.SizeBytes]);
        }
        Assert.Empty(fixture.Drive.Log);
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(file)));
        Assert.Equal(expected, fixture.Drive[file.Handle].Data);
        Assert.Equal([FileOp.WriteParts], fixture.Drive.Log);
        Assert.Equal(5, fixture.Drive.Writes.Count);
        Assert.False(fixture.Files.TryGetOwnSize(file, out _));
    }

    /// <summary>Anything that programs do to a file gives what it does to a string of bytes.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void RandomWorkIsAsOnAStringOfBytes(int seed)
    {
        var random = new Random(seed);
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a", Mode);
        OpenFile? second = null;
        byte[] model = [];
        for (int step = 0; step < 1_000; step++)
        {
            OpenFile through = second is not null && random.Next(3) == 0 ? second : file;
            switch (random.Next(40))
            {
                case 0:
                    Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(file)));
                    Assert.Equal(second is null ? model : fixture.Drive[file.Handle].Data, fixture.Drive[file.Handle].Data);
                    break;
                case 1:
                    Assert.Equal((ulong)model.Length, fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, file.Handle)).Value.SizeBytes);
                    break;
                case 2:
                    Array.Resize(ref model, random.Next(model.Length + 100));
                    AttributeChange cut = new(SetAttrMask.Size, 0, 0, 0, (ulong)model.Length, 0, 0);
                    Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.SetAttrAsync(FileSystemFixture.Root, file.Handle, cut)).Error);
                    break;
                case 3 when second is null:
                    second = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, file.Handle, Mode)).Value;
                    Assert.Equal((ulong)model.Length, second.Attributes.SizeBytes);
                    break;
                case 3:
                    Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(second)));
                    fixture.Files.Release(second);
                    second = null;
                    break;
                case 4:
                    fixture.Files.Release(file);
                    model = [];
                    file = fixture.Wait(fixture.Files.OpenAsync(FileSystemFixture.Root, file.Handle, Mode | OpenMode.Truncate)).Value;
                    break;
                case 5:
                    fixture.Loop.Post(() => { });
                    fixture.Loop.RunOnce();
                    break;
                case < 22:
                    byte[] read = new byte[random.Next(1, 3_000)];
                    int from = random.Next(model.Length + 10);
                    int there = Math.Clamp(model.Length - from, 0, read.Length);
                    Assert.Equal(there, Read(fixture, through, from, read));
                    Assert.Equal(model.Skip(from).Take(there), read.Take(there));
                    break;
                default:
                    int offset = random.Next(10) == 0 ? random.Next(2 * Most) : random.Next(model.Length + 300);
                    byte[] data = Pattern(random.Next(1, random.Next(10) == 0 ? 30_000 : 1_000), step);
                    Array.Resize(ref model, Math.Max(model.Length, offset + data.Length));
                    data.CopyTo(model, offset);
                    Write(fixture, through, offset, data);
                    break;
            }
        }
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.FlushAsync(file)));
        Assert.Equal(model, fixture.Drive[file.Handle].Data);
    }

    [Fact]
    public void WhatIsWrittenOutOfOrderGoesSoonThoughNobodyAsks()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a", Mode);
        Write(fixture, file, 100, Pattern(50, 0));
        Write(fixture, file, 0, Pattern(50, 1));
        Assert.Equal([], fixture.Drive.Writes);
        for (int i = 0; i < 1000 && fixture.Files.UnwrittenBytes > 0; i++)
        {
            fixture.Loop.RunOnce();
        }
        Assert.Equal([(100ul, 50), (0ul, 50)], fixture.Drive.Writes.Select(w => (w.Offset, w.Length)));
        Assert.Equal(150, Read(fixture, file, 0, new byte[200]));
        Assert.DoesNotContain(FileOp.Read, fixture.Drive.Log);
    }

    /// <summary>The first write was in order and went at once: its result does not hurry those that may wait.</summary>
    [Fact]
    public void WhatMayWaitDoesSoWhenAnEarlierWriteIsDone()
    {
        using FileSystemFixture fixture = new(timers: false);
        OpenFile file = fixture.Create("a", Mode);
        fixture.Invoker.Held = true;
        Write(fixture, file, 0, Pattern(50, 0));
        Write(fixture, file, 100, Pattern(50, 1));
        fixture.Invoker.ExecuteAll();
        fixture.Loop.Post(() => { });
        fixture.Loop.RunOnce();
        Assert.Equal([(0ul, 50)], fixture.Drive.Writes.Select(w => (w.Offset, w.Length)));
        Assert.Equal([TimeSpan.FromMilliseconds(100)], fixture.TimersAsked);
    }

    [Fact]
    public void AFileThatGrowsTooLongIsReadFromTheReplicas()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a", Mode);
        Write(fixture, file, OwnContents.MaxFileBytes - 10, Pattern(10, 0));
        Assert.Equal(OwnContents.MaxFileBytes, file.Own!.Length);
        byte[] read = new byte[30];
        Assert.Equal(20, Read(fixture, file, OwnContents.MaxFileBytes - 20, read));
        Assert.Equal([.. new byte[10], .. Pattern(10, 0)], read[..20]);
        Assert.DoesNotContain(FileOp.Read, fixture.Drive.Log);
        Write(fixture, file, OwnContents.MaxFileBytes, Pattern(1, 0));
        Assert.Null(file.Own);
        Assert.Equal(21, Read(fixture, file, OwnContents.MaxFileBytes - 20, read));
        Assert.Contains(FileOp.Read, fixture.Drive.Log);
    }

    [Fact]
    public void WhoWaitsForRoomDoesNotWaitForTheTimeThatDataIsHeld()
    {
        const int frame = FileLimits.MaxTransferBytes;
        using FileSystemFixture fixture = new(timers: false);
        OpenFile file = fixture.Create("a", Mode);
        // A part that waits for more, and more data behind it than may be outstanding.
        Write(fixture, file, 100, Pattern(10, 0));
        Write(fixture, file, frame, Pattern(OwnContents.MaxFileBytes - frame, 0));
        Assert.Empty(fixture.Drive.Writes);
        Task<Errno>[] writes = [.. new[] { "b", "c" }.Select(name =>
            fixture.Files.WriteAsync(fixture.Create(name, Mode), 100, Pattern(frame - 200, 0), true).AsTask())];
        for (int turn = 0; turn < 100 && !writes.All(w => w.IsCompleted); turn++)
        {
            fixture.Loop.Post(() => { });
            fixture.Loop.RunOnce();
        }
        Assert.All(writes, w => Assert.True(w.IsCompletedSuccessfully));
        Assert.True(fixture.Files.UnwrittenBytes <= WriteBehind.MaxOutstandingBytes);
        Assert.NotEmpty(fixture.Drive.Writes);
    }

    [Fact]
    public void AllFilesTogetherTakeABoundedPartOfTheMemory()
    {
        long now = 0;
        using FileSystemFixture fixture = new(clock: () => now);
        OpenFile[] files = [.. Enumerable.Range(0, 4).Select(i => fixture.Create($"{i}", Mode))];
        byte[] last = Pattern(10, 0);
        Write(fixture, files[0], OwnContents.MaxFileBytes - 10, last);
        Write(fixture, files[1], OwnContents.MaxFileBytes - 10, last);
        Write(fixture, files[2], 0, last);
        Assert.Equal([true, true, false, true], files.Select(f => f.Own is not null));
        // A file that is closed, or was opened too long ago, makes room for others.
        fixture.Files.Release(files[0]);
        Write(fixture, files[3], OwnContents.MaxFileBytes - 10, last);
        now += 2_000_000;
        OpenFile late = fixture.Create("late", Mode);
        Write(fixture, late, 0, last);
        Assert.Equal([false, false, false, false, true], files.Append(late).Select(f => f.Own is not null));
    }

    [Fact]
    public void AFileThatOthersChangeIsAskedForAgain()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a", Mode);
        Write(fixture, file, 10, Pattern(50, 0));
        fixture.Wait(fixture.Files.FlushAsync(file));
        fixture.Drive.ChangeElsewhere(file.Handle, Pattern(200, 5));
        byte[] read = new byte[300];
        Assert.Equal(60, Read(fixture, file, 0, read));
        fixture.Wait(fixture.Files.LookupAsync(FileSystemFixture.Root, FileHandle.Root, "a"u8));
        Assert.Equal(200, Read(fixture, file, 0, read));
        Assert.Equal(Pattern(200, 5), read[..200]);
        // What is written from now on is not all there is.
        Write(fixture, file, 0, Pattern(10, 6));
        Assert.False(fixture.Files.TryGetOwnSize(file, out _));
        Assert.Equal(200, Read(fixture, file, 0, read));
    }

    [Fact]
    public void ThePartOfAnotherThatIsFoundWithAnOwnWriteEndsIt()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a", Mode);
        Write(fixture, file, 10, Pattern(50, 0));
        fixture.Drive.ChangeElsewhere(file.Handle, Pattern(200, 5));
        fixture.Wait(fixture.Files.FlushAsync(file));
        Assert.Equal(200, Read(fixture, file, 0, new byte[300]));
    }

    [Fact]
    public void AWriteThatFailsEndsIt()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a", Mode);
        Write(fixture, file, 10, Pattern(50, 0));
        fixture.Drive.WriteErrors.Enqueue(Errno.ENOSPC);
        Assert.Equal(Errno.ENOSPC, fixture.Wait(fixture.Files.FlushAsync(file)));
        Assert.Equal(0, Read(fixture, file, 0, new byte[300]));
    }

    [Theory]
    [InlineData(true, 1_000_000)]
    [InlineData(false, 0)]
    public void MountsThatKeepNothingAskForEachRead(bool strict, long attributeMicros)
    {
        using FileSystemFixture fixture = new(strict, attributeMicros: attributeMicros);
        OpenFile file = fixture.Create("a", Mode);
        Write(fixture, file, 10, Pattern(50, 0));
        Assert.False(fixture.Files.TryGetOwnSize(file, out _));
        Assert.Equal(60, Read(fixture, file, 0, new byte[300]));
        Assert.Contains(FileOp.Read, fixture.Drive.Log);
    }

    private static void Write(FileSystemFixture fixture, OpenFile file, int offset, byte[] data) =>
        Assert.Equal(Errno.Ok, fixture.Wait(fixture.Files.WriteAsync(file, (ulong)offset, data, true)));

    private static int Read(FileSystemFixture fixture, OpenFile file, int offset, Memory<byte> destination)
    {
        Outcome<int> outcome = fixture.Wait(fixture.Files.ReadAsync(file, (ulong)offset, destination, null));
        Assert.Equal(Errno.Ok, outcome.Error);
        return outcome.Value;
    }

    private static byte[] Pattern(int length, int start) => [.. Enumerable.Range(start, length).Select(i => (byte)((i * 31) ^ (i >> 9)))];
}
