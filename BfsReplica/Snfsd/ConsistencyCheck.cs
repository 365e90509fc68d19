namespace BfsReplica.Snfsd;

/// <summary>
/// Looks for contradictions in a volume, as fsck does: every block is referenced once and marked used, no other is; bitmaps,
/// counts, names, link counts, parents and orphan lists agree. Slow: it reads everything.
/// </summary>
public static class ConsistencyCheck
{
    /// <summary>What is wrong, in words; empty when nothing is.</summary>
    public static IReadOnlyList<string> Run(FileService service) => new Walk(service).Run();

    private sealed class Walk(FileService service)
    {
        private readonly Volume _volume = service.Volume;
        private readonly List<string> _problems = [];
        private readonly HashSet<uint> _blocks = [];
        private readonly Dictionary<uint, uint> _names = [];
        private readonly Dictionary<uint, uint> _subdirectories = [];

        public IReadOnlyList<string> Run()
        {
            CheckInodes();
            CheckLinks();
            CheckOrphans();
            CheckBlocks();
            return _problems;
        }

        private void CheckInodes()
        {
            uint used = 0;
            for (uint number = 1; number <= _volume.Super.InodeCount; number++)
            {
                ref readonly Inode inode = ref _volume.GetInode(number);
                bool marked = _volume.InodeUsed(number);
                if (marked != (inode.Mode != 0))
                {
                    _problems.Add($"inode {number} is {(marked ? "marked used but free" : "used but marked free")}");
                }
                if (inode.Mode != 0)
                {
                    used++;
                    CheckContent(number, inode);
                }
            }
            Compare("free inodes", _volume.Super.InodesFree, _volume.Super.InodeCount - used);
        }

        private void CheckContent(uint number, in Inode inode)
        {
            int before = _blocks.Count;
            bool Reference(uint block)
            {
                if (block - 1 < _volume.Super.BlockCount && _blocks.Add(block))
                {
                    return true;
                }
                _problems.Add($"inode {number} refers to block {block}, which is taken or beyond the end");
                return false;
            }
            if (inode.IsDirectory)
            {
                service.Directories.VisitBlocks(inode, (block, _, _) => Reference(block));
                CheckNames(number, inode);
            }
            else if (!inode.IsInline)
            {
                service.Map.Visit(inode, (block, _, _) => Reference(block));
                CheckTail(number, inode);
            }
            Compare($"blocks of inode {number}", inode.Blocks, (uint)(_blocks.Count - before));
        }

        private void CheckTail(uint number, in Inode inode)
        {
            int within = (int)(inode.Size % Volume.BlockBytes);
            uint last = within == 0 ? 0 : service.Map.Find(inode, (long)(inode.Size / Volume.BlockBytes));
            if (last != 0 && _volume.Block(last)[within..].ContainsAnyExcept((byte)0))
            {
                _problems.Add($"inode {number} has bytes beyond its end");
            }
        }

        private void CheckNames(uint number, in Inode inode)
        {
            var state = (Walk: this, Directory: number, Count: 0u, LastKey: 0ul);
            service.Directories.Visit(inode, 0, ref state, static (ref (Walk Walk, uint Directory, uint Count, ulong LastKey) s,
                ulong key, uint target, scoped ReadOnlySpan<byte> name) =>
            {
                s.Walk.CheckName(s.Directory, key, s.LastKey, target, name);
                s.Count++;
                s.LastKey = key;
                return true;
            });
            Compare($"entries of directory {number}", inode.Entries, state.Count);
        }

        private void CheckName(uint directory, ulong key, ulong lastKey, uint target, scoped ReadOnlySpan<byte> name)
        {
            if (key != NameHash.KeyOf(name) || key < lastKey)
            {
                _problems.Add($"a name in directory {directory} is not where it belongs");
            }
            if (!_volume.InodeExists(target) || _volume.GetInode(target).Mode == 0)
            {
                _problems.Add($"a name in directory {directory} stands for inode {target}, which is free");
                return;
            }
            _names[target] = _names.GetValueOrDefault(target) + 1;
            if (_volume.GetInode(target).IsDirectory)
            {
                _subdirectories[directory] = _subdirectories.GetValueOrDefault(directory) + 1;
                Compare($"parent of directory {target}", _volume.GetInode(target).Parent, directory);
            }
        }

        private void CheckLinks()
        {
            for (uint number = 1; number <= _volume.Super.InodeCount; number++)
            {
                ref readonly Inode inode = ref _volume.GetInode(number);
                uint names = _names.GetValueOrDefault(number);
                if (inode.Mode == 0 || (inode.OrphanOwner != 0 && names == 0 && inode.Nlink == 0))
                {
                    continue;
                }
                uint expected = !inode.IsDirectory ? names : 2 + _subdirectories.GetValueOrDefault(number);
                Compare($"links of inode {number}", inode.Nlink, expected);
                if (inode.IsDirectory && number != 1)
                {
                    Compare($"names of directory {number}", names, 1);
                }
            }
        }

        private void CheckOrphans()
        {
            var listed = new HashSet<uint>();
            for (int client = 0; client < Volume.MaxClients; client++)
            {
                uint previous = 0;
                for (uint at = _volume.OrphanHead(client); at != 0 && listed.Add(at); at = _volume.GetInode(at).OrphanNext)
                {
                    Compare($"owner of orphan {at}", _volume.GetInode(at).OrphanOwner, (uint)client + 1);
                    Compare($"the orphan before {at}", _volume.GetInode(at).OrphanPrevious, previous);
                    previous = at;
                }
            }
            for (uint number = 1; number <= _volume.Super.InodeCount; number++)
            {
                ref readonly Inode inode = ref _volume.GetInode(number);
                if (inode.Mode != 0 && inode.OrphanOwner != 0 != listed.Contains(number))
                {
                    _problems.Add($"inode {number} and the orphan lists disagree");
                }
            }
        }

        private void CheckBlocks()
        {
            uint used = 0;
            for (uint block = 1; block <= _volume.Super.BlockCount; block++)
            {
                bool marked = _volume.BlockUsed(block);
                used += marked ? 1u : 0;
                if (marked != _blocks.Contains(block))
                {
                    _problems.Add($"block {block} is {(marked ? "marked used but belongs to nothing" : "in use but marked free")}");
                }
            }
            Compare("free blocks", _volume.Super.BlocksFree, _volume.Super.BlockCount - used);
        }

        private void Compare(string what, uint actual, uint expected)
        {
            if (actual != expected)
            {
                _problems.Add($"{what}: {actual}, but {expected} counted");
            }
        }
    }
}
