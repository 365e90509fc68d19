using BfsCore.Hosting;

namespace BfsClient.Commands;

/// <summary>
/// A note in the cluster directory that its replicas were started to mount a drive, and so are to be stopped with the last
/// one; replicas that an operator started are left alone.
/// </summary>
internal static class StartedForMount
{
    public static void Set(ClusterDirectory directory)
    {
        Directory.CreateDirectory(directory.Run);
        File.WriteAllText(PathIn(directory), "");
    }

    public static bool IsSet(ClusterDirectory directory) => File.Exists(PathIn(directory));

    public static void Clear(ClusterDirectory directory)
    {
        if (IsSet(directory))
        {
            File.Delete(PathIn(directory));
        }
    }

    private static string PathIn(ClusterDirectory directory) => Path.Combine(directory.Run, "started-for-mount");
}
