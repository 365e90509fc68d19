using BfsClient.FileSystem;
using BfsCore.FileProtocol;
using Attributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Fuse;

/// <summary>Attributes of a directory that came with a change of names in it: when they spare a question, and when not.</summary>
public class ChangedDirectoriesTests
{
    private static readonly FileHandle Root = FileHandle.Root;

    [Fact]
    public void WhoChangedNamesKnowsTheDirectories()
    {
        using FileSystemFixture fixture = new();
        OpenFile file = fixture.Create("a");
        AssertKnown(fixture, Root);
        FileHandle d = MakeDirectory(fixture, Root, "d"u8);
        AssertKnown(fixture, Root);
        fixture.Wait(fixture.Files.SymlinkAsync(FileSystemFixture.Root, d, "s"u8, "x"u8));
        AssertKnown(fixture, d);
        fixture.Wait(fixture.Files.RenameAsync(FileSystemFixture.Root, Root, "a"u8, d, "b"u8, RenameFlags.None));
        AssertKnown(fixture, d);
        AssertKnown(fixture, Root);
        fixture.Wait(fixture.Files.UnlinkAsync(FileSystemFixture.Root, d, "s"u8));
        AssertKnown(fixture, d);
        AssertKnown(fixture, Root);
        fixture.Files.Release(file);
    }

    /// <summary>They may change directories that their result does not name.</summary>
    [Fact]
    public void AfterRenamingOrRemovingADirectoryOthersAreAskedFor()
    {
        using FileSystemFixture fixture = new();
        FileHandle d = MakeDirectory(fixture, Root, "d"u8);
        FileHandle e = MakeDirectory(fixture, d, "e"u8);
        MakeDirectory(fixture, e, "f"u8);
        AssertKnown(fixture, e);
        fixture.Wait(fixture.Files.RenameAsync(FileSystemFixture.Root, d, "e"u8, Root, "g"u8, RenameFlags.None));
        AssertAsked(fixture, e);
        MakeDirectory(fixture, d, "h"u8);
        fixture.Wait(fixture.Files.RmdirAsync(FileSystemFixture.Root, e, "f"u8));
        AssertKnown(fixture, e);
        AssertAsked(fixture, d);
    }

    [Fact]
    public void AChangeThatIsUnderWayLeavesOthersKnown()
    {
        using FileSystemFixture fixture = new();
        FileHandle d = MakeDirectory(fixture, Root, "d"u8);
        fixture.Create("a");
        Action finish = BeginMakingDirectory(fixture, d, "e"u8);
        AssertKnown(fixture, Root);
        finish();
        AssertKnown(fixture, Root);
        AssertKnown(fixture, d);
    }

    [Fact]
    public void WhatIsForgottenForRoomIsAskedFor()
    {
        using FileSystemFixture fixture = new();
        FileHandle d = MakeDirectory(fixture, Root, "d"u8);
        FileHandle e = MakeDirectory(fixture, d, "e"u8);
        FileHandle[] others = [.. Enumerable.Range(0, ChangedDirectories.Most).Select(i => MakeDirectory(fixture, Root, [(byte)(1 + (i % 40)), (byte)(65 + (i / 40))]))];
        Assert.All(others[..^3], other => MakeDirectory(fixture, other, "x"u8));
        AssertKnown(fixture, others[^4]);
        AssertKnown(fixture, d);
        // Under way while all are forgotten: what it brings may be old.
        Action finish = BeginMakingDirectory(fixture, e, "x"u8);
        Assert.All(others[^3..], other => MakeDirectory(fixture, other, "x"u8));
        AssertAsked(fixture, d);
        finish();
        AssertAsked(fixture, e);
        AssertKnown(fixture, others[^1]);
    }

    [Fact]
    public void ADirectoryThatIsOpenIsKnownToo()
    {
        using FileSystemFixture fixture = new();
        fixture.Create("a");
        OpenFile root = fixture.Files.OpenDirectory(FileSystemFixture.Root, Root);
        AssertAsked(fixture, Root);
        fixture.Wait(fixture.Files.UnlinkAsync(FileSystemFixture.Root, Root, "a"u8));
        AssertKnown(fixture, Root);
        fixture.Files.Release(root);
    }

    [Fact]
    public void AChangeThatFailedTellsNothing()
    {
        using FileSystemFixture fixture = new();
        fixture.Create("a");
        Assert.Equal(Errno.ENOENT, fixture.Wait(fixture.Files.UnlinkAsync(FileSystemFixture.Root, Root, "b"u8)));
        AssertAsked(fixture, Root);
    }

    /// <summary>Whatever the order of execution and of results.</summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void ChangesThatOverlapTellNothing(bool secondFirst, bool lateFirst)
    {
        using FileSystemFixture fixture = new();
        fixture.Create("a");
        fixture.Invoker.Held = true;
        Task<Errno> unlinked = fixture.Files.UnlinkAsync(FileSystemFixture.Root, Root, "a"u8).AsTask();
        Task<Outcome<Attributes>> made = fixture.Files.MkdirAsync(FileSystemFixture.Root, Root, "d"u8, 0x1FF).AsTask();
        fixture.Invoker.ExecuteBoth(secondFirst, lateFirst);
        Assert.Equal((Errno.Ok, Errno.Ok), (fixture.Wait(unlinked), fixture.Wait(made).Error));
        AssertAsked(fixture, Root);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void AModeThatChangesMeanwhileIsSeen(bool secondFirst, bool lateFirst)
    {
        using FileSystemFixture fixture = new();
        FileHandle[] directories = [.. "abc"u8.ToArray().Select(name => MakeDirectory(fixture, Root, [name]))];
        Assert.All(directories, d => MakeDirectory(fixture, d, "in"u8));
        FileHandle first = directories[0];
        fixture.Invoker.Held = true;
        Task<Errno> removed = fixture.Files.RmdirAsync(FileSystemFixture.Root, first, "in"u8).AsTask();
        AttributeChange change = new(SetAttrMask.Mode, 0x1C0, 0, 0, 0, 0, 0);
        Task<Outcome<Attributes>> changed = fixture.Files.SetAttrAsync(FileSystemFixture.Root, first, change).AsTask();
        fixture.Invoker.ExecuteBoth(secondFirst, lateFirst);
        Assert.Equal((Errno.Ok, Errno.Ok), (fixture.Wait(removed), fixture.Wait(changed).Error));
        Assert.Equal(0x41C0u, fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, first)).Value.Mode);
    }

    [Fact]
    public void ModesAndTimesThatAreSetNextAreKnown()
    {
        using FileSystemFixture fixture = new();
        fixture.Create("a");
        AttributeChange change = new(SetAttrMask.Mode, 0x1C0, 0, 0, 0, 0, 0);
        fixture.Wait(fixture.Files.SetAttrAsync(FileSystemFixture.Root, Root, change));
        Assert.Equal(0x41C0u, fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, Root)).Value.Mode);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5_000)]
    public void AttributesAgeAsOthersDo(long attributeMicros)
    {
        using FileSystemFixture fixture = new(attributeMicros: attributeMicros);
        fixture.Create("a");
        Thread.Sleep(10);
        fixture.Loop.Post(() => { });
        fixture.Loop.RunOnce();
        AssertAsked(fixture, Root);
    }

    private static FileHandle MakeDirectory(FileSystemFixture fixture, FileHandle parent, ReadOnlySpan<byte> name) =>
        fixture.Wait(fixture.Files.MkdirAsync(FileSystemFixture.Root, parent, name, 0x1FF)).Value.Handle;

    /// <summary>Holds this operation back, and none after it.</summary>
    /// <returns>Lets it be executed.</returns>
    private static Action BeginMakingDirectory(FileSystemFixture fixture, FileHandle parent, ReadOnlySpan<byte> name)
    {
        fixture.Invoker.Held = true;
        Task<Outcome<Attributes>> made = fixture.Files.MkdirAsync(FileSystemFixture.Root, parent, name, 0x1FF).AsTask();
        fixture.Invoker.Held = false;
        return () =>
        {
            fixture.Invoker.Run(0)();
            Assert.False(fixture.Wait(made).Failed);
        };
    }

    private static void AssertKnown(FileSystemFixture fixture, FileHandle directory) =>
        Assert.Equal(0, Questions(fixture, directory));

    private static void AssertAsked(FileSystemFixture fixture, FileHandle directory) =>
        Assert.Equal(1, Questions(fixture, directory));

    /// <summary>How many operations it takes to learn what the directory's attributes are.</summary>
    private static int Questions(FileSystemFixture fixture, FileHandle directory)
    {
        int before = fixture.Drive.Log.Count;
        Attributes attributes = fixture.Wait(fixture.Files.GetAttrAsync(FileSystemFixture.Root, directory)).Value;
        Assert.Equal(fixture.Drive[directory].Attributes, attributes);
        return fixture.Drive.Log.Count - before;
    }
}
