using BfsCore;
using BfsCore.FileProtocol;

namespace BfsClient.FileSystem;

/// <summary>
/// What was written to one file and is not at the replicas yet, in the order of the writes. It decides what may be sent
/// next; <see cref="WriteBehind"/> sends it. Pieces that overlap are never under way together.
/// </summary>
internal sealed class WriteQueue
{
    public const byte AppendFlag = 1;
    public const byte KeepSetIdFlag = 2;

    /// <summary>Leaves slots of the client to other files and calls.</summary>
    public const int MaxInFlight = 16;

    private readonly List<WritePiece> _pieces = [];
    private readonly Queue<(long Number, Signal Signal)> _waiting = new();
    private long _nextNumber = 1;
    private long _urgentNumber;
    private int _inFlight;

    public bool IsEmpty => _pieces.Count == 0;

    /// <summary>How many writes failed so far.</summary>
    public int ErrorCount { get; private set; }

    public Errno LastError { get; private set; }

    /// <summary>Adds data that lies within one frame: to a piece where it fits, else as a new one.</summary>
    /// <param name="mayWait">It is sent only when <see cref="Urge"/> says so.</param>
    /// <returns>How many bytes more are queued: fewer than the data where it replaces some.</returns>
    public int Add(OpenFile file, ulong offset, byte flags, ReadOnlySpan<byte> data, bool mayWait, Stack<WritePiece> pool)
    {
        // Not to a piece before one that overlaps the data: the order of the two would be lost.
        for (int i = _pieces.Count - 1; i >= _inFlight; i--)
        {
            if (_pieces[i].TryMerge(file, offset, flags, data, out int grown))
            {
                _pieces[i].MayWait |= mayWait;
                return grown;
            }
            if (_pieces[i].Overlaps(offset, data.Length))
            {
                break;
            }
        }
        if (!pool.TryPop(out WritePiece? piece))
        {
            piece = new WritePiece();
        }
        piece.Begin(file, offset, flags, data, _nextNumber++);
        piece.MayWait = mayWait;
        _pieces.Add(piece);
        return data.Length;
    }

    /// <summary>Everything written so far is to be sent without waiting for more to join it.</summary>
    public void Urge() => _urgentNumber = _nextNumber - 1;

    /// <summary>A piece waits for more data to join it, and nothing under way will send it.</summary>
    public bool IsHeld => _inFlight == 0 && _pieces.Count > 0;

    /// <summary>
    /// The next piece to send. A last piece with room left waits while others are under way, so that small writes gather. When
    /// nothing is under way it is sent at once if it ends within a page, as the last write to a file does; else more is likely
    /// to follow, and it waits too, until <see cref="Urge"/>. What may wait does until then.
    /// </summary>
    public bool TryNext(out WritePiece next)
    {
        next = null!;
        if (_inFlight >= MaxInFlight || _inFlight == _pieces.Count)
        {
            return false;
        }
        // Pieces are sent in order, so those under way come first.
        next = _pieces[_inFlight];
        bool gathers = next.Number > _urgentNumber && !next.IsFull
            && (next.MayWait || (_inFlight == _pieces.Count - 1 && (_inFlight > 0 || next.EndsWithPage)));
        if (gathers || ConflictsWithSent(next))
        {
            return false;
        }
        next.InFlight = true;
        _inFlight++;
        return true;
    }

    /// <summary>A piece has its result.</summary>
    public void Remove(WritePiece piece, Errno error)
    {
        BfsAssert.That(piece.InFlight && _pieces.Remove(piece));
        _inFlight--;
        if (error != Errno.Ok)
        {
            ErrorCount++;
            LastError = error;
        }
    }

    /// <summary>A signal for when everything written so far has its result; null if it has.</summary>
    public Signal? WhenDone()
    {
        if (IsEmpty)
        {
            return null;
        }
        var signal = Signal.Rent();
        _waiting.Enqueue((_nextNumber - 1, signal));
        return signal;
    }

    /// <summary>The next signal that is due. One at a time, since who is woken may write again.</summary>
    public bool TryTakeDue(out Signal due)
    {
        long done = IsEmpty ? long.MaxValue : _pieces[0].Number - 1;
        if (_waiting.TryPeek(out (long Number, Signal Signal) first) && first.Number <= done)
        {
            _waiting.Dequeue();
            due = first.Signal;
            return true;
        }
        due = null!;
        return false;
    }

    private bool ConflictsWithSent(WritePiece piece)
    {
        for (int i = 0; i < _inFlight; i++)
        {
            if (_pieces[i].Conflicts(piece))
            {
                return true;
            }
        }
        return false;
    }
}
