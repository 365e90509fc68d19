using System.Text;
using BfsCore.FileProtocol;
using BfsCore.State;

namespace BfsSim.Nodes;

/// <summary>
/// Operations of the file protocol on few names, by several users, on handles that earlier results brought (some of them
/// stale by now). The supplementary group numbers the operation, so that all differ.
/// </summary>
/// <param name="firstNumber">Of the operations, so that those of two workloads differ.</param>
public sealed class FileWorkload(SimOptions options, SimRandom random, uint firstNumber = 0x4000_0000) : IWorkload
{
    private const int RememberedHandles = 24;

    private readonly List<FileHandle> _handles = [FileHandle.Root];
    private readonly byte[] _buffer = new byte[FileLimits.MaxTransferBytes + 1024];
    private uint _number;

    public int Remaining { get; set; } = options.Operations;

    public (byte[] Operation, bool ReadOnly) Next()
    {
        Remaining--;
        bool read = random.PerMille(options.ReadsPerMille);
        FileOp op = read
            ? random.Choose(FileOp.Lookup, FileOp.GetAttr, FileOp.Read, FileOp.Readdir, FileOp.Readlink, FileOp.Statfs, FileOp.Access,
                FileOp.Open)
            : random.Choose(FileOp.Create, FileOp.Create, FileOp.Mkdir, FileOp.Write, FileOp.Write, FileOp.SetAttr, FileOp.Unlink,
                FileOp.Rmdir, FileOp.Rename, FileOp.Link, FileOp.Symlink, FileOp.Fsync, FileOp.ReleaseOrphan);
        // Decided without randomness: the seeds that are kept as scenarios mean what they meant before there were parts.
        op = op == FileOp.Write && _number % 2 == 1 ? FileOp.WriteParts : op;
        var writer = new WireWriter(_buffer);
        writer.U16((ushort)op);
        writer.U16(1);
        uint user = random.PerMille(800) ? 0 : 1000u;
        writer.U32(user);
        writer.U32(user);
        writer.U32(firstNumber + _number++);
        Arguments(op, ref writer);
        return (_buffer[..writer.Length], read && !random.PerMille(200));
    }

    /// <summary>Remembers the handle of what was made or found.</summary>
    public void Completed(byte[] operation, ReadOnlySpan<byte> result)
    {
        var op = (FileOp)new WireReader(operation).U16();
        var reader = new WireReader(result);
        if (reader.I32() != 0 || op is not (FileOp.Create or FileOp.Mkdir or FileOp.Symlink or FileOp.Lookup))
        {
            return;
        }
        if (op == FileOp.Create)
        {
            reader.U8();
        }
        FileHandle handle = reader.Attributes().Handle;
        if (_handles.Count < RememberedHandles)
        {
            _handles.Add(handle);
        }
        else
        {
            _handles[random.Between(1, RememberedHandles - 1)] = handle;
        }
    }

    private void Arguments(FileOp op, ref WireWriter writer)
    {
        writer.Handle(op is FileOp.Create or FileOp.Mkdir or FileOp.Lookup ? Parent() : Any());
        switch (op)
        {
            case FileOp.Lookup:
                Name(ref writer);
                break;
            case FileOp.Create:
                Name(ref writer);
                writer.U32(0x81a4);
                writer.U8((byte)random.Below(2));
                break;
            case FileOp.Mkdir:
                Name(ref writer);
                writer.U32(0x41ed);
                break;
            case FileOp.Symlink:
                Name(ref writer);
                writer.Name(Encoding.ASCII.GetBytes($"target{_number}"));
                break;
            case FileOp.Unlink or FileOp.Rmdir:
                Name(ref writer);
                Held(ref writer);
                break;
            case FileOp.Rename:
                Name(ref writer);
                writer.Handle(Parent());
                Name(ref writer);
                writer.U32((uint)random.Below(3));
                Held(ref writer);
                break;
            case FileOp.Link:
                writer.Handle(Parent());
                Name(ref writer);
                break;
            case FileOp.Read:
                ReadRange(ref writer);
                break;
            case FileOp.Write:
                writer.U64((ulong)random.Below(20_000));
                writer.U8((byte)random.Below(2));
                random.Fill(writer.Reserve(DataBytes()));
                break;
            case FileOp.WriteParts:
                Parts(ref writer);
                break;
            case FileOp.Readdir:
                writer.U64(0);
                writer.U32(4096);
                break;
            case FileOp.SetAttr:
                SetAttr(ref writer);
                break;
            case FileOp.Access:
                writer.U32((uint)random.Below(8));
                break;
            case FileOp.Open:
                writer.U32((uint)random.Below(FileLimits.MaxTransferBytes));
                break;
            default:
                break;
        }
    }

    private int DataBytes() => random.PerMille(options.LargeValuesPerMille) ? random.Below(FileLimits.MaxTransferBytes) : random.Below(200);

    /// <summary>Up to four, some over others, of which one takes what the rest leave.</summary>
    private void Parts(ref WireWriter writer)
    {
        ulong offset = (ulong)random.Below(20_000);
        writer.U8((byte)(2 * random.Below(2)));
        int total = DataBytes();
        int count = 1 + (int)(offset % 4);
        int each = total / (count + 1);
        writer.U8((byte)count);
        for (int i = 0; i < count; i++)
        {
            writer.U64(offset * (ulong)(i + 1) % 20_000);
            writer.U16((ushort)(i < count - 1 ? each : total - (each * (count - 1))));
        }
        random.Fill(writer.Reserve(total));
    }

    /// <summary>Any bytes, or as often whole blocks, of which replicas know the digests.</summary>
    private void ReadRange(ref WireWriter writer)
    {
        int offset = random.Below(20_000);
        int count = random.Below(FileLimits.MaxTransferBytes);
        bool whole = offset % 2 == 0;
        writer.U64((ulong)(whole ? offset - (offset % PagedState.PageBytes) : offset));
        writer.U32((uint)(whole ? count - (count % PagedState.PageBytes) : count));
    }

    private void SetAttr(ref WireWriter writer)
    {
        writer.U32((uint)random.Choose(SetAttrMask.Mode, SetAttrMask.Size, SetAttrMask.MtimeNow, SetAttrMask.Uid | SetAttrMask.Gid));
        writer.U32((uint)random.Below(0x200));
        writer.U32(1000);
        writer.U32(1000);
        writer.U64((ulong)random.Below(50_000));
        writer.I64(0);
        writer.I64(0);
    }

    private void Name(ref WireWriter writer) => writer.Name([(byte)('a' + random.Below(options.Keys))]);

    private void Held(ref WireWriter writer)
    {
        int count = random.Below(3);
        writer.U16((ushort)count);
        for (int i = 0; i < count; i++)
        {
            writer.Handle(Any());
        }
    }

    private FileHandle Any() => _handles[random.Below(_handles.Count)];

    private FileHandle Parent() => random.PerMille(500) ? FileHandle.Root : Any();
}
