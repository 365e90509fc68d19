using System.Text.Json;
using BfsCore;

namespace BfsTests.Mounted;

/// <summary>
/// A replica whose files were damaged while it was down reports what it repaired, fetches only what differs, and ends in
/// the same state as the others (§5.3.3).
/// </summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class DamagedFilesTests : IDisposable
{
    private const int Victim = 2;

    private readonly ClusterFixture _cluster = new();

    public void Dispose() => _cluster.Dispose();

    /// <summary>A drive with 40 MB on it, of which every replica has an image on disk.</summary>
    private string Filled()
    {
        string drive = _cluster.Start("--size", "1G").Mount();
        _cluster.Work(drive, "seq 400 | while read i; do head -c 100000 /dev/urandom > f$i; done; sync");
        _cluster.Bfs("replica", "stop", $"{Victim}").Succeeded();
        return drive;
    }

    private string FileOf(string name) => Path.Combine(_cluster.Files.Replica(new ReplicaId(Victim)), name);

    private static bool IsStateOrLog(string path) => Path.GetFileName(path).Split('.')[0] is "state" or "votes";

    private JsonElement Replica(int id) => _cluster.Status().GetProperty("replicas")[id];

    private (bool WereDamaged, long Checked, long Fetched) StateOf(int id)
    {
        JsonElement state = Replica(id).GetProperty("state");
        return (state.GetProperty("filesWereDamaged").GetBoolean(), state.GetProperty("pagesChecked").GetInt64(),
            state.GetProperty("pagesFetched").GetInt64());
    }

    /// <summary>Starts the victim, lets new checkpoints become stable, and compares all four.</summary>
    private void StartAndCompare(string drive)
    {
        _cluster.Bfs("replica", "start", $"{Victim}").Succeeded();
        ClusterFixture.WaitFor(() => StateOf(Victim) is { Fetched: > 0 } && Replica(Victim).GetProperty("transfer").ValueKind == JsonValueKind.Null);
        _cluster.Work(drive, "seq 300 | while read i; do echo $i > more$i; done");
        ClusterFixture.WaitFor(_cluster.HasSameStable);
    }

    [Fact]
    public void A_thousand_flipped_bits_are_repaired_by_fetching_the_pages_that_have_them()
    {
        string drive = Filled();
        var random = new Random(1);
        var pages = new HashSet<long>();
        using (FileStream image = File.Open(FileOf("state.image"), FileMode.Open, FileAccess.ReadWrite))
        {
            for (int i = 0; i < 1000; i++)
            {
                long position = random.NextInt64(image.Length);
                pages.Add(position / 4096);
                image.Position = position;
                int value = image.ReadByte();
                image.Position = position;
                image.WriteByte((byte)(value ^ (1 << random.Next(8))));
            }
        }
        StartAndCompare(drive);
        (bool wereDamaged, long checkedPages, long fetched) = StateOf(Victim);
        Assert.True(wereDamaged);
        // Most flips hit what lies behind all that is in use, where they are taken for what a save left that did not come to its end.
        Assert.InRange(checkedPages, 9_000, 11_000);
        Assert.InRange(fetched, 1, pages.Count / 4);
        string log = File.ReadAllText(FileOf("replica.log"));
        Assert.Contains("the state is damaged: state.image does not have the digest of checkpoint", log, StringComparison.Ordinal);
        Assert.Contains("pages differed and were fetched", log, StringComparison.Ordinal);
        Assert.Contains("the state is repaired", log, StringComparison.Ordinal);
        // What was repaired is on disk.
        _cluster.Bfs("replica", "stop", $"{Victim}").Succeeded();
        _cluster.Bfs("replica", "start", $"{Victim}").Succeeded();
        ClusterFixture.WaitFor(() => Replica(Victim).GetProperty("reachable").GetBoolean());
        Assert.False(StateOf(Victim).WereDamaged);
    }

    [Theory]
    [InlineData("delete the image")]
    [InlineData("delete all")]
    [InlineData("truncate the image")]
    [InlineData("flip the description")]
    public void Whatever_became_of_the_files_all_four_end_alike(string damage)
    {
        string drive = Filled();
        switch (damage)
        {
            case "delete the image":
                File.Delete(FileOf("state.image"));
                break;
            case "delete all":
                foreach (string path in Directory.GetFiles(Path.GetDirectoryName(FileOf("state.image"))!).Where(IsStateOrLog))
                {
                    File.Delete(path);
                }
                break;
            case "truncate the image":
                using (FileStream image = File.OpenWrite(FileOf("state.image")))
                {
                    image.SetLength(image.Length / 50);
                }
                break;
            default:
                byte[] meta = File.ReadAllBytes(FileOf("state.meta"));
                meta[33] ^= 4;
                File.WriteAllBytes(FileOf("state.meta"), meta);
                // Something to fetch: what is written meanwhile.
                _cluster.Work(drive, "seq 600 | while read i; do echo $i > meanwhile$i; done");
                break;
        }
        StartAndCompare(drive);
        Assert.Equal(damage != "delete all", StateOf(Victim).WereDamaged);
        long fetched = StateOf(Victim).Fetched;
        // What the others wrote meanwhile, and up to 127 batches after the checkpoint of its image; of about 10 000 in use.
        Assert.True(damage == "flip the description" ? fetched < 3_000 : fetched > 8_000, $"{fetched} pages were fetched");
    }
}
