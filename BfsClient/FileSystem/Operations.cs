using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>Encodes operations of the file protocol (docs/file-protocol.md).</summary>
internal static class Operations
{
    /// <summary>"Keep whatever it is", in place of a list of held handles.</summary>
    private const ushort HoldAll = 0xFFFF;

    public static void WriteCaller(ref WireWriter writer, FileOp op, in Caller caller, ReadOnlySpan<uint> groups)
    {
        writer.U16((ushort)op);
        writer.U16((ushort)groups.Length);
        writer.U32(caller.Uid);
        writer.U32(caller.Gid);
        foreach (uint group in groups)
        {
            writer.U32(group);
        }
    }

    /// <summary>The nodes in use here, which are to survive the loss of their last name.</summary>
    public static void WriteHeld(ref WireWriter writer, Dictionary<ulong, Node>.KeyCollection nodes)
    {
        if (nodes.Count > FileLimits.MaxHeldHandles)
        {
            writer.U16(HoldAll);
            return;
        }
        writer.U16((ushort)nodes.Count);
        foreach (ulong node in nodes)
        {
            writer.Handle(FileHandle.Unpack(node));
        }
    }
}
