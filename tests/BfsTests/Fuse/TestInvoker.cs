using BfsClient.FileSystem;
using BfsCore.FileProtocol;
using BfsCore.Hosting;

namespace BfsTests.Fuse;

internal delegate int Executor(ReadOnlySpan<byte> operation, Span<byte> result);

/// <summary>
/// Executes operations in this process, some turns of the loop after they were submitted, so that many are under way. Or
/// the test decides: while <see cref="Held"/> nothing completes until it says what does.
/// </summary>
internal sealed class TestInvoker(EventLoop loop, Executor execute, int slots = 64, int turns = 2, long timeoutMicros = 0)
    : SlotInvoker(loop, timeoutMicros)
{
    private readonly EventLoop _loop = loop;
    private readonly byte[] _result = new byte[BfsCore.Limits.MaxResultBytes];
    private int _busy;

    public bool Held { get; set; }

    /// <summary>Operations submitted and not executed, while held.</summary>
    public List<(byte[] Operation, long Tag)> Pending { get; } = [];

    public int MostBusy { get; private set; }

    public List<(FileOp Op, bool ReadOnly)> Submitted { get; } = [];

    protected override bool TrySubmit(ReadOnlySpan<byte> operation, bool readOnly, long tag)
    {
        if (_busy == slots)
        {
            return false;
        }
        _busy++;
        MostBusy = Math.Max(MostBusy, _busy);
        Submitted.Add(((FileOp)operation[0], readOnly));
        byte[] copy = operation.ToArray();
        if (Held)
        {
            Pending.Add((copy, tag));
        }
        else
        {
            Later(copy, tag, turns);
        }
        return true;
    }

    /// <summary>Executes a held operation.</summary>
    public void Execute(int index) => Run(index)();

    /// <summary>Executes a held operation; its result is there when the action is called.</summary>
    public Action Run(int index)
    {
        (byte[] operation, long tag) = Pending[index];
        Pending.RemoveAt(index);
        byte[] result = new byte[_result.Length];
        int length = execute(operation, result);
        return () =>
        {
            _busy--;
            Complete(tag, result.AsSpan(0, length));
        };
    }

    /// <summary>Executes the two operations that are held.</summary>
    /// <param name="secondFirst">They are executed in the other order.</param>
    /// <param name="lateFirst">The one that is executed first has its result last.</param>
    public void ExecuteBoth(bool secondFirst, bool lateFirst)
    {
        Assert.Equal(2, Pending.Count);
        Action first = Run(secondFirst ? 1 : 0);
        Action second = Run(0);
        Held = false;
        (lateFirst ? second : first)();
        (lateFirst ? first : second)();
    }

    public void ExecuteAll()
    {
        while (Pending.Count > 0)
        {
            Execute(0);
        }
    }

    private void Later(byte[] operation, long tag, int turnsLeft)
    {
        if (turnsLeft == 0)
        {
            Finish(operation, tag);
        }
        else
        {
            _loop.Post(() => Later(operation, tag, turnsLeft - 1));
        }
    }

    private void Finish(byte[] operation, long tag)
    {
        int length = execute(operation, _result);
        _busy--;
        Complete(tag, _result.AsSpan(0, length));
    }
}
