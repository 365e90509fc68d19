using System.Globalization;

namespace BfsTests.Mounted;

/// <summary>
/// Real work on a real drive: archives, version control, compilers, databases. Sizes grow with BFS_TEST_FILE_BYTES and
/// BFS_TEST_FILES, for runs that have more time.
/// </summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public sealed class WorkTests : IClassFixture<WorkTests.Drive>
{
    private readonly Drive _drive;

    public WorkTests(Drive drive) => _drive = drive;

    /// <summary>One cluster and one drive for all of them; each works in a directory of its own.</summary>
    public sealed class Drive : IDisposable
    {
        private readonly ClusterFixture _cluster = new();

        public Drive()
        {
            try
            {
                MountPoint = _cluster.Start().Mount();
            }
            catch
            {
                _cluster.Dispose();
                throw;
            }
        }

        public string MountPoint { get; }

        /// <summary>Runs a script on the drive; $LOCAL is a directory elsewhere.</summary>
        public string Work(string script)
        {
            string local = Directory.CreateTempSubdirectory("bfs-local-").FullName;
            try
            {
                return _cluster.Work(MountPoint, $"LOCAL={local}\n{script}");
            }
            finally
            {
                Directory.Delete(local, recursive: true);
            }
        }

        public void Dispose() => _cluster.Dispose();
    }

    [Fact]
    public void A_tree_of_2000_files_is_unpacked_as_it_was_packed()
    {
        string output = _drive.Work(Scripts.MakeTree("$LOCAL/tree", 2000) + """
            tar cf $LOCAL/tree.tar -C $LOCAL tree
            mkdir untar; tar xf $LOCAL/tree.tar -C untar
            diff -r $LOCAL/tree untar/tree
            find untar -type f | wc -l
            """);
        Assert.Equal("2000", output.Trim());
    }

    [Fact]
    public void Git_keeps_200_commits()
    {
        string output = _drive.Work("""
            git init -q repository; cd repository
            git config user.email test@example.com; git config user.name Test
            for i in $(seq 200); do echo "line $i" >> file$((i % 20)); git add -A; git commit -q -m "commit $i"; done
            git gc -q
            git fsck --strict --no-progress
            git log --oneline | wc -l
            git status --porcelain
            """);
        Assert.Equal("200", output.Trim());
    }

    [Fact]
    public void A_program_of_50_files_is_compiled_in_parallel_and_runs()
    {
        string output = _drive.Work("""
            mkdir program; cd program
            for i in $(seq 50); do echo "int f$i(int x) { return x + $i; }" > f$i.c; done
            { echo '#include <stdio.h>'; for i in $(seq 50); do echo "int f$i(int);"; done; echo 'int main(void) { int s = 0;'
              for i in $(seq 50); do echo "s = f$i(s);"; done; echo 'printf("%d\n", s); return 0; }'; } > main.c
            printf 'program: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n' > Makefile
            make -s -j2
            ./program
            """);
        Assert.Equal("1275", output.Trim());
    }

    [Fact]
    public void SQLite_inserts_10000_rows_and_finds_its_file_whole()
    {
        string output = _drive.Work("""
            mkdir database; cd database
            { echo 'pragma journal_mode=delete; create table t(id integer primary key, text text);'
              for i in $(seq 10000); do
                [ $((i % 100)) = 1 ] && echo 'begin;'
                echo "insert into t values($i, 'row number $i');"
                [ $((i % 100)) = 0 ] && echo 'commit;'
              done; true; } > $LOCAL/insert.sql
            sqlite3 db < $LOCAL/insert.sql
            sqlite3 db 'pragma integrity_check; select count(*), sum(id) from t;'
            """);
        Assert.Equal("delete\nok\n10000|50005000", output.Trim());
    }

    [Fact]
    public void Rsync_has_nothing_to_do_the_second_time()
    {
        string output = _drive.Work(Scripts.MakeTree("$LOCAL/tree", 500) + """
            rsync -a $LOCAL/tree/ copy/
            rsync -a -i $LOCAL/tree/ copy/ | wc -l
            diff -r $LOCAL/tree copy
            """);
        Assert.Equal("0", output.Trim());
    }

    [Fact]
    public void A_large_file_is_read_back_as_it_was_written()
    {
        string bytes = Environment.GetEnvironmentVariable("BFS_TEST_FILE_BYTES") ?? (128L << 20).ToString(CultureInfo.InvariantCulture);
        string output = _drive.Work($$"""
            head -c {{bytes}} /dev/urandom > $LOCAL/large
            cp $LOCAL/large large
            sync large
            [ "$(sha256sum < large)" = "$(sha256sum < $LOCAL/large)" ] && stat -c %s large
            rm large
            """);
        Assert.Equal(bytes, output.Trim());
    }

    [Fact]
    public void A_directory_of_many_files_is_filled_listed_and_emptied()
    {
        string count = Environment.GetEnvironmentVariable("BFS_TEST_FILES") ?? "5000";
        string output = _drive.Work($$"""
            mkdir many; cd many
            seq {{count}} | xargs touch
            ls | wc -l
            seq 1 2 {{count}} | xargs rm
            ls | sort -n > $LOCAL/names; head -3 $LOCAL/names | tr '\n' ' '
            cd ..; rm -r many
            [ ! -e many ] && echo gone
            """);
        Assert.Equal($"{count}\n2 4 6 gone", output.Trim());
    }

    [Fact]
    public void Names_times_modes_and_links_are_kept()
    {
        string output = _drive.Work("""
            mkdir kinds; cd kinds
            echo text > "a file with blanks and ü"; chmod 640 "a file with blanks and ü"
            touch -d '2001-02-03 04:05:06.789012345 UTC' "a file with blanks and ü"
            TZ=UTC stat -c '%a %y' "a file with blanks and ü"
            ln -s 'a file with blanks and ü' symbolic; readlink symbolic; cat symbolic
            ln 'a file with blanks and ü' hard; stat -c %h hard
            mkfifo fifo; stat -c %F fifo
            truncate -s 1T sparse; stat -c '%s %b' sparse
            """);
        Assert.Equal("640 2001-02-03 04:05:06.789012345 +0000\na file with blanks and ü\ntext\n2\nfifo\n1099511627776 0",
            output.Trim());
    }
}
