using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.Hosting;
using BfsCore.Hosting.Storage;
using BfsCore.Replication;
using BfsReplica.Snfsd;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsBench;

/// <summary>
/// The state files of replicas that have something in their drive from the start, as a stop would have left them: made for one, and copied
/// to the others. What is not in use need not be in memory, so that there may be more of it than four replicas have memory for.
/// </summary>
internal static class GrownState
{
    private static readonly string[] Files = ["state.image", "state.journal", "state.meta"];

    public static void Make(ClusterDirectory directory, ClusterConfig config, Growth content)
    {
        string first = DirectoryOf(directory, 0);
        using (StateFile file = Open(directory, config, new ReplicaId(0)))
        {
            var service = new FileService(config);
            service.Open(file.State.Window(Replica.StateBytes(config) - config.ServiceStateBytes, config.ServiceStateBytes));
            var filler = new Filler(service, file);
            content.Make(filler);
            filler.Save(cleanStop: true);
        }
        for (int id = 1; id < config.N; id++)
        {
            // Holes stay holes.
            ChildProgram.Run("cp", [.. Files.Select(f => Path.Combine(first, f)), DirectoryOf(directory, id)]);
        }
    }

    /// <summary>A replica's, as they are.</summary>
    public static StateFile Open(ClusterDirectory directory, ClusterConfig config, ReplicaId id) =>
        StateFile.Open(directory.Replica(id), Replica.StateBytes(config));

    private static string DirectoryOf(ClusterDirectory directory, int id) => Directory.CreateDirectory(directory.Replica(new ReplicaId(id))).FullName;

    /// <summary>All of it is the first checkpoint, which is saved again and again, so that it does not fill the memory.</summary>
    private sealed class Filler(FileService service, StateFile file) : FileCaller
    {
        private long _time;

        public void Save(bool cleanStop = false)
        {
            file.State.AmendFirstCheckpoint();
            file.Save(file.State.LastCheckpoint, cleanStop);
        }

        protected override int Execute(ReadOnlySpan<byte> operation, Span<byte> result, bool readOnly)
        {
            if (file.UnsavedBytes > StateFile.LargeBytes)
            {
                Save();
            }
            return service.Execute(new ExecutionContext(new ClientId(Limits.FirstClientId), ++_time, readOnly), operation, result);
        }
    }
}
