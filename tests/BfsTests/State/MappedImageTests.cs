using BfsCore.Hosting.Storage;
using BfsCore.State;

namespace BfsTests.State;

/// <summary>New pages are plain memory until they are saved, up to a bound.</summary>
public sealed class MappedImageTests : IDisposable
{
    private const int ChunkPages = 64;
    private const int Chunks = 1030;

    private readonly string _directory = Directory.CreateTempSubdirectory("bfs-image-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>More chunks than may be plain memory are begun, those are saved, and the work goes on in all of them.</summary>
    [Fact]
    public unsafe void What_is_beyond_the_bound_stays_when_there_is_room_again()
    {
        const long Pages = Chunks * ChunkPages;
        using var disk = new StateDisk(_directory);
        disk.Resize(StatePart.Image, Pages * PagedState.PageBytes);
        using MappedImage image = disk.MapImage(ChunkPages);
        image.ExpectHoleFrom(0);
        using var modified = new PageSet(Pages);
        using var saved = new PageSet(Pages);
        for (int chunk = 0; chunk < Chunks; chunk++)
        {
            Write(chunk * ChunkPages, 7);
        }
        // As if a save had ended after which all of that was modified again.
        image.ShowFile(saved, modified, _ => false);
        for (int chunk = 0; chunk < Chunks; chunk++)
        {
            Write((chunk * ChunkPages) + 1, 8);
        }
        Assert.All(Enumerable.Range(0, Chunks), chunk => Assert.Equal((7, 8), (At(chunk * ChunkPages), At((chunk * ChunkPages) + 1))));

        void Write(long page, byte value)
        {
            image.BeforeModifying(page);
            image.Memory[page * PagedState.PageBytes] = value;
            modified.Add(page);
        }

        byte At(long page) => image.Memory[page * PagedState.PageBytes];
    }
}
