using System.Diagnostics;
using BfsBench;
using BfsCore;

namespace BfsTests.Benchmarks;

/// <summary>The server processes of benchmarks.</summary>
public sealed class BenchClusterTests
{
    [Fact]
    public void A_server_that_is_killed_leaves_no_files_of_its_runtime()
    {
        int id;
        using (var cluster = new BenchCluster(ClusterMode.NoRep, 1))
        {
            Process server = cluster.Replace(0);
            id = server.Id;
            // It has begun: the runtime's files would be there.
            Assert.Equal("begun", server.StandardOutput.ReadLine());
        }
        Assert.Empty(Directory.GetFiles(Path.GetTempPath(), $"*-{id}-*"));
    }
}
