using System.Globalization;
using BfsCore;
using BfsCore.Hosting.Storage;
using BfsCore.State;

namespace BfsTests.State;

/// <summary>What of the state is this process's own memory, and what is mapped of the image, once it was saved.</summary>
public sealed class StateMemoryTests : IDisposable
{
    private const long SizeBytes = 300 * PagedState.PageBytes;

    private readonly string _directory = Directory.CreateTempSubdirectory("bfs-state-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Saving_gives_the_memory_back()
    {
        using var disk = new FaultyDisk(_directory);
        using StateFile file = StateFile.Open(disk, SizeBytes);
        file.State.Modify(0, (int)SizeBytes).Fill(5);
        file.State.TakeCheckpoint(new SeqNum(1));
        Assert.Equal(SizeBytes, file.UnsavedBytes);
        Assert.Equal(SizeBytes, PrivateBytes(file.State));
        file.Save(new SeqNum(1));
        Assert.Equal(0, PrivateBytes(file.State));
        Assert.Equal(0, file.UnsavedBytes);
        Assert.Equal(5, file.State.Read(SizeBytes - 1, 1)[0]);
        file.State.Modify(100 * 4096, 1)[0]++;
        Assert.Equal(4096, PrivateBytes(file.State));
    }

    /// <summary>Also of what is plain memory while it is new; a chunk of which most was modified since stays that until the next save.</summary>
    [Theory]
    [InlineData(5, 5 * 4096)]
    [InlineData(50, 64 * 4096)]
    public void What_was_modified_during_a_save_stays_in_memory(int pages, long bytes)
    {
        using var disk = new FaultyDisk(_directory);
        using StateFile file = StateFile.Open(disk, SizeBytes);
        file.State.Modify(64 * 4096, 128 * 4096).Fill(5);
        file.State.TakeCheckpoint(new SeqNum(1));
        StateFileTests.SaveStepwise(file, new SeqNum(1), () => file.State.Modify((64 + 3) * 4096, pages * 4096).Fill(6));
        Assert.Equal(bytes, PrivateBytes(file.State));
        Assert.Equal(pages * 4096, file.UnsavedBytes);
        Assert.Equal(pages * 4096, StateFileTests.Memory(file.State).Count(b => b == 6));
        Assert.Equal((128 - pages) * 4096, StateFileTests.Memory(file.State).Count(b => b == 5));
        file.State.TakeCheckpoint(new SeqNum(2));
        file.Save(new SeqNum(2));
        Assert.Equal(0, PrivateBytes(file.State));
        Assert.Equal(pages * 4096, StateFileTests.Memory(file.State).Count(b => b == 6));
    }

    /// <summary>
    /// What a save brought is mapped: not the pages of zeros, for which the system would need memory, nor pages here and there. The runs begin
    /// and end at multiples of 16 pages, as the system maps what it has of 64 KB at once.
    /// </summary>
    [Fact]
    public void What_was_saved_is_mapped_at_once()
    {
        using var disk = new FaultyDisk(_directory);
        using StateFile file = StateFile.Open(disk, SizeBytes);
        file.State.Modify(0, 48 * 4096).Fill(1);
        file.State.Modify(70 * 4096, 4096).Fill(2);
        file.State.Modify(144 * 4096, 32 * 4096).Fill(3);
        file.State.TakeCheckpoint(new SeqNum(1));
        file.Save(new SeqNum(1));
        Assert.Equal((80 * 4096, 0), (MappedBytes(file.State, "Rss:"), PrivateBytes(file.State)));
        file.State.Modify(16 * 4096, 16 * 4096).Clear();
        file.State.TakeCheckpoint(new SeqNum(2));
        file.Save(new SeqNum(2));
        Assert.Equal((64 * 4096, 0), (MappedBytes(file.State, "Rss:"), PrivateBytes(file.State)));
    }

    /// <summary>Bytes of the state's memory that are this process's alone.</summary>
    private static long PrivateBytes(PagedState state) => MappedBytes(state, "Anonymous:");

    /// <param name="kind">As the system names it.</param>
    private static unsafe long MappedBytes(PagedState state, string kind)
    {
        long bytes = 0;
        fixed (byte* start = state.Read(0, 1))
        {
            bool ours = false;
            foreach (string line in File.ReadLines("/proc/self/smaps"))
            {
                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                string[] range = words[0].Split('-');
                if (range.Length == 2)
                {
                    long at = long.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                    ours = at >= (long)start && at < (long)start + state.SizeBytes;
                }
                else if (ours && words[0] == kind)
                {
                    bytes += long.Parse(words[1], CultureInfo.InvariantCulture) * 1024;
                }
            }
        }
        return bytes;
    }
}
