using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace BfsCore.State;

// What the storage layer needs: which pages differ from the image on disk, and a start from such an image.
public sealed unsafe partial class PagedState
{
    // Pages that may differ from the saved image; while a save is under way, from what it saves.
    private PageSet _dirty;

    // What a save under way brings to the image.
    private PageSet _saving;

    /// <summary>Pages that may differ from the image last saved, or from the one being saved.</summary>
    internal PageSet Dirty => _dirty;

    /// <summary>What was dirty when the save under way began.</summary>
    internal PageSet Saving => _saving;

    /// <summary>
    /// A save of checkpoint <paramref name="n"/>, which must be held, begins: what is dirty is to be saved, and from here on
    /// only what was modified after the checkpoint is dirty.
    /// </summary>
    internal void BeginSave(SeqNum n)
    {
        BfsAssert.That(_saving.Count == 0);
        (_dirty, _saving) = (_saving, _dirty);
        for (int i = RequirePositionOf(n); i < _checkpoints.Count; i++)
        {
            for (int slot = 0; slot < _checkpoints[i].Count; slot++)
            {
                _dirty.Add(_checkpoints[i].PageIndex(slot));
            }
        }
    }

    /// <summary>The save that was begun has ended.</summary>
    /// <param name="saved">Whether the image holds the checkpoint now; if not, what was to be saved is dirty still.</param>
    internal void EndSave(bool saved)
    {
        if (!saved)
        {
            _dirty.AddAll(_saving);
        }
        _saving.Clear();
    }

    /// <summary>How many pages there are up to the last one that is not zero at checkpoint <paramref name="n"/>, which must be held.</summary>
    internal long EndOfUse(SeqNum n)
    {
        if (NodeDigestAt(n, 0, 0).IsZero)
        {
            return 0;
        }
        long index = 0;
        for (int level = 1; level < Levels; level++)
        {
            index = Math.Min((index + 1) * Fanout, NodesAt(level)) - 1;
            while (NodeDigestAt(n, level, index).IsZero)
            {
                index--;
            }
        }
        return index + 1;
    }

    /// <summary>
    /// Pages at checkpoint <paramref name="n"/>, which must be held, from one on: at most so many, and as many as lie beside each other
    /// in memory. Valid until the state is next changed.
    /// </summary>
    internal ReadOnlySpan<byte> PagesAt(SeqNum n, long first, long most)
    {
        ref byte start = ref MemoryMarshal.GetReference(PageAt(n, first));
        int count = 1;
        while (count < most
            && Unsafe.AreSame(ref Unsafe.Add(ref start, count * PageBytes), ref MemoryMarshal.GetReference(PageAt(n, first + count))))
        {
            count++;
        }
        return MemoryMarshal.CreateReadOnlySpan(ref start, count * PageBytes);
    }

    /// <summary>
    /// Starts from an image: the memory holds checkpoint <paramref name="n"/>. <see cref="HashImagePages"/> was called for
    /// everything in it that is not zero.
    /// </summary>
    internal void FinishImage(SeqNum n)
    {
        BfsAssert.That(_checkpoints.Count == 1 && _open.Count == 0);
        _open.Number = n;
        HashInterior();
    }

    /// <summary>Computes the digests of pages that an image brought; threads may share the work.</summary>
    internal void HashImagePages(long firstPage, long count)
    {
        Span<Digest> digests = stackalloc Digest[PageDigests.Batch];
        for (long done = 0; done < count; done += PageDigests.Batch)
        {
            int batch = (int)Math.Min(PageDigests.Batch, count - done);
            PageDigests.Of(Read((firstPage + done) << PageBits, batch << PageBits), digests[..batch]);
            for (int i = 0; i < batch; i++)
            {
                _tree[_tree.PageLevel, firstPage + done + i] = digests[i];
            }
        }
    }
}
