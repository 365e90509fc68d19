using BfsBench;
using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.Hosting;
using BfsCore.Hosting.Storage;
using BfsCore.Replication;
using BfsReplica.Snfsd;
using BfsTests.Hosting.Files;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsTests.Benchmarks;

/// <summary>What benchmarks of growth begin with.</summary>
public sealed class GrownStateTests
{
    [Fact]
    public void All_replicas_begin_with_the_files_that_were_asked_for()
    {
        const int files = 1500;
        AtEachReplica(new Growth(files), caller =>
        {
            for (int i = 0; i < files; i++)
            {
                caller.Lookup(caller.Lookup(FileHandle.Root, $"d{i % (files / 1000)}"), FileTree.NameOf(i));
            }
        });
    }

    /// <summary>More than is saved at once.</summary>
    [Fact]
    public void All_replicas_begin_with_the_data_that_was_asked_for()
    {
        int megabytes = (int)(StateFile.LargeBytes / 1_000_000 * 3 / 2);
        using var volume = new LocalVolume(FileTree.DataDriveBytes(megabytes));
        FileHandle[] files = FileTree.MakeData(volume, megabytes);
        AtEachReplica(new Growth(0, megabytes), caller =>
        {
            FileHandle directory = caller.Lookup(FileHandle.Root, "data");
            for (int i = 0; i < files.Length; i++)
            {
                Assert.Equal(files[i], caller.Lookup(directory, FileTree.NameOf(i)));
                volume.Read(files[i], FileTree.FullFileBytes - 4096, 4096);
                caller.Read(files[i], FileTree.FullFileBytes - 4096, 4096);
                Assert.Equal(volume.Result, caller.Result);
            }
        });
    }

    private static void AtEachReplica(Growth content, Action<ReplicaCaller> check)
    {
        using var temp = new TempDirectory();
        var directory = new ClusterDirectory(temp.Path);
        ClusterConfig config = ClusterFounder.Create(directory, new ClusterPlan { ServiceStateBytes = content.DriveBytes });
        GrownState.Make(directory, config, content);
        var roots = new HashSet<Digest>();
        for (int id = 0; id < config.N; id++)
        {
            using StateFile file = GrownState.Open(directory, config, new ReplicaId(id));
            Assert.Equal(StateFileStatus.CleanStop, file.Status);
            roots.Add(file.State.CheckpointDigest(default));
            var service = new FileService(config);
            service.Open(file.State.Window(Replica.StateBytes(config) - config.ServiceStateBytes, config.ServiceStateBytes));
            check(new ReplicaCaller(service));
        }
        Assert.Single(roots);
    }

    private sealed class ReplicaCaller(FileService service) : FileCaller
    {
        protected override int Execute(ReadOnlySpan<byte> operation, Span<byte> result, bool readOnly) =>
            service.Execute(new ExecutionContext(new ClientId(Limits.FirstClientId), 1, readOnly), operation, result);
    }
}
