using BfsCore;
using BfsCore.FileProtocol;

namespace BfsReplica.Snfsd;

/// <summary>Who asks, as the client says and the cluster file allows, and what POSIX lets them do.</summary>
internal ref struct Caller
{
    public const uint Nobody = 65534;

    public uint Uid;
    public uint Gid;

    /// <summary>Supplementary groups, little-endian u32 each.</summary>
    public ReadOnlySpan<byte> Groups;

    /// <summary>The client's place in the cluster file.</summary>
    public int Client;
    public long TimeNanos;

    public readonly bool IsRoot => Uid == 0;

    public readonly bool Owns(in Inode inode) => IsRoot || Uid == inode.Uid;

    public readonly bool InGroup(uint gid)
    {
        if (gid == Gid)
        {
            return true;
        }
        for (int i = 0; i + 4 <= Groups.Length; i += 4)
        {
            if (System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(Groups[i..]) == gid)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Whether the mode bits grant read (4), write (2) and execute or search (1), as asked.</summary>
    public readonly bool May(in Inode inode, uint wanted)
    {
        if (IsRoot)
        {
            return (wanted & 1) == 0 || inode.IsDirectory || (inode.Mode & FileMode.AnyExecute) != 0;
        }
        uint bits = Uid == inode.Uid ? inode.Mode >> 6 : InGroup(inode.Gid) ? inode.Mode >> 3 : inode.Mode;
        return (bits & wanted) == wanted;
    }

    /// <summary>
    /// Reading and writing by handle: the kernel checked when the file was opened, so the owner may do what an open
    /// descriptor allows even after a chmod, as NFS servers let them.
    /// </summary>
    public readonly bool MayUseOpen(in Inode inode, uint wanted) => Uid == inode.Uid || May(inode, wanted);

    /// <summary>In a sticky directory only the owner of the file or of the directory removes or renames it.</summary>
    public readonly bool MayRemove(in Inode directory, in Inode victim) =>
        (directory.Mode & FileMode.Sticky) == 0 || IsRoot || Uid == victim.Uid || Uid == directory.Uid;

    /// <summary>Reads the start of every operation; the errno is EACCES for a user that the client may not act as.</summary>
    public static Errno Read(scoped ref WireReader reader, ClusterConfig config, scoped in BfsCore.ExecutionContext context, int groupCount,
        out Caller caller)
    {
        caller = default;
        caller.Uid = reader.U32();
        caller.Gid = reader.U32();
        caller.Groups = reader.Bytes(groupCount * 4);
        caller.TimeNanos = context.TimeNanos;
        caller.Client = config.ClientIndex(context.Client);
        if (!reader.Ok || groupCount > FileLimits.MaxGroups || caller.Client < 0)
        {
            return Errno.EINVAL;
        }
        ClientInfo rights = config.Clients[caller.Client];
        if (rights.RootSquash && caller.Uid == 0)
        {
            caller.Uid = caller.Gid = Nobody;
            caller.Groups = default;
        }
        if (rights.AllowedUids.Count > 0 && !rights.AllowedUids.Contains(caller.Uid))
        {
            return Errno.EACCES;
        }
        return Errno.Ok;
    }
}
