using BfsCore.Hosting.Storage;

namespace BfsTests.State;

/// <summary>The vote log on disk: whole records, the valid generation, and nothing else.</summary>
public sealed class VoteLogFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("bfs-votes-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private static void Append(VoteLogFile log, params string[] records)
    {
        foreach (string record in records)
        {
            System.Text.Encoding.UTF8.GetBytes(record, log.Reserve(record.Length));
            log.Append();
        }
    }

    private static string Read(VoteLogFile log)
    {
        var found = new List<string>();
        log.Read(record => found.Add(System.Text.Encoding.UTF8.GetString(record)));
        return string.Join(' ', found);
    }

    private string Reopened()
    {
        using VoteLogFile log = VoteLogFile.Open(_directory);
        return Read(log);
    }

    [Fact]
    public void Records_are_found_again()
    {
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            Assert.True(log.IsEmpty);
            Append(log, "one", "a longer one", "three");
        }
        Assert.Equal("one a longer one three", Reopened());
    }

    [Fact]
    public void A_generation_counts_once_it_is_whole()
    {
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            Append(log, "old", "older");
            log.Begin();
            Append(log, "half");
        }
        Assert.Equal("old older", Reopened());
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            log.Begin();
            Append(log, "new");
            log.KeepBoth();
            log.Switch();
            Append(log, "newer");
        }
        Assert.Equal("new newer", Reopened());
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            log.Begin();
            Append(log, "given up");
            log.Abandon();
            Append(log, "newest");
        }
        Assert.Equal("new newer newest", Reopened());
    }

    /// <summary>While the image that it starts from is being saved, either generation alone must be enough.</summary>
    [Fact]
    public void Two_generations_take_what_is_appended_until_one_counts()
    {
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            Append(log, "old");
            log.Begin();
            Append(log, "new");
            log.KeepBoth();
            Append(log, "both");
            Assert.Equal("old both", Read(log));
        }
        Assert.Equal("old both", Reopened());
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            log.Begin();
            Append(log, "new");
            log.KeepBoth();
            Append(log, "two", new string('x', 3 << 20), "three");
            log.Switch();
            Append(log, "four");
        }
        Assert.Equal($"new two {new string('x', 3 << 20)} three four", Reopened());
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            log.Begin();
            log.KeepBoth();
            Append(log, "five");
            log.Abandon();
            Append(log, "six");
        }
        Assert.EndsWith(" four five six", Reopened());
    }

    [Fact]
    public void What_an_earlier_generation_left_in_the_file_is_not_read()
    {
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            Append(log, "aaaaaaaa", "bbbbbbbb", "cccccccc");
            log.Begin();
            log.KeepBoth();
            log.Switch();
            log.Begin();
            Append(log, "dddddddd");
            log.KeepBoth();
            log.Switch();
        }
        Assert.Equal("dddddddd", Reopened());
    }

    [Fact]
    public void A_record_that_is_not_whole_is_the_end()
    {
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            Append(log, "first", "second", "third");
        }
        string file = Path.Combine(_directory, "votes.0");
        byte[] bytes = File.ReadAllBytes(file);
        int at = bytes.AsSpan().IndexOf("second"u8);
        bytes[at + 2] ^= 1;
        File.WriteAllBytes(file, bytes);
        Assert.Equal("first", Reopened());
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            Append(log, "next");
        }
        Assert.Equal("first next", Reopened());
    }

    [Fact]
    public void The_log_grows_and_takes_large_records()
    {
        string large = new('x', 9 << 20);
        using (VoteLogFile log = VoteLogFile.Open(_directory))
        {
            Append(log, large, "small", large);
        }
        Assert.Equal($"{large} small {large}", Reopened());
    }
}
