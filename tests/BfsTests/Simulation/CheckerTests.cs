using System.Text;
using BfsCore;
using BfsCore.State;
using BfsSim;
using BfsSim.Checkers;
using BfsSim.Services;
using ExecutionContext = BfsCore.ExecutionContext;

namespace BfsTests.Simulator;

/// <summary>The checkers themselves: what is wrong must be seen.</summary>
public sealed class CheckerTests
{
    private static readonly byte[] GetK = Operation('g', "");

    private static byte[] Operation(char kind, string value) => [(byte)kind, 1, (byte)'k', .. Encoding.Latin1.GetBytes(value)];

    private static byte[] Found(string value) => [KeyValueService.Ok, .. Encoding.Latin1.GetBytes(value)];

    private static readonly byte[] Nothing = [KeyValueService.Absent];

    private static HistoryEntry Entry(byte[] operation, long invoked, long returned, byte[]? result) => new()
    {
        Client = 0,
        Operation = operation,
        Invoked = invoked,
        Returned = result is null ? long.MaxValue : returned,
        Result = result,
    };

    private static bool IsLinearizable(params HistoryEntry[] history) =>
        new LinearizabilityChecker(new KeyValueModel()).FirstViolation(history) is null;

    [Fact]
    public void Operations_one_after_the_other_must_follow_the_model()
    {
        Assert.True(IsLinearizable(
            Entry(Operation('p', "1"), 0, 1, Nothing), Entry(GetK, 2, 3, Found("1")), Entry(Operation('a', "2"), 4, 5, Found("12"))));
        Assert.False(IsLinearizable(Entry(Operation('p', "1"), 0, 1, Nothing), Entry(GetK, 2, 3, Nothing)));
    }

    [Fact]
    public void Concurrent_operations_may_take_place_in_either_order()
    {
        HistoryEntry put = Entry(Operation('p', "1"), 0, 10, Nothing);
        Assert.True(IsLinearizable(put, Entry(GetK, 1, 2, Nothing)));
        Assert.True(IsLinearizable(put, Entry(GetK, 1, 2, Found("1"))));
        Assert.False(IsLinearizable(put, Entry(GetK, 1, 2, Found("2"))));
    }

    [Fact]
    public void What_one_client_has_read_a_later_read_may_not_miss()
    {
        HistoryEntry put = Entry(Operation('p', "1"), 0, 10, Nothing);
        Assert.False(IsLinearizable(put, Entry(GetK, 1, 2, Found("1")), Entry(GetK, 3, 4, Nothing)));
        Assert.True(IsLinearizable(put, Entry(GetK, 1, 2, Nothing), Entry(GetK, 3, 4, Found("1"))));
    }

    [Fact]
    public void An_operation_without_response_may_have_taken_place_or_not()
    {
        HistoryEntry lost = Entry(Operation('p', "1"), 0, 0, null);
        Assert.True(IsLinearizable(lost, Entry(GetK, 1, 2, Nothing)));
        Assert.True(IsLinearizable(lost, Entry(GetK, 1, 2, Found("1"))));
        Assert.False(IsLinearizable(lost, Entry(GetK, 1, 2, Found("1")), Entry(GetK, 3, 4, Nothing)));
    }

    [Fact]
    public void An_operation_executed_twice_is_seen()
    {
        Assert.False(IsLinearizable(Entry(Operation('a', "x"), 0, 1, Found("x")), Entry(GetK, 2, 3, Found("xx"))));
    }

    /// <summary>The search agrees with trying every order.</summary>
    [Fact]
    public void Small_histories_are_judged_as_by_trying_every_order()
    {
        int linearizable = 0;
        for (int i = 0; i < 2000; i++)
        {
            HistoryEntry[] history = RandomHistory(new SimRandom((ulong)i));
            bool expected = SomeOrderFits(history);
            linearizable += expected ? 1 : 0;
            Assert.True(expected == IsLinearizable(history), $"history {i}");
        }
        Assert.InRange(linearizable, 200, 1800);
    }

    private static HistoryEntry[] RandomHistory(SimRandom random)
    {
        int count = random.Between(2, 5);
        int[] moments = [.. Enumerable.Range(0, 2 * count).OrderBy(_ => random.NextUInt64())];
        var history = new HistoryEntry[count];
        for (int i = 0; i < count; i++)
        {
            (int a, int b) = (Math.Min(moments[2 * i], moments[(2 * i) + 1]), Math.Max(moments[2 * i], moments[(2 * i) + 1]));
            byte[] result = random.Choose(Nothing, Found("a"), Found("b"));
            history[i] = Entry(random.PerMille(500) ? GetK : Operation('p', random.Choose("a", "b")), a, b,
                random.PerMille(150) ? null : result);
        }
        return history;
    }

    private static bool SomeOrderFits(HistoryEntry[] history)
    {
        // Every subset of the pending operations, every order that keeps what was over before something else began.
        var done = new bool[history.Length];
        return Extend(history, done, "absent");
    }

    private static bool Extend(HistoryEntry[] history, bool[] done, string state)
    {
        bool complete = true;
        for (int i = 0; i < history.Length; i++)
        {
            complete &= done[i] || history[i].Result is null;
            if (done[i] || Enumerable.Range(0, history.Length).Any(j => !done[j] && history[j].Returned < history[i].Invoked))
            {
                continue;
            }
            (string next, byte[] result) = new KeyValueModel().Apply(state, history[i].Operation);
            if (history[i].Result is { } seen && !seen.AsSpan().SequenceEqual(result))
            {
                continue;
            }
            done[i] = true;
            bool fits = Extend(history, done, next);
            done[i] = false;
            if (fits)
            {
                return true;
            }
        }
        return complete;
    }

    /// <summary>A service that forgets a write now and then, on all replicas alike: only the histories show it.</summary>
    [Fact]
    public void A_service_that_loses_writes_is_seen_in_the_histories()
    {
        using var simulation = new Simulation(1, new KeyValueSuite(_ => new ForgetfulService()), Calm);
        var e = Assert.Throws<SimulationException>(simulation.Run);
        Assert.Contains("is not linearizable", e.Message, StringComparison.Ordinal);
    }

    /// <summary>One replica's memory changes by itself: its next checkpoint gives it away.</summary>
    [Fact]
    public void A_replica_with_another_state_is_seen()
    {
        using var simulation = new Simulation(1, new KeyValueSuite(i => i == 2 ? new CorruptedService() : new KeyValueService()), Calm);
        var e = Assert.Throws<SimulationException>(simulation.Run);
        Assert.StartsWith("checkpoint #", e.Message, StringComparison.Ordinal);
    }

    /// <summary>The same replica, declared faulty: the others and the clients do not notice (§2.2).</summary>
    [Fact]
    public void A_faulty_replica_with_another_state_is_masked()
    {
        using var simulation = new Simulation(1, new KeyValueSuite(i => i == 2 ? new CorruptedService() : new KeyValueService()), Calm);
        simulation.Agreement.MarkFaulty(new ReplicaId(2));
        Assert.Equal(100, simulation.Run().Operations);
    }

    /// <summary>More than f silent replicas: completion is demanded, and missed.</summary>
    [Fact]
    public void Operations_that_cannot_complete_are_seen()
    {
        using var simulation = new Simulation(1, new KeyValueSuite(), Calm);
        simulation.MakeFaulty(2, new BfsSim.Byzantine.Mute());
        simulation.MakeFaulty(3, new BfsSim.Byzantine.Mute());
        var e = Assert.Throws<NoProgressException>(simulation.Run);
        Assert.Contains("did not complete", e.Message, StringComparison.Ordinal);
    }

    private static SimOptions Calm(SimOptions drawn) => drawn with
    {
        Replicas = 4,
        Clients = 3,
        SlotsPerClient = 2,
        CheckpointPeriod = 4,
        LogSize = 8,
        WindowSize = 2,
        Operations = 100,
        Keys = 2,
        ReadsPerMille = 300,
        LossPerMille = 0,
        CorruptionPerMille = 0,
        ShortestDelayMicros = 20,
        DelaySpreadMicros = 200,
        LongestThinkMicros = 2_000,
        FaultyReplicas = 0,
        Outages = 0,
    };

    /// <summary>Forgets every seventh write.</summary>
    private sealed class ForgetfulService : IService
    {
        private readonly KeyValueService _inner = new();
        private StateRegion _state = null!;

        public void Open(StateRegion state)
        {
            _state = state;
            _inner.Open(state);
        }

        public void StateReplaced() => _inner.StateReplaced();

        public bool IsReadOnly(ReadOnlySpan<byte> operation) => _inner.IsReadOnly(operation);

        public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
        {
            if (IsReadOnly(operation))
            {
                return _inner.Execute(context, operation, result);
            }
            // The count is kept at the end of the state, so that it is the same on every replica.
            ref long count = ref _state.Modify<long>(_state.SizeBytes - sizeof(long));
            if (++count % 7 != 0)
            {
                return _inner.Execute(context, operation, result);
            }
            int length = 2 + operation[1];
            byte[] read = [(byte)'g', .. operation[1..length]];
            return _inner.Execute(context, read, result);
        }
    }

    /// <summary>Has a bit in its memory that nobody asked for.</summary>
    private sealed class CorruptedService : IService
    {
        private readonly KeyValueService _inner = new();
        private StateRegion _state = null!;

        public void Open(StateRegion state)
        {
            _state = state;
            _inner.Open(state);
        }

        public void StateReplaced() => _inner.StateReplaced();

        public bool IsReadOnly(ReadOnlySpan<byte> operation) => _inner.IsReadOnly(operation);

        public int Execute(in ExecutionContext context, ReadOnlySpan<byte> operation, Span<byte> result)
        {
            if (!context.ReadOnly)
            {
                _state.Modify(_state.SizeBytes - 1, 1)[0] = 1;
            }
            return _inner.Execute(context, operation, result);
        }
    }
}
