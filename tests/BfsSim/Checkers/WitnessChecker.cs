using BfsCore;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsSim.Checkers;

/// <summary>
/// Whether a history is linearizable in the order that the replicas say they executed: every completed operation is in the
/// order at most once and has the result that a single instance gives there, or, if it was answered read-only, the result
/// that the instance gives after some prefix; and the order contradicts nothing that one client saw before another asked
/// (§2.2). Unlike a search it takes any service and is linear. All operations of a history must differ. Clients that the
/// history does not know may have done anything.
/// </summary>
public sealed class WitnessChecker
{
    private readonly List<HistoryEntry> _history;
    private readonly List<WitnessedOperation> _order;

    // Of an operation in the order: how many operations have been executed once it is.
    private readonly Dictionary<string, long> _placeOf = [];

    // Of the others, which have been answered read-only: after how many operations the result was right.
    private readonly Dictionary<HistoryEntry, List<long>> _rightAfter = [];
    private readonly byte[] _result = new byte[Limits.MaxResultBytes];

    public WitnessChecker(List<HistoryEntry> history, List<WitnessedOperation> order)
    {
        (_history, _order) = (history, order);
        HashSet<int> known = [.. history.Select(entry => entry.Client)];
        for (int i = 0; i < order.Count; i++)
        {
            if (!known.Contains(order[i].Client.Value))
            {
                continue;
            }
            SimulationException.Require(_placeOf.TryAdd(Key(order[i].Operation), i + 1), $"operation {i} was executed twice");
        }
    }

    /// <param name="service">A fresh instance. In the end its state is the one that the order leads to.</param>
    public void Check(IService service)
    {
        CheckResults(service);
        CheckOrder();
    }

    private static string Key(byte[] operation) => Convert.ToHexString(operation);

    private static bool Completed(HistoryEntry entry) => entry.Result is not null;

    private void CheckResults(IService service)
    {
        var ordered = new Dictionary<string, HistoryEntry>();
        var reads = new List<HistoryEntry>();
        foreach (HistoryEntry entry in _history.Where(Completed))
        {
            if (_placeOf.ContainsKey(Key(entry.Operation)))
            {
                ordered.Add(Key(entry.Operation), entry);
            }
            else
            {
                SimulationException.Require(service.IsReadOnly(entry.Operation), "a completed operation was never executed");
                reads.Add(entry);
                _rightAfter[entry] = [];
            }
        }
        TryReads(service, reads, 0);
        for (int i = 0; i < _order.Count; i++)
        {
            WitnessedOperation next = _order[i];
            int length = service.Execute(new ExecutionContext(next.Client, next.TimeNanos, false), next.Operation, _result);
            if (ordered.TryGetValue(Key(next.Operation), out HistoryEntry? entry))
            {
                SimulationException.Require(_result.AsSpan(0, length).SequenceEqual(entry.Result),
                    $"operation {i} of the order has another result than its client was given");
            }
            TryReads(service, reads, i + 1);
        }
    }

    /// <summary>Executes the reads that may have taken place after this many operations.</summary>
    private void TryReads(IService service, List<HistoryEntry> reads, long executed)
    {
        foreach (HistoryEntry read in reads)
        {
            if (executed < Earliest(read) || executed > Latest(read))
            {
                continue;
            }
            var context = new ExecutionContext(new ClientId(read.Client), 0, true);
            int length = service.Execute(context, read.Operation, _result);
            if (_result.AsSpan(0, length).SequenceEqual(read.Result))
            {
                _rightAfter[read].Add(executed);
            }
        }
    }

    private readonly Dictionary<HistoryEntry, (long Earliest, long Latest)> _windows = [];

    private long Earliest(HistoryEntry read) => Window(read).Earliest;

    private long Latest(HistoryEntry read) => Window(read).Latest;

    /// <summary>What ordered operations before and after it in real time say about a read.</summary>
    private (long Earliest, long Latest) Window(HistoryEntry read)
    {
        if (!_windows.TryGetValue(read, out (long Earliest, long Latest) window))
        {
            window = (0, _order.Count);
            foreach (HistoryEntry other in _history)
            {
                if (_placeOf.TryGetValue(Key(other.Operation), out long place))
                {
                    window.Earliest = other.Returned < read.Invoked ? Math.Max(window.Earliest, place) : window.Earliest;
                    window.Latest = other.Invoked > read.Returned ? Math.Min(window.Latest, place - 1) : window.Latest;
                }
            }
            _windows[read] = window;
        }
        return window;
    }

    /// <summary>
    /// Walks through real time: what is invoked takes place no earlier than all that had returned. A read takes the earliest
    /// place that is right, which leaves the others the most room.
    /// </summary>
    private void CheckOrder()
    {
        var moments = new List<(long Moment, HistoryEntry Entry)>();
        foreach (HistoryEntry entry in _history.Where(Completed))
        {
            moments.Add((entry.Invoked, entry));
            moments.Add((entry.Returned, entry));
        }
        moments.Sort((a, b) => a.Moment.CompareTo(b.Moment));
        var notBefore = new Dictionary<HistoryEntry, long>();
        long reached = 0;
        foreach ((long moment, HistoryEntry entry) in moments)
        {
            if (moment == entry.Invoked)
            {
                notBefore[entry] = reached;
                continue;
            }
            if (_placeOf.TryGetValue(Key(entry.Operation), out long place))
            {
                SimulationException.Require(place > notBefore[entry],
                    $"operation {place - 1} of the order was invoked when later ones had been seen already");
            }
            else
            {
                place = _rightAfter[entry].FirstOrDefault(after => after >= notBefore[entry], -1);
                SimulationException.Require(place >= 0, $"a read-only result of client {entry.Client} fits no state of its time");
            }
            reached = Math.Max(reached, place);
        }
    }
}
