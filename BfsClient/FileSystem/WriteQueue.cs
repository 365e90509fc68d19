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

    /// <summary>Most operations of a file; leaves slots of the client to other files and calls.</summary>
    public const int MaxOperations = 16;

    private readonly List<WritePiece> _pieces = [];
    private readonly Queue<(long Number, Signal Signal)> _waiting = new();
    private long _nextNumber = 1;
    private long _urgentNumber;

    // Pieces under way, which come first, and the operations that they are in.
    private int _inFlight;
    private int _operations;

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

    /// <summary>A piece that may not wait for long waits for more data to join it, and nothing under way will send it.</summary>
    public bool IsHeld => _inFlight == 0 && _pieces.Exists(p => !p.MayWait);

    /// <summary>
    /// Takes the pieces that are to be sent next, as many as go together. While an operation is under way others wait, so that writes gather, until
    /// there is enough for the next. When none is, all go at once if the last ends within a page, as the last write to a file does; else more is
    /// likely to follow, and they wait too, until <see cref="Urge"/>. What may wait does until then.
    /// </summary>
    /// <param name="bundle">Empty.</param>
    public bool TryNext(WriteBundle bundle)
    {
        if (_operations == MaxOperations || _inFlight == _pieces.Count)
        {
            return false;
        }
        bool gathers = (_inFlight > 0 || _pieces[^1].EndsWithPage) && !IsEnough();
        while (_inFlight < _pieces.Count && IsDue(_pieces[_inFlight], gathers) && bundle.TryAdd(_pieces[_inFlight]))
        {
            _pieces[_inFlight].InFlight = true;
            _inFlight++;
        }
        _operations += bundle.IsEmpty ? 0 : 1;
        return !bundle.IsEmpty;
    }

    /// <summary>Whether what waits fills an operation.</summary>
    private bool IsEnough()
    {
        int bytes = 0;
        for (int i = _inFlight; i < _pieces.Count; i++)
        {
            bytes += _pieces[i].DataBytes;
            if (bytes >= FileLimits.MaxTransferBytes || i - _inFlight + 1 >= FileLimits.MaxParts)
            {
                return true;
            }
        }
        return false;
    }

    private bool IsDue(WritePiece next, bool gathers) =>
        (next.Number <= _urgentNumber || next.IsFull || !(gathers || next.MayWait)) && !ConflictsWithSent(next);

    /// <summary>An operation has its result.</summary>
    public void Remove(WriteBundle bundle, Errno error)
    {
        foreach (WritePiece piece in bundle.Pieces)
        {
            BfsAssert.That(piece.InFlight && _pieces.Remove(piece));
        }
        _inFlight -= bundle.Pieces.Count;
        _operations--;
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
