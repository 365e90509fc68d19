using System.Security.Cryptography;
using BfsCore;
using BfsCore.Hosting.Storage;
using BfsCore.State;
using Xunit;

namespace BfsTests.State;

/// <summary>The image on disk is always that of a stable checkpoint.</summary>
public sealed class StateFileTests : IDisposable
{
    private const int Pages = 300;
    private const long SizeBytes = Pages * PagedState.PageBytes;

    private readonly string _directory = Directory.CreateTempSubdirectory("bfs-state-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private StateFile Open() => StateFile.Open(_directory, SizeBytes);

    private string PathOf(string name) => Path.Combine(_directory, name);

    internal static byte[] Memory(PagedState state) => state.Read(0, (int)state.SizeBytes).ToArray();

    /// <summary>Some pages filled, some emptied, some changed a little.</summary>
    private static void Scribble(PagedState state, Random random, int pages = Pages)
    {
        for (int i = 0; i < 60; i++)
        {
            Span<byte> page = state.Modify(random.Next(pages) * (long)PagedState.PageBytes, PagedState.PageBytes);
            switch (random.Next(3))
            {
                case 0:
                    random.NextBytes(page);
                    break;
                case 1:
                    page.Clear();
                    break;
                default:
                    page[random.Next(page.Length)]++;
                    break;
            }
        }
    }

    [Fact]
    public void A_new_state_is_blank_and_sparse()
    {
        using StateFile file = StateFile.Open(_directory, 16L << 30);
        Assert.Equal(StateFileStatus.New, file.Status);
        Assert.Equal(4L << 20, file.State.PageCount);
        Assert.Equal(new SeqNum(0), file.SavedCheckpoint);
        Assert.True(file.State.CheckpointDigest(new SeqNum(0)).IsZero);
        Assert.Equal(0, file.State.Read((16L << 30) - 1, 1)[0]);
    }

    /// <summary>Its blocks are written over by the next; a clean stop gives them back.</summary>
    [Fact]
    public void A_journal_that_was_applied_keeps_its_place_and_says_nothing()
    {
        var random = new Random(1);
        long journalBytes = 0;
        for (int checkpoint = 1; checkpoint <= 4; checkpoint++)
        {
            using (StateFile file = Open())
            {
                Scribble(file.State, random);
                file.State.TakeCheckpoint(new SeqNum(checkpoint));
                file.Save(new SeqNum(checkpoint), cleanStop: checkpoint == 4);
            }
            long length = new FileInfo(PathOf("state.journal")).Length;
            Assert.True(checkpoint == 4 ? length == 0 : length >= journalBytes && length > 0);
            journalBytes = length;
            using var disk = new StateDisk(_directory);
            Assert.Null(StateJournal.Read(disk));
        }
    }

    [Fact]
    public void A_saved_checkpoint_is_found_again()
    {
        var random = new Random(1);
        byte[] saved;
        Digest root;
        using (StateFile file = Open())
        {
            Scribble(file.State, random);
            file.State.TakeCheckpoint(new SeqNum(128));
            saved = Memory(file.State);
            root = file.State.CheckpointDigest(new SeqNum(128));
            // What comes after the checkpoint that is saved stays in memory only.
            Scribble(file.State, random);
            file.State.TakeCheckpoint(new SeqNum(256));
            Scribble(file.State, random);
            byte[] current = Memory(file.State);
            file.Save(new SeqNum(128));
            Assert.Equal(current, Memory(file.State));
            Assert.Equal(new SeqNum(128), file.SavedCheckpoint);
        }
        using (StateFile file = Open())
        {
            Assert.Equal(StateFileStatus.UncleanStop, file.Status);
            Assert.Equal(new SeqNum(128), file.State.LastCheckpoint);
            Assert.Equal(root, file.State.CheckpointDigest(new SeqNum(128)));
            Assert.Equal(saved, Memory(file.State));
            Scribble(file.State, random);
            file.State.TakeCheckpoint(new SeqNum(256));
            saved = Memory(file.State);
            file.Save(new SeqNum(256), cleanStop: true);
        }
        using (StateFile file = Open())
        {
            Assert.Equal(StateFileStatus.CleanStop, file.Status);
            Assert.Equal(saved, Memory(file.State));
        }
        // Opened and not saved again: in use means not clean.
        using (StateFile file = Open())
        {
            Assert.Equal(StateFileStatus.UncleanStop, file.Status);
        }
    }

    [Fact]
    public void A_clean_stop_without_changes_is_recorded_too()
    {
        using (StateFile file = Open())
        {
            file.Save(new SeqNum(0), cleanStop: true);
        }
        using StateFile again = Open();
        Assert.Equal(StateFileStatus.CleanStop, again.Status);
    }

    /// <summary>Execution, rollback and later checkpoints never reach the file by themselves.</summary>
    [Fact]
    public void The_image_changes_only_by_saving()
    {
        var random = new Random(2);
        using StateFile file = Open();
        byte[] saved = Memory(file.State);
        for (int n = 1; n <= 3; n++)
        {
            Scribble(file.State, random);
            file.State.TakeCheckpoint(new SeqNum(n));
        }
        file.State.RollbackTo(new SeqNum(2));
        file.Dispose();
        using StateFile again = Open();
        Assert.Equal(saved, Memory(again.State));
    }

    /// <summary>The pages behind what was in use are written once: not into the journal.</summary>
    [Fact]
    public void New_pages_are_not_in_the_journal()
    {
        using var disk = new FaultyDisk(_directory);
        using StateFile file = StateFile.Open(disk, SizeBytes);
        file.State.Modify(0, 100 * 4096).Fill(1);
        file.State.TakeCheckpoint(new SeqNum(1));
        file.Save(new SeqNum(1));
        Assert.Equal(0, StateJournalPages());
        file.State.Modify(90 * 4096, 100 * 4096).Fill(2);
        file.State.TakeCheckpoint(new SeqNum(2));
        file.Save(new SeqNum(2));
        Assert.Equal(10, StateJournalPages());
        Assert.Equal(190, StateMeta.Decode(disk.ReadMeta())!.Value.Used);

        // Behind a page of header and one of table.
        long StateJournalPages() => Math.Max(0, (disk.Length(StatePart.Journal) / 4096) - 2);
    }

    [Fact]
    public void Pages_that_become_zero_are_saved_as_zero()
    {
        using (StateFile file = Open())
        {
            file.State.Modify(0, (int)SizeBytes).Fill(5);
            file.State.TakeCheckpoint(new SeqNum(1));
            file.Save(new SeqNum(1));
            file.State.Modify(4096, 290 * 4096).Clear();
            file.State.TakeCheckpoint(new SeqNum(2));
            file.Save(new SeqNum(2));
        }
        using StateFile again = Open();
        Assert.Equal(StateFileStatus.UncleanStop, again.Status);
        Assert.Equal(0, again.State.Read(4096, 290 * 4096).IndexOfAnyExcept((byte)0) + 1);
        Assert.Equal(10 * 4096, Memory(again.State).Count(b => b == 5));
    }

    [Fact]
    public void Damage_is_noticed_at_the_start()
    {
        SaveOne();
        using (FileStream image = File.OpenWrite(PathOf("state.image")))
        {
            image.Position = 4096 * 7 + 9;
            image.WriteByte(77);
        }
        using StateFile file = Open();
        Assert.Equal(StateFileStatus.Damaged, file.Status);
        Assert.Equal("the state is damaged: state.image does not have the digest of checkpoint #1", file.StatusText);
        Assert.Throws<BfsAssertException>(() => file.Save(new SeqNum(1)));
    }

    [Fact]
    public void A_damaged_or_missing_description_is_noticed()
    {
        SaveOne();
        byte[] meta = File.ReadAllBytes(PathOf("state.meta"));
        meta[40]++;
        File.WriteAllBytes(PathOf("state.meta"), meta);
        using (StateFile file = Open())
        {
            Assert.Equal("the state is damaged: state.meta is damaged or of another version", file.StatusText);
        }
        File.Delete(PathOf("state.meta"));
        using (StateFile file = Open())
        {
            Assert.Equal("the state is damaged: state.meta is missing beside a state.image that is not empty", file.StatusText);
        }
    }

    [Fact]
    public void A_missing_image_is_noticed()
    {
        SaveOne();
        File.Delete(PathOf("state.image"));
        using StateFile file = Open();
        Assert.Equal(StateFileStatus.Damaged, file.Status);
        Assert.Equal($"the state is damaged: state.image has 0 bytes instead of {SizeBytes}", file.StatusText);
    }

    [Fact]
    public void A_state_of_another_size_is_refused()
    {
        SaveOne();
        var e = Assert.Throws<StateFileException>(() => StateFile.Open(_directory, SizeBytes + 4096).Dispose());
        Assert.Contains("the size of a state cannot change", e.Message, StringComparison.Ordinal);
        using StateFile file = Open();
        Assert.Equal(StateFileStatus.UncleanStop, file.Status);
    }

    [Fact]
    public void A_second_process_is_refused()
    {
        using StateFile file = Open();
        var e = Assert.Throws<StateFileException>(Open);
        Assert.Contains(_directory, e.Message, StringComparison.Ordinal);
    }

    /// <summary>Whole files of another cluster are an error, and stay as they are.</summary>
    [Fact]
    public void A_state_of_another_cluster_is_refused()
    {
        Digest ours = Digest.Read(Enumerable.Repeat((byte)1, 32).ToArray());
        Digest theirs = Digest.Read(Enumerable.Repeat((byte)2, 32).ToArray());
        using (StateFile file = StateFile.Open(_directory, SizeBytes, ours))
        {
            file.State.Modify(0, 10).Fill(1);
            file.State.TakeCheckpoint(new SeqNum(1));
            file.Save(new SeqNum(1));
        }
        byte[] image = File.ReadAllBytes(PathOf("state.image"));
        var e = Assert.Throws<StateFileException>(() => StateFile.Open(_directory, SizeBytes, theirs));
        Assert.Contains("another cluster", e.Message, StringComparison.Ordinal);
        Assert.Equal(image, File.ReadAllBytes(PathOf("state.image")));
        using StateFile again = StateFile.Open(_directory, SizeBytes, ours);
        Assert.Equal(StateFileStatus.UncleanStop, again.Status);
    }

    /// <summary>The layout of state.meta is frozen: later versions must read it. Format 1 had no cluster, 2 did not say what is used.</summary>
    [Fact]
    public void The_description_is_frozen()
    {
        Digest root = Digest.Read(Enumerable.Repeat((byte)7, 32).ToArray());
        Digest cluster = Digest.Read(Enumerable.Repeat((byte)9, 32).ToArray());
        byte[] bytes = new StateMeta(3, new SeqNum(128), root, true, 2, cluster).Encode();
        string rest = "01000000" + "0300000000000000" + "8000000000000000" + string.Concat(Enumerable.Repeat("07", 32));
        rest += string.Concat(Enumerable.Repeat("09", 32));
        Assert.Equal("4246535354415445" + "03000000" + rest + "0200000000000000", Convert.ToHexStringLower(bytes[..104]));
        Assert.Equal(new StateMeta(3, new SeqNum(128), root, true, 2, cluster), StateMeta.Decode(bytes));
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 1;
            Assert.Null(StateMeta.Decode(bytes));
            bytes[i] ^= 1;
        }
        Assert.Equal(new StateMeta(3, new SeqNum(128), root, true, 3), Old("01000000" + rest[..104]));
        Assert.Equal(new StateMeta(3, new SeqNum(128), root, true, 3, cluster), Old("02000000" + rest));

        static StateMeta? Old(string text)
        {
            byte[] old = Convert.FromHexString("4246535354415445" + text);
            return StateMeta.Decode([.. old, .. SHA256.HashData(old)]);
        }
    }

    /// <summary>A save that was stopped is finished, by the version that wrote its journal or by this one. Format 1 did not say what is used.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_journal_of_either_format_is_finished(int format)
    {
        byte[] expected;
        using (var disk = new FaultyDisk(_directory))
        using (StateFile file = StateFile.Open(disk, SizeBytes))
        {
            file.State.Modify(0, (int)SizeBytes).Fill(1);
            file.State.TakeCheckpoint(new SeqNum(1));
            file.Save(new SeqNum(1));
            Scribble(file.State, new Random(1));
            file.State.TakeCheckpoint(new SeqNum(2));
            expected = Memory(file.State);
            file.BeginSave(new SeqNum(2));
            // The image synced, the journal's header written and synced: of its pages some come to the image.
            disk.ChangesLeft = 3 + 7;
            file.RunSave();
            Assert.Throws<StateFileException>(file.EndSave);
        }
        if (format == 1)
        {
            byte[] journal = File.ReadAllBytes(PathOf("state.journal"));
            journal[8] = 1;
            SHA256.HashData(journal.AsSpan(0, 104), journal.AsSpan(104));
            File.WriteAllBytes(PathOf("state.journal"), journal);
        }
        using StateFile again = Open();
        Assert.Equal((StateFileStatus.UncleanStop, new SeqNum(2)), (again.Status, again.SavedCheckpoint));
        Assert.Equal(expected, Memory(again.State));
    }

    /// <summary>Whatever became of the files: they open, nothing throws, and what is not whole is not trusted (§5.3.3).</summary>
    [Theory]
    [InlineData("state.image")]
    [InlineData("state.meta")]
    [InlineData("state.journal")]
    public void Damaged_files_open_as_a_state_that_is_not_trusted(string name)
    {
        var random = new Random(1);
        for (int round = 0; round < 30; round++)
        {
            foreach (string path in Directory.GetFiles(_directory))
            {
                File.Delete(path);
            }
            SaveOne();
            byte[] whole = File.ReadAllBytes(PathOf("state.image"));
            byte[] bytes = File.ReadAllBytes(PathOf(name));
            if (round % 3 == 0)
            {
                bytes = bytes[..random.Next(bytes.Length)];
            }
            for (int i = 0; i < (round % 3) * 500 && bytes.Length > 0; i++)
            {
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            }
            File.WriteAllBytes(PathOf(name), bytes);
            using StateFile file = Open();
            bool right = file.State.Read(0, (int)SizeBytes).SequenceEqual(whole);
            Assert.Equal(file.Status != StateFileStatus.Damaged, file.State.IsTrusted);
            Assert.True(right || !file.State.IsTrusted);
            Assert.Equal(file.State.IsTrusted ? 1 : 0, file.SavedCheckpoint.Value);
        }
    }

    [Fact]
    public void A_repaired_state_is_saved_and_whole_again()
    {
        SaveOne();
        byte[] whole = File.ReadAllBytes(PathOf("state.image"));
        Digest root = StateMeta.Decode(File.ReadAllBytes(PathOf("state.meta")))!.Value.Root;
        Flip("state.image", (3 * 4096) + 5);
        Flip("state.image", 40 * 4096);
        using (StateFile file = Open())
        {
            // Page 40 lies behind what is in use: as if a save had not come to its end.
            Assert.Equal(10, file.PagesChecked);
            Assert.Equal(0, file.State.Read(40 * 4096, 1)[0]);
            byte[] content = whole[(3 * 4096)..(4 * 4096)];
            file.State.InstallPage(3, content, PartitionTree.PageDigest(content));
            Assert.True(file.State.TryCompleteTransfer(new SeqNum(1), root));
            file.State.DiscardBefore(new SeqNum(1));
            file.Save(new SeqNum(1), cleanStop: true);
        }
        Assert.Equal(whole, File.ReadAllBytes(PathOf("state.image")));
        using StateFile again = Open();
        Assert.Equal(StateFileStatus.CleanStop, again.Status);
    }

    private void Flip(string name, int offset)
    {
        byte[] bytes = File.ReadAllBytes(PathOf(name));
        bytes[offset] ^= 16;
        using FileStream file = File.OpenWrite(PathOf(name));
        file.Position = offset;
        file.WriteByte(bytes[offset]);
    }

    private void SaveOne()
    {
        using StateFile file = Open();
        file.State.Modify(0, 10 * 4096).Fill(1);
        file.State.TakeCheckpoint(new SeqNum(1));
        file.Save(new SeqNum(1));
    }

    /// <summary>Pitfall 35: at whatever change the power fails, the one or the other checkpoint is there, whole.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_stop_at_any_change_leaves_a_whole_checkpoint(bool goesOn)
    {
        int olds = 0;
        int news = 0;
        for (int seed = 0, stop = 0; seed < 3; stop++)
        {
            var random = new Random((1000 * seed) + stop);
            (byte[] before, byte[] after, bool done) = SaveTwiceAndStop(stop, random, goesOn);
            // The start that repairs may be stopped as well, more than once.
            _ = OpensBeforeStop(random.Next(50), random) || OpensBeforeStop(random.Next(50), random);
            using StateFile file = Open();
            byte[] found = Memory(file.State);
            Assert.NotEqual(StateFileStatus.Damaged, file.Status);
            Assert.True(found.AsSpan().SequenceEqual(after) || (!done && found.AsSpan().SequenceEqual(before)));
            Assert.Equal(found.AsSpan().SequenceEqual(after) ? 2 : 1, file.SavedCheckpoint.Value);
            _ = found.AsSpan().SequenceEqual(after) ? news++ : olds++;
            if (done)
            {
                (seed, stop) = (seed + 1, -1);
            }
        }
        Assert.True(olds >= 20 && news >= 40, $"{olds} old, {news} new");
    }

    /// <param name="goesOn">The state changes while the second save is under way.</param>
    private (byte[] Before, byte[] After, bool Done) SaveTwiceAndStop(int stop, Random random, bool goesOn)
    {
        foreach (string path in Directory.GetFiles(_directory))
        {
            File.Delete(path);
        }
        var disk = new FaultyDisk(_directory);
        using StateFile file = StateFile.Open(disk, SizeBytes);
        Scribble(file.State, random, pages: random.Next(1, Pages));
        file.State.TakeCheckpoint(new SeqNum(1));
        file.Save(new SeqNum(1));
        byte[] before = Memory(file.State);
        Scribble(file.State, random);
        file.State.TakeCheckpoint(new SeqNum(2));
        byte[] after = Memory(file.State);
        disk.ChangesLeft = stop;
        bool done = !Fails(() => SaveStepwise(file, new SeqNum(2), () =>
        {
            if (goesOn)
            {
                Scribble(file.State, random);
                file.State.TakeCheckpoint(file.State.LastCheckpoint.Next);
                file.State.DiscardBefore(file.State.LastCheckpoint);
            }
        }));
        disk.CutPower(random);
        return (before, after, done);
    }

    internal static void SaveStepwise(StateFile file, SeqNum n, Action meanwhile)
    {
        file.BeginSave(n);
        meanwhile();
        file.RunSave();
        meanwhile();
        file.EndSave();
    }

    private bool OpensBeforeStop(int stop, Random random)
    {
        using var disk = new FaultyDisk(_directory) { ChangesLeft = stop };
        bool failed = Fails(() => StateFile.Open(disk, SizeBytes).State.Dispose());
        disk.CutPower(random);
        return !failed;
    }

    private static bool Fails(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>Execution, checkpoints and rollbacks go on while a save is under way, and the next save brings them.</summary>
    [Fact]
    public void What_changes_during_a_save_is_saved_by_the_next_one()
    {
        for (int seed = 0; seed < 30; seed++)
        {
            var random = new Random(seed);
            string directory = PathOf("during-" + seed);
            byte[] expected = [];
            using (StateFile file = StateFile.Open(new FaultyDisk(directory), SizeBytes))
            {
                long number = 0;
                for (int save = 0; save < 4; save++)
                {
                    Scribble(file.State, random, pages: Pages / 4 * (save + 1));
                    file.State.TakeCheckpoint(new SeqNum(++number));
                    file.State.DiscardBefore(new SeqNum(number));
                    SaveStepwise(file, new SeqNum(number), () =>
                    {
                        Scribble(file.State, random);
                        file.State.TakeCheckpoint(new SeqNum(++number));
                        Scribble(file.State, random);
                        file.State.RollbackTo(new SeqNum(number));
                        expected = Memory(file.State);
                    });
                    Assert.Equal(expected, Memory(file.State));
                }
                file.State.DiscardBefore(new SeqNum(number));
                file.Save(new SeqNum(number));
            }
            using StateFile again = StateFile.Open(directory, SizeBytes);
            Assert.Equal(StateFileStatus.UncleanStop, again.Status);
            Assert.Equal(expected, Memory(again.State));
        }
    }

    /// <summary>A full disk stops saving, not the replica; once there is room again, nothing is lost.</summary>
    [Fact]
    public void After_a_full_disk_saving_can_be_tried_again()
    {
        bool failed = true;
        for (int room = 0; failed; room++)
        {
            string directory = PathOf("full-" + room);
            var random = new Random(room);
            using var disk = new FaultyDisk(directory);
            byte[] expected;
            using (StateFile file = StateFile.Open(disk, SizeBytes))
            {
                Scribble(file.State, random);
                file.State.TakeCheckpoint(new SeqNum(1));
                disk.ChangesLeft = room;
                failed = Fails(() => file.Save(new SeqNum(1)));
                Scribble(file.State, random);
                file.State.TakeCheckpoint(new SeqNum(2));
                file.State.DiscardBefore(new SeqNum(2));
                expected = Memory(file.State);
                disk.ChangesLeft = int.MaxValue;
                file.Save(new SeqNum(2));
                Assert.Equal(expected, Memory(file.State));
            }
            using StateFile again = StateFile.Open(directory, SizeBytes);
            Assert.Equal(StateFileStatus.UncleanStop, again.Status);
            Assert.Equal(expected, Memory(again.State));
        }
    }

    /// <summary>While a save that failed half way waits to be finished, a stop must not find the image half changed.</summary>
    [Fact]
    public void A_stop_after_a_failed_save_leaves_a_whole_checkpoint()
    {
        bool failed = true;
        for (int room = 0; failed; room++)
        {
            string directory = PathOf("stop-" + room);
            var random = new Random(room);
            var disk = new FaultyDisk(directory);
            using (StateFile file = StateFile.Open(disk, SizeBytes))
            {
                Scribble(file.State, random);
                file.State.TakeCheckpoint(new SeqNum(1));
                disk.ChangesLeft = room;
                failed = Fails(() => file.Save(new SeqNum(1)));
                Scribble(file.State, random);
                file.State.TakeCheckpoint(new SeqNum(2));
                // The retry gets some way and fails as well.
                disk.ChangesLeft = random.Next(12);
                _ = Fails(() => file.Save(new SeqNum(2)));
                disk.CutPower(random);
            }
            using StateFile again = StateFile.Open(directory, SizeBytes);
            Assert.NotEqual(StateFileStatus.Damaged, again.Status);
        }
    }

    /// <summary>§4.3.2: an attacker may have saved a state under a number that nobody can have; the right one is lower, and is saved.</summary>
    [Fact]
    public void What_was_saved_under_a_wrong_number_does_not_keep_a_lower_checkpoint_from_being_saved()
    {
        var random = new Random(9);
        byte[] right;
        using (StateFile file = Open())
        {
            Scribble(file.State, random);
            file.State.TakeCheckpoint(new SeqNum(1_000_000));
            file.State.DiscardBefore(new SeqNum(1_000_000));
            file.Save(new SeqNum(1_000_000));
            file.State.DistrustAll();
            file.ForgetSaved();
            Assert.Equal(new SeqNum(0), file.SavedCheckpoint);
            // What a transfer does: nothing differs but the number.
            Assert.True(file.State.TryCompleteTransfer(new SeqNum(128), file.State.CheckpointDigest(new SeqNum(0))));
            file.State.DiscardBefore(new SeqNum(128));
            file.Save(new SeqNum(128), cleanStop: true);
            right = Memory(file.State);
        }
        using StateFile again = Open();
        Assert.Equal((StateFileStatus.CleanStop, new SeqNum(128)), (again.Status, again.SavedCheckpoint));
        Assert.Equal(right, Memory(again.State));
    }
}
