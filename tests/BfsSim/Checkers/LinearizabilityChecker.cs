namespace BfsSim.Checkers;

/// <summary>What a service does when nothing happens at the same time. States are immutable and compared by value.</summary>
public interface ISequentialModel
{
    /// <summary>Operations with different objects do not affect each other and are checked separately.</summary>
    string ObjectOf(byte[] operation);

    string InitialState { get; }

    (string State, byte[] Result) Apply(string state, byte[] operation);

    /// <summary>Whether an operation that has this result did not change the state, whenever it took place.</summary>
    bool ChangedNothing(byte[] operation, byte[] result);
}

/// <summary>
/// Whether a history is linearizable (§2.2): there is an order of its operations, in which each takes place between its
/// invocation and its response, that the sequential model would have answered in the same way. The search of Wing and
/// Gong, which never visits one set of operations and state twice (Lowe). An operation that changed nothing takes place as
/// soon as its result fits: if any order exists, one with it here does too. An operation without a response may have taken
/// place or not. Exponential in the worst case; it gives up, by exception, after a bound.
/// </summary>
public sealed class LinearizabilityChecker(ISequentialModel model)
{
    private const int MaxConfigurations = 2_000_000;

    /// <summary>The first object whose history has no such order, or null.</summary>
    public string? FirstViolation(IEnumerable<HistoryEntry> history)
    {
        foreach (IGrouping<string, HistoryEntry> group in history.GroupBy(e => model.ObjectOf(e.Operation)))
        {
            if (!IsLinearizable([.. group]))
            {
                return group.Key;
            }
        }
        return null;
    }

    private bool IsLinearizable(HistoryEntry[] entries)
    {
        var search = new Search(model, entries);
        while (search.Outstanding > 0)
        {
            if (search.TryChooseFixed() || search.TryChoose())
            {
                continue;
            }
            if (!search.TryUndo())
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>A sequence of chosen operations, and where to look for the next one.</summary>
    private sealed class Search
    {
        private readonly ISequentialModel _model;
        private readonly HistoryEntry[] _entries;
        private readonly Node _head;
        private readonly HashSet<Configuration> _seen = [];
        private readonly Stack<(Node Call, string State, bool Fixed)> _chosen = new();
        private readonly ulong[] _done;
        private string _state;
        private Node? _next;

        public Search(ISequentialModel model, HistoryEntry[] entries)
        {
            (_model, _entries, _state) = (model, entries, model.InitialState);
            _done = new ulong[(entries.Length + 63) / 64];
            _head = BuildList(entries);
            _next = _head.Next;
            Outstanding = entries.Count(e => e.Result is not null);
        }

        /// <summary>Operations with a response that are not chosen yet.</summary>
        public int Outstanding { get; private set; }

        /// <summary>
        /// Chooses an operation that changed nothing and whose result fits the state. There is no need to try others
        /// instead of it.
        /// </summary>
        public bool TryChooseFixed()
        {
            for (Node? node = _head.Next; node is not null && !node.IsResponse; node = node.Next)
            {
                HistoryEntry entry = _entries[node.Operation];
                if (entry.Result is { } result && _model.ChangedNothing(entry.Operation, result)
                    && _model.Apply(_state, entry.Operation).Result.AsSpan().SequenceEqual(result))
                {
                    Choose(node, _state, isFixed: true);
                    return true;
                }
            }
            return false;
        }

        /// <summary>Chooses the next operation that may take place before the first response, if its result fits.</summary>
        public bool TryChoose()
        {
            for (; _next is not null && !_next.IsResponse; _next = _next.Next)
            {
                HistoryEntry entry = _entries[_next.Operation];
                (string state, byte[] result) = _model.Apply(_state, entry.Operation);
                if (entry.Result is not null && !result.AsSpan().SequenceEqual(entry.Result))
                {
                    continue;
                }
                var done = (ulong[])_done.Clone();
                done[_next.Operation >> 6] |= 1UL << _next.Operation;
                if (_seen.Add(new Configuration(done, state)))
                {
                    SimulationException.Require(_seen.Count <= MaxConfigurations, "the linearizability checker gave up");
                    Choose(_next, state, isFixed: false);
                    return true;
                }
            }
            return false;
        }

        /// <summary>Takes back the last operation that was one of several possible; false when there is none.</summary>
        public bool TryUndo()
        {
            while (_chosen.TryPop(out (Node Call, string State, bool Fixed) last))
            {
                _state = last.State;
                last.Call.Restore();
                _done[last.Call.Operation >> 6] &= ~(1UL << last.Call.Operation);
                Outstanding += last.Call.Pending ? 0 : 1;
                if (!last.Fixed)
                {
                    _next = last.Call.Next;
                    return true;
                }
            }
            return false;
        }

        private void Choose(Node node, string state, bool isFixed)
        {
            _chosen.Push((node, _state, isFixed));
            _state = state;
            node.Remove();
            _done[node.Operation >> 6] |= 1UL << node.Operation;
            Outstanding -= node.Pending ? 0 : 1;
            _next = _head.Next;
        }
    }

    /// <summary>Invocations and responses in order; a pending operation has no response.</summary>
    private static Node BuildList(HistoryEntry[] entries)
    {
        var moments = new List<(long Moment, Node Node)>();
        for (int i = 0; i < entries.Length; i++)
        {
            var call = new Node { Operation = i, Pending = entries[i].Result is null };
            moments.Add((entries[i].Invoked, call));
            if (!call.Pending)
            {
                call.Return = new Node { Operation = i };
                moments.Add((entries[i].Returned, call.Return));
            }
        }
        moments.Sort((a, b) => a.Moment.CompareTo(b.Moment));
        var head = new Node();
        Node last = head;
        foreach ((_, Node node) in moments)
        {
            last.Next = node;
            node.Previous = last;
            last = node;
        }
        return head;
    }

    /// <summary>An invocation (with its response, unless pending) or a response.</summary>
    private sealed class Node
    {
        public int Operation { get; init; }
        public bool Pending { get; init; }
        public Node? Return { get; set; }
        public bool IsResponse => Return is null && !Pending;
        public Node? Next { get; set; }
        public Node? Previous { get; set; }

        public void Remove()
        {
            Unlink();
            Return?.Unlink();
        }

        /// <summary>Undoes <see cref="Remove"/>; to be called in the opposite order.</summary>
        public void Restore()
        {
            Return?.Link();
            Link();
        }

        private void Unlink()
        {
            Previous!.Next = Next;
            if (Next is not null)
            {
                Next.Previous = Previous;
            }
        }

        private void Link()
        {
            Previous!.Next = this;
            if (Next is not null)
            {
                Next.Previous = this;
            }
        }
    }

    /// <summary>Which operations have taken place, and the state they led to.</summary>
    private readonly struct Configuration(ulong[] done, string state) : IEquatable<Configuration>
    {
        private readonly ulong[] _done = done;
        private readonly string _state = state;

        public bool Equals(Configuration other) =>
            _done.AsSpan().SequenceEqual(other._done) && string.Equals(_state, other._state, StringComparison.Ordinal);

        public override bool Equals(object? obj) => obj is Configuration other && Equals(other);

        public override int GetHashCode()
        {
            var hash = new HashCode();
            foreach (ulong word in _done)
            {
                hash.Add(word);
            }
            hash.Add(_state, StringComparer.Ordinal);
            return hash.ToHashCode();
        }
    }
}
