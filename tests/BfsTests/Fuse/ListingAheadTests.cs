using System.Text;
using BfsClient.FileSystem;
using BfsCore.FileProtocol;
using FileAttributes = BfsCore.FileProtocol.FileAttributes;

namespace BfsTests.Fuse;

/// <summary>The C library's opendir asks for a directory's attributes before it lists it: both come by one operation.</summary>
public sealed class ListingAheadTests : IDisposable
{
    private static readonly Caller Somebody = new(Uid: 7, Gid: 7);

    private readonly SnfsdDrive _drive = new(16 << 20);
    private readonly FileSystemFixture _fixture;
    private long _nowMicros = 1;

    public ListingAheadTests()
    {
        _fixture = new FileSystemFixture(service: _drive.As(0), clock: () => _nowMicros);
        // So that nothing is known of the root directory.
        _fixture.Files.Release(_fixture.Create("a"));
        _nowMicros += 2_000_000;
    }

    public void Dispose()
    {
        _fixture.Dispose();
        _drive.Dispose();
    }

    [Fact]
    public void Attributes_and_names_come_together()
    {
        OpenFile root = Open();
        Asks(() => Assert.Equal(Direct().CtimeNanos, Attributes().CtimeNanos), FileOp.GetAttr, FileOp.Readdir);
        Asks(() => Assert.Equal(". .. a", Names(root)));
    }

    [Fact]
    public void A_listing_that_is_begun_again_is_fetched_again()
    {
        OpenFile root = Open();
        Attributes();
        Names(root);
        Asks(() => Assert.Equal(". .. a", Names(root)), FileOp.Readdir);
    }

    [Fact]
    public void What_was_changed_here_since_is_listed()
    {
        OpenFile root = Open();
        Attributes();
        _fixture.Files.Release(_fixture.Create("b"));
        Asks(() => Assert.Equal(". .. a b", Names(root)), FileOp.Readdir);
    }

    [Fact]
    public void What_was_changed_elsewhere_leaves_the_names_of_a_small_directory()
    {
        OpenFile directory = _fixture.Files.OpenDirectory(FileSystemFixture.Root, MakeDirectory());
        _fixture.Files.Release(_fixture.Create("b"));
        Asks(() => Assert.Equal(". .. 0 1 2", Names(OpenWithAttributes(directory, () => _fixture.Files.Release(_fixture.Create("c"))), settled: false)),
            FileOp.Readdir, FileOp.Create);
        Asks(() => Assert.Equal(". .. 0 1 2", Names(directory)), FileOp.Readdir);
    }

    [Fact]
    public void What_was_changed_elsewhere_makes_a_large_directory_be_listed_again()
    {
        OpenFile directory = _fixture.Files.OpenDirectory(FileSystemFixture.Root, MakeDirectory(names: 100));
        Asks(() => Names(OpenWithAttributes(directory, () => _fixture.Files.Release(_fixture.Create("c")))),
            FileOp.Readdir, FileOp.Create, FileOp.Readdir);
    }

    [Fact]
    public void A_rename_anywhere_makes_it_be_listed_again()
    {
        OpenFile directory = _fixture.Files.OpenDirectory(FileSystemFixture.Root, MakeDirectory());
        void Rename() => _fixture.Wait(
            _fixture.Files.RenameAsync(FileSystemFixture.Root, FileHandle.Root, "a"u8, directory.Handle, "3"u8, RenameFlags.None));
        Asks(() => Assert.Equal(". .. 0 1 2 3", Names(OpenWithAttributes(directory, Rename))), FileOp.Readdir, FileOp.Rename, FileOp.Readdir);
    }

    [Fact]
    public void What_has_become_old_is_fetched_again()
    {
        OpenFile root = Open();
        Attributes();
        _nowMicros += 1_000_000;
        Asks(() => Assert.Equal(". .. a", Names(root)), FileOp.Readdir);
    }

    [Fact]
    public void Who_has_begun_to_list_it_goes_on_when_attributes_are_asked_for()
    {
        OpenFile root = Open();
        Assert.Equal(Errno.Ok, _fixture.Wait(_fixture.Files.ReadDirectoryAsync(root, 0, 4096, null)));
        _fixture.Files.NextEntry(root);
        Asks(() => Attributes(), FileOp.GetAttr);
        Asks(() => Assert.Equal(".. a", Names(root, cookie: 1)));
    }

    [Fact]
    public void Attributes_that_arrive_after_the_listing_began_do_not_serve_it_when_it_is_begun_again()
    {
        OpenFile root = Open();
        _fixture.Invoker.Held = true;
        Task<Outcome<FileAttributes>> attributes = _fixture.Files.GetAttrAsync(FileSystemFixture.Root, FileHandle.Root).AsTask();
        Task<Errno> listing = _fixture.Files.ReadDirectoryAsync(root, 0, 4096, null).AsTask();
        _fixture.Invoker.ExecuteBoth(secondFirst: false, lateFirst: true);
        Assert.Equal(Errno.Ok, _fixture.Wait(listing));
        Assert.False(_fixture.Wait(attributes).Failed);
        Asks(() => Assert.Equal(". .. a", Names(root)), FileOp.Readdir);
    }

    [Fact]
    public void Who_may_not_list_it_gets_its_attributes_all_the_same()
    {
        AttributeChange change = new(SetAttrMask.Mode, 0x1C9, 0, 0, 0, 0, 0);
        Assert.False(_fixture.Wait(_fixture.Files.SetAttrAsync(FileSystemFixture.Root, FileHandle.Root, change)).Failed);
        _nowMicros += 2_000_000;
        _fixture.Files.OpenDirectory(Somebody, FileHandle.Root);
        Asks(() => Assert.Equal(0x41C9u, Attributes(Somebody).Mode), FileOp.Readdir, FileOp.GetAttr);
    }

    [Fact]
    public void Others_than_who_opened_it_ask_for_attributes_alone()
    {
        Open();
        Asks(() => Attributes(Somebody), FileOp.GetAttr);
    }

    private FileHandle MakeDirectory(int names = 3)
    {
        FileHandle directory = _fixture.Wait(_fixture.Files.MkdirAsync(FileSystemFixture.Root, FileHandle.Root, "d"u8, 0x1FF)).Value.Handle;
        for (int i = 0; i < names; i++)
        {
            byte[] name = Encoding.UTF8.GetBytes($"{i}");
            _fixture.Files.Release(_fixture.Wait(_fixture.Files.CreateAsync(FileSystemFixture.Root, directory, name, 0x1A4, OpenMode.ReadWrite)).Value);
        }
        _nowMicros += 2_000_000;
        return directory;
    }

    private OpenFile OpenWithAttributes(OpenFile directory, Action meanwhile)
    {
        Assert.False(_fixture.Wait(_fixture.Files.GetAttrAsync(FileSystemFixture.Root, directory.Handle)).Failed);
        meanwhile();
        return directory;
    }

    private OpenFile Open() => _fixture.Files.OpenDirectory(FileSystemFixture.Root, FileHandle.Root);

    private FileAttributes Attributes(Caller? caller = null)
    {
        Outcome<FileAttributes> outcome = _fixture.Wait(_fixture.Files.GetAttrAsync(caller ?? FileSystemFixture.Root, FileHandle.Root));
        Assert.Equal(Errno.Ok, outcome.Error);
        return outcome.Value;
    }

    /// <summary>As another mount sees them.</summary>
    private FileAttributes Direct()
    {
        using FileSystemFixture other = new(service: _drive.As(0));
        FileAttributes attributes = other.Wait(other.Files.GetAttrAsync(FileSystemFixture.Root, FileHandle.Root)).Value;
        _fixture.Invoker.Submitted.AddRange(other.Invoker.Submitted);
        return attributes;
    }

    /// <param name="settled">Whether attributes come with the names.</param>
    private string Names(OpenFile directory, ulong cookie = 0, bool settled = true)
    {
        var names = new List<string>();
        Assert.Equal(Errno.Ok, _fixture.Wait(_fixture.Files.ReadDirectoryAsync(directory, cookie, 4096, null)));
        while (_fixture.Files.TryPeekEntry(directory, out DirectoryEntry entry))
        {
            Assert.Equal(settled, entry.Settled);
            names.Add(Encoding.UTF8.GetString(entry.Name));
            _fixture.Files.NextEntry(directory);
        }
        return string.Join(' ', names.Order(StringComparer.Ordinal));
    }

    private void Asks(Action calls, params FileOp[] expected)
    {
        int before = _fixture.Invoker.Submitted.Count;
        calls();
        Assert.Equal(expected, _fixture.Invoker.Submitted.Skip(before).Select(o => o.Op));
    }
}
