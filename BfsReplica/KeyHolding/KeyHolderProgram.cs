using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using BfsCore;
using BfsCore.Hosting;
using Microsoft.Extensions.Logging;

namespace BfsReplica.KeyHolding;

/// <summary>
/// The key holder's process: reads the key, says that it is ready, and serves whatever process its standard input names.
/// When that ends, as with the recovery monitor, it stays for the replica that it serves and goes with it.
/// </summary>
internal static partial class KeyHolderProgram
{
    public const string Ready = "ready";
    public const string Allow = "replica ";

    private const int SetDumpable = 4;

    /// <summary>For one before it, whose replica has just gone.</summary>
    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(10);

    public static void Run(ClusterDirectory directory, ReplicaId id, ILogger logger)
    {
        // Other processes of this user can neither trace it nor read its memory.
        _ = ProcessControl(SetDumpable, 0, 0, 0, 0);
        ClusterConfig config = ClusterFile.Read(directory.ClusterFile);
        if (id.Value >= config.N)
        {
            throw new ReplicaStartException($"{directory.ClusterFile}: there is no replica {id.Value}");
        }
        // Two with the same counter would give values twice.
        using ProcessLock taken = TakeLock(directory.KeyHolderLock(id));
        using FileSigner signer = FileSigner.ForReplica(directory, config, id);
        byte[] publicKey = config.Replicas[id.Value].PublicKey.ToArray();
        using var holder = new KeyHolder(directory.KeyHolderSocket(id), id, config.N, signer, publicKey, logger);
        Console.Out.WriteLine(Ready);
        Console.Out.Flush();
        new Thread(() => ReadNames(holder)) { IsBackground = true }.Start();
        holder.Run();
        File.Delete(directory.KeyHolderSocket(id));
    }

    private static void ReadNames(KeyHolder holder)
    {
        while (Console.In.ReadLine() is { } line)
        {
            if (line.StartsWith(Allow, StringComparison.Ordinal)
                && int.TryParse(line.AsSpan(Allow.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int pid))
            {
                holder.Allow(pid);
            }
        }
        holder.Close();
    }

    private static ProcessLock TakeLock(string path)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            if (ProcessLock.TryTake(path) is { } taken)
            {
                return taken;
            }
            if (watch.Elapsed > LockPatience)
            {
                throw new ReplicaStartException($"a key holder runs already as process {ProcessLock.HolderOf(path)} ({path})");
            }
            Thread.Sleep(20);
        }
    }

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static partial int ProcessControl(int option, nuint a, nuint b, nuint c, nuint d);
}
