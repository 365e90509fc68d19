using BfsCore.Hosting.Recovery;
using BfsTests.Hosting.Files;

namespace BfsTests.Hosting.Recovery;

/// <summary>Records of recoveries: added, never changed, and readable after a crash in the midst of a line.</summary>
public sealed class RecoveryJournalTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    private string Path => _temp.File("recoveries.jsonl");

    public void Dispose() => _temp.Dispose();

    private static RecoveryRecord Record(int replica) => new()
    {
        Time = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc),
        Replica = replica,
        Cause = "operator",
        Who = "somebody \"else\"\n",
        Outcome = "recovered",
        Phases = [new PhaseTime("reboot", 1.5)],
        CorruptPages = [new CorruptPage(7, "inode 17 (/src/main.c)"), new CorruptPage(8, null)],
        PagesCorrupt = 2,
        ProgramFiles = [new TamperedFile("a.dll", "changed", "/evidence/a.dll")],
    };

    [Fact]
    public void Records_are_read_as_they_were_added_a_line_each()
    {
        for (int i = 0; i < 3; i++)
        {
            RecoveryJournal.Append(Path, Record(i));
        }
        IReadOnlyList<RecoveryRecord> read = RecoveryJournal.Read(Path, out int unreadable);
        Assert.Equal(0, unreadable);
        Assert.Equal(Enumerable.Range(0, 3).Select(i => RecoveryJson.Write(Record(i))), read.Select(RecoveryJson.Write));
        Assert.Equal(3, File.ReadAllLines(Path).Length);
    }

    [Fact]
    public void No_file_has_no_records() => Assert.Empty(RecoveryJournal.Read(Path, out _));

    /// <summary>Wherever the crash cut the last line off, the records before and after it are there.</summary>
    [Fact]
    public void A_torn_last_line_costs_only_itself()
    {
        RecoveryJournal.Append(Path, Record(0));
        long whole = new FileInfo(Path).Length;
        for (long cut = 1; cut < whole; cut += 13)
        {
            File.Delete(Path);
            RecoveryJournal.Append(Path, Record(1));
            RecoveryJournal.Append(Path, Record(2));
            using (FileStream file = File.OpenWrite(Path))
            {
                file.SetLength(file.Length - cut);
            }
            RecoveryJournal.Append(Path, Record(3));
            IReadOnlyList<RecoveryRecord> read = RecoveryJournal.Read(Path, out int unreadable);
            // Only the line's end was cut off: the record is whole.
            Assert.Equal(cut == 1 ? [1, 2, 3] : [1, 3], read.Select(r => r.Replica));
            Assert.Equal(cut == 1 ? 0 : 1, unreadable);
        }
    }

    [Fact]
    public void Lines_that_are_no_records_are_counted()
    {
        File.WriteAllText(Path, "null\n[]\n{\"replica\":\"x\"}\n\0\n\"\\ud800\"\n{}\n");
        Assert.Single(RecoveryJournal.Read(Path, out int unreadable));
        Assert.Equal(5, unreadable);
    }
}
