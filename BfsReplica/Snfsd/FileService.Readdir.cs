using BfsCore.FileProtocol;

namespace BfsReplica.Snfsd;

/// <summary>
/// Readdir with attributes. Cookies: 0 starts, 1 and 2 follow <c>.</c> and <c>..</c>; after an entry comes its key plus
/// one, so a listing goes on where it was whatever happens to other names; after the last entry comes the end, so that
/// nobody has to ask for it.
/// </summary>
public sealed partial class FileService
{
    private const ulong AfterDot = 1;
    private const ulong AfterDotDot = 2;

    private ref struct Listing
    {
        public FileService Service;
        public WireWriter Body;
        public int Limit;
        public int LastEntryStart;

        /// <summary>Key and place of the last entry written: entries of one key are not torn apart.</summary>
        public ulong LastKey;
        public int LastKeyStart;
        public bool Full;
    }

    private Errno Readdir(ref WireReader reader, scoped in Caller caller, ref WireWriter body)
    {
        FileHandle handle = reader.Handle();
        ulong cookie = reader.U64();
        uint maxBytes = reader.U32();
        if (!reader.Ok)
        {
            return Errno.EINVAL;
        }
        Errno status = Resolve(handle, out uint number);
        if (status != Errno.Ok)
        {
            return status;
        }
        ref readonly Inode directory = ref _volume.GetInode(number);
        if (!directory.IsDirectory)
        {
            return Errno.ENOTDIR;
        }
        if (!caller.MayUseOpen(directory, 4))
        {
            return Errno.EACCES;
        }
        List(number, directory, cookie, (int)Math.Min(maxBytes, FileLimits.MaxTransferBytes), ref body);
        return Errno.Ok;
    }

    private void List(uint number, in Inode directory, ulong cookie, int limit, ref WireWriter body)
    {
        var listing = new Listing { Service = this, Body = body, Limit = limit };
        if (cookie < AfterDot)
        {
            WriteEntry(ref listing, AfterDot, number, "."u8);
        }
        if (cookie < AfterDotDot && !listing.Full)
        {
            WriteEntry(ref listing, AfterDotDot, directory.Parent, ".."u8);
        }
        if (!listing.Full)
        {
            _directories.Visit(directory, Math.Max(cookie, AfterDotDot + 1), ref listing, WriteNamed);
        }
        if (!listing.Full && listing.Body.Length > 0)
        {
            WireWriter last = listing.Body.Truncated(listing.LastEntryStart);
            last.U64(FileLimits.EndCookie);
        }
        body = listing.Body;
    }

    private static readonly EntryVisitor<Listing> WriteNamed = static (ref Listing listing, ulong key, uint inode, scoped ReadOnlySpan<byte> name) =>
    {
        if (key != listing.LastKey)
        {
            listing.LastKey = key;
            listing.LastKeyStart = listing.Body.Length;
        }
        WriteEntry(ref listing, key + 1, inode, name);
        if (listing.Full && listing.LastKeyStart > 0 && listing.LastKeyStart < listing.Body.Length)
        {
            // The next reply starts with this key: all its entries go there.
            listing.Body = listing.Body.Truncated(listing.LastKeyStart);
        }
        return !listing.Full;
    };

    private static void WriteEntry(ref Listing listing, ulong nextCookie, uint inode, scoped ReadOnlySpan<byte> name)
    {
        int size = sizeof(ulong) + FileAttributesBytes + sizeof(ushort) + name.Length;
        if (listing.Body.Length + size > listing.Limit)
        {
            listing.Full = true;
            return;
        }
        listing.LastEntryStart = listing.Body.Length;
        listing.Body.U64(nextCookie);
        listing.Body.Attributes(AttributesOf(inode, listing.Service._volume.GetInode(inode)));
        listing.Body.Name(name);
    }

    private const int FileAttributesBytes = BfsCore.FileProtocol.FileAttributes.WireBytes;
}
