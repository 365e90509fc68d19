using BfsCore.FileProtocol;

namespace BfsTests.Fuse;

/// <summary>
/// Real programs on a drive over the real file service: compilers, version control, databases, archives. The service runs
/// in the relay's process and completes operations some turns of the event loop later.
/// </summary>
[Trait("Category", "Mounted")]
[Collection("Mounted")]
public class MountedWorkTests
{
    [MountedFact]
    public void ArchivesUnpackEqual() => OnADrive("""
        mkdir /tmp/bfs-tree-$$; trap 'rm -rf /tmp/bfs-tree-$$' EXIT
        for d in $(seq 20); do mkdir /tmp/bfs-tree-$$/d$d; for f in $(seq 20); do
          head -c $((RANDOM * d / 8)) /dev/urandom > /tmp/bfs-tree-$$/d$d/f$f; done; ln -s f1 /tmp/bfs-tree-$$/d$d/link; done
        chmod 640 /tmp/bfs-tree-$$/d3/*; touch -d '2001-02-03 04:05:06.789' /tmp/bfs-tree-$$/d4/f4
        tar -C /tmp -c bfs-tree-$$ | tar x
        diff -r --no-dereference /tmp/bfs-tree-$$ bfs-tree-$$
        (cd /tmp; find bfs-tree-$$ -printf '%P %y %m %s %Ts %l\n' | grep -v ' d ' | sort) > before
        (find bfs-tree-$$ -printf '%P %y %m %s %Ts %l\n' | grep -v ' d ' | sort) > after
        cmp before after
        cp -a bfs-tree-$$ copy; diff -r --no-dereference bfs-tree-$$ copy
        rm -rf copy bfs-tree-$$; test "$(ls)" = "$(printf 'after\nbefore')"
        """);

    [MountedFact]
    public void GitWorks() => OnADrive("""
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=$PWD
        git init -q r; cd r
        for i in $(seq 40); do echo "line $i" >> a; echo $i > f$i; git add .; git commit -qm "commit $i"; done
        git gc -q; git fsck --strict; test $(git rev-list --count HEAD) = 40
        git checkout -q -b other HEAD~20; echo x > y; git add y; git commit -qm y; git merge -q -m m master || git merge -q -m m main
        git status --porcelain | wc -l | grep -qx 0; git clone -q . ../r2; diff -r --exclude .git . ../r2
        """);

    [MountedFact]
    public void CompilersAndMapsWork() => OnADrive("""
        for i in $(seq 12); do echo "int f$i(void) { return $i; }" > f$i.c; done
        { for i in $(seq 12); do echo "int f$i(void);"; done; echo 'int main(void) { int s = 0;'
          for i in $(seq 12); do echo "s += f$i();"; done; echo 'return s == 78 ? 0 : 1; }'; } > main.c
        printf 'SRC := $(wildcard *.c)\nprog: $(SRC:.c=.o)\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -c -o $@ $<\n' > Makefile
        make -s -j2; ./prog; touch f1.c; make -s; ./prog
        """);

    [MountedTheory]
    [InlineData("", "DELETE")]
    [InlineData("strict", "DELETE")]
    [InlineData("", "WAL")]
    [InlineData("strict", "WAL")]
    public void SqliteWorks(string options, string journal) => OnADrive($$"""
        sqlite3 db 'PRAGMA journal_mode={{journal}}; CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);' >/dev/null
        { echo 'BEGIN;'; for i in $(seq 2000); do echo "INSERT INTO t(b) VALUES('row $i');"; done; echo 'COMMIT;'; } | sqlite3 db
        for i in $(seq 20); do sqlite3 db "INSERT INTO t(b) VALUES('single $i'); DELETE FROM t WHERE a = $i;"; done
        test "$(sqlite3 db 'PRAGMA integrity_check; SELECT COUNT(*) FROM t;')" = "$(printf 'ok\n2000')"
        """, options);

    [MountedTheory]
    [InlineData("")]
    [InlineData("strict")]
    public void LargeAndSparseFiles(string options) => OnADrive("""
        head -c 100000000 /dev/urandom > /tmp/bfs-big-$$; trap 'rm -f /tmp/bfs-big-$$' EXIT
        cp /tmp/bfs-big-$$ big; cmp big /tmp/bfs-big-$$; test "$(stat -c %s big)" = 100000000
        dd if=/tmp/bfs-big-$$ of=odd bs=12345 status=none; cmp odd /tmp/bfs-big-$$
        dd if=/dev/urandom of=patch bs=1000 count=1 status=none
        dd if=patch of=big bs=1000 seek=7777 conv=notrunc status=none; dd if=patch of=/tmp/bfs-big-$$ bs=1000 seek=7777 conv=notrunc status=none
        cmp big /tmp/bfs-big-$$
        truncate -s 50000001 big; truncate -s 50000001 /tmp/bfs-big-$$; cmp big /tmp/bfs-big-$$
        truncate -s 1G hole; echo end >> hole; test "$(stat -c %s hole)" = 1073741828; test "$(tail -c 4 hole)" = end
        test $(stat -c %b hole) -lt 100; head -c 100000 hole | cmp - <(head -c 100000 /dev/zero)
        dd if=big of=direct bs=1M iflag=direct oflag=direct conv=notrunc status=none count=40; cmp -n 41943040 direct big
        """, options);

    [MountedFact]
    public void ManyFilesInOneDirectory() => OnADrive("""
        mkdir d; cd d; seq 5000 | xargs touch; test $(ls | wc -l) = 5000; test $(find . -type f | sort -u | wc -l) = 5000
        ls -l | tail -n +2 | wc -l | grep -qx 5000; find . -name '*7' -exec chmod 600 {} +
        test $(find . -perm 600 | wc -l) = 500; find . -type f -name '*1' -delete; test $(ls | wc -l) = 4500
        cd ..; rm -rf d; test -z "$(ls)"
        """);

    [MountedFact]
    public void UnlinkedFilesStayUsable() => OnADrive("""
        echo content > a; exec 3<a 4>>a; rm a; echo more >&4; test "$(cat <&3)" = "$(printf 'content\nmore')"
        test ! -e a; echo new > a; exec 3<&- 4>&-; test "$(cat a)" = new
        echo one > b; exec 3<b; echo two > c; mv c b; test "$(cat <&3)" = one; test "$(cat b)" = two; exec 3<&-
        mkdir gone; cd gone; rmdir ../gone; ! touch x 2>/dev/null; cd ..
        """);

    [MountedFact]
    public void ParallelWritersOfOneFile() => OnADrive("""
        truncate -s 8000000 f
        for i in 0 1 2 3 4 5 6 7; do (head -c 1000000 /dev/zero | tr '\0' "$i" | dd of=f bs=7777 seek=$((i * 1000000)) oflag=seek_bytes conv=notrunc status=none) & done; wait
        for i in 0 1 2 3 4 5 6 7; do head -c 1000000 /dev/zero | tr '\0' "$i"; done | cmp - f
        for i in $(seq 8); do (for j in $(seq 50); do echo "writer $i line $j" >> log; done) & done; wait
        test $(sort -u log | wc -l) = 400; test $(wc -l < log) = 400
        """);

    [MountedFact]
    public void AFullDriveSaysSoAndLosesNothing()
    {
        using SnfsdDrive snfsd = new(16 << 20);
        using MountedDrive drive = new(snfsd.As(0), turns: 1);
        drive.Run("""
            head -c 1000000 /dev/urandom > kept; sum=$(sha256sum < kept)
            ! dd if=/dev/urandom of=full bs=64k 2> err.txt || exit 1; grep -q 'No space left' err.txt 
            ! cp full full2 2>/dev/null || exit 1
            rm -f full full2; test "$(sha256sum < kept)" = "$sum"; head -c 1000000 /dev/zero > again; test $(stat -c %s again) = 1000000
            """);
    }

    [MountedFact]
    public void PermissionsHoldForOthers()
    {
        using SnfsdDrive snfsd = new();
        using MountedDrive drive = new(snfsd.As(0), "allow_other", turns: 1);
        drive.Run("""
            chmod 755 .; mkdir -m 750 shared; chgrp 4242 shared; echo x > shared/f; mkdir -m 1777 open
            as() { setpriv --reuid "$1" --regid "$2" --groups "$3" bash -c "$4"; }
            as 1001 1001 4242 'cat shared/f' | grep -qx x
            ! as 1001 1001 7 'cat shared/f' 2>/dev/null || exit 1
            as 1001 1001 7 'umask 022; echo mine > open/m; chmod 444 open/m; git init -q open/r; cp /bin/true open/t; chmod 4755 open/t; echo >> open/t'
            test "$(stat -c '%U %a' open/m)" = 'UNKNOWN 444'; test "$(stat -c %a open/t)" = 755
            ! as 1002 1002 7 'rm -f open/m' 2>/dev/null || exit 1
            as 1001 1001 7 'exec 3> open/ro; chmod 000 open/ro; echo still >&3'
            test "$(cat open/ro)" = still
            """);
    }

    [MountedFact]
    public void WhatOneMountClosesTheOtherOpens()
    {
        using SnfsdDrive snfsd = new();
        using MountedDrive first = new(snfsd.As(0), "attr_timeout=3600", turns: 1);
        using MountedDrive second = new(snfsd.As(1), "attr_timeout=3600", turns: 2);
        first.Run("echo 0 > f; mkdir d");
        for (int i = 1; i < 15; i++)
        {
            second.Run($"test \"$(cat f)\" = {i - 1}; head -c {i * 5000} /dev/zero | tr '\\0' x > g{i}; cat g{i} > d/h");
            first.Run($"test $(wc -c < d/h) = {i * 5000}; cmp g{i} d/h; echo {i} > f");
        }
        first.Run("exec 3< f");
        Assert.Equal("", first.Unmount());
        second.Run("rm -r d; test \"$(cat f)\" = 14");
    }

    /// <summary>Several readers share the kernel's pages, and open while the file changes: none may see less than was closed before.</summary>
    [MountedFact]
    public void NoOpeningSeesLessThanWasClosedBeforeIt()
    {
        const string program = """
            #include <fcntl.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <sys/mman.h>
            #include <sys/stat.h>
            #include <sys/wait.h>
            #include <time.h>
            #include <unistd.h>
            enum { Pages = 6, Readers = 4, Seconds = 6, PageLongs = 512 };
            static long content[Pages * PageLongs];
            static int read_on(const char *path, volatile long *closed, int seed) {
              for (srand(seed); *closed >= 0;) {
                long least = *closed, version;
                int file = open(path, O_RDONLY);
                struct stat about;
                if (fstat(file, &about) != 0 || about.st_size < (long)sizeof content + least) {
                  printf("file %d: %ld bytes (%m) after %ld was closed\n", file, (long)about.st_size, least);
                  return fflush(stdout), 1;
                }
                if (rand() % 2) usleep(rand() % 4000);
                for (int page = rand() % (2 * Pages); page < Pages; page++) {
                  ssize_t count = pread(file, &version, sizeof version, page * 4096L);
                  if (count == sizeof version && version >= least) continue;
                  printf("file %d, page %d: %zd bytes (%m), version %ld after %ld was closed\n", file, page, count, version, least);
                  return fflush(stdout), 1;
                }
                close(file);
              }
              return 0;
            }
            int main(int count, char **paths) {
              volatile long *closed = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
              time_t end = time(0) + Seconds;
              for (long version = 0; time(0) < end; version++) {
                for (int i = 0; i < Pages; i++) content[i * PageLongs] = version;
                int file = open(paths[1], O_WRONLY | O_CREAT, 0644);
                if (pwrite(file, content, sizeof content, 0) != sizeof content
                  || pwrite(file, "", 1, sizeof content + version) != 1 || close(file) != 0) abort();
                *closed = version;
                for (int i = 0; version == 0 && i < Readers; i++) if (fork() == 0) _exit(read_on(paths[2], closed, i));
                usleep(rand() % 3 * 2000);
              }
              *closed = -1;
              int status, failed = 0;
              while (wait(&status) > 0) failed |= status;
              return failed != 0;
            }
            """;
        using SnfsdDrive snfsd = new();
        using MountedDrive first = new(snfsd.As(0), turns: 1);
        using MountedDrive second = new(snfsd.As(1), "entry_timeout=0", turns: 2);
        first.Run($"cat > p.c <<'END'\n{program}\nEND\ngcc -O1 -o p p.c; ./p $PWD/f {second.Directory}/f");
    }

    [MountedFact]
    public void AnUnmountFreesWhatWasHeldOpen()
    {
        using SnfsdDrive snfsd = new();
        string before;
        using (MountedDrive drive = new(snfsd.As(0), turns: 1))
        {
            before = drive.Run("df --output=avail . | tail -1");
            drive.Run("head -c 5000000 /dev/urandom > f; exec 3< f; rm f; sleep 0.1");
            Assert.Equal("", drive.Unmount());
        }
        using MountedDrive again = new(snfsd.As(0), turns: 1);
        Assert.Equal(before, again.Run("df --output=avail . | tail -1"));
    }

    [MountedFact]
    public void OneOperationForEachStepOfASmallFile()
    {
        using SnfsdDrive snfsd = new();
        List<FileOp> log = [];
        Executor inner = snfsd.As(0);
        int Record(ReadOnlySpan<byte> operation, Span<byte> result)
        {
            log.Add((FileOp)operation[0]);
            return inner(operation, result);
        }
        using MountedDrive drive = new(Record);
        drive.Run("mkdir d");
        log.Clear();
        drive.Run("echo x > d/f");
        Assert.Equal([FileOp.Create, FileOp.Write], log.Where(o => o is not (FileOp.Lookup or FileOp.GetAttr)));
        log.Clear();
        drive.Run("cat d/f");
        Assert.Equal([FileOp.Open], log.Where(o => o is not (FileOp.Lookup or FileOp.GetAttr)));
        Assert.InRange(log.Count, 1, 4);
        log.Clear();
        drive.Run("ls d");
        Assert.Equal([FileOp.Readdir], log.Where(o => o is not (FileOp.Lookup or FileOp.GetAttr)));
        log.Clear();
        drive.Run("rm d/f");
        Assert.Equal([FileOp.Unlink], log.Where(o => o is not (FileOp.Lookup or FileOp.GetAttr)));
        log.Clear();
        drive.Run("for i in $(seq 50); do > d/$i; done");
        Assert.Equal(50, log.Count(o => o == FileOp.Create));
        Assert.InRange(log.Count(o => o == FileOp.GetAttr), 0, 10);
        log.Clear();
        drive.Run("rm d/*");
        Assert.Equal(50, log.Count(o => o == FileOp.Unlink));
        Assert.InRange(log.Count(o => o == FileOp.GetAttr), 0, 10);
    }

    private static void OnADrive(string script, string options = "")
    {
        using SnfsdDrive snfsd = new();
        using MountedDrive drive = new(snfsd.As(0), options, turns: 2);
        drive.Run(script);
        Assert.Equal("", drive.Unmount());
    }
}
