using BfsBench;

namespace BfsTests.Benchmarks;

/// <summary>With the parameters of the thesis the model says what the thesis says of it.</summary>
public sealed class PerformanceModelTests
{
    private static readonly PerformanceModel s_four = new(Surroundings.Thesis, 1);

    private static double Slowdown(Surroundings at, int argument, int result, bool readOnly)
    {
        var model = new PerformanceModel(at, 1);
        return (readOnly ? model.ReadOnlyLatency(argument, result) : model.ReadWriteLatency(argument, result))
            / PerformanceModel.NoRepLatency(at, argument, result);
    }

    /// <summary>§8.3.1: 4.07 and 1.93 for 0/0, and the read-only optimization saves 225 us; our headers are larger, NO-REP's too.</summary>
    [Fact]
    public void In_the_thesis_network_an_operation_costs_about_what_it_says()
    {
        Assert.InRange(Slowdown(Surroundings.Thesis, 8, 8, readOnly: false), 2.7, 4.5);
        Assert.InRange(Slowdown(Surroundings.Thesis, 8, 8, readOnly: true), 1.4, 2.4);
        Assert.InRange(s_four.ReadWriteLatency(8, 8) - s_four.ReadOnlyLatency(8, 8), 180, 270);
    }

    /// <summary>§8.3.5: one round trip more for read-write, none for read-only.</summary>
    [Fact]
    public void Far_apart_only_round_trips_count()
    {
        Surroundings wan = Surroundings.Thesis.OverWan();
        Assert.InRange(Slowdown(wan, 8, 8, readOnly: false), 1.9, 2.15);
        Assert.InRange(Slowdown(wan, 8, 8, readOnly: true), 1, 1.1);
    }

    /// <summary>§7.5: what more replicas cost does not depend on the size of the argument, so it matters less for large ones.</summary>
    [Fact]
    public void More_replicas_cost_a_small_operation_most()
    {
        var seven = new PerformanceModel(Surroundings.Thesis, 2);
        double small = seven.ReadWriteLatency(8, 8) / s_four.ReadWriteLatency(8, 8);
        double large = seven.ReadWriteLatency(8192, 8) / s_four.ReadWriteLatency(8192, 8);
        Assert.InRange(small, 1.1, 1.6);
        Assert.InRange(large, 1, small);
    }

    /// <summary>§8.3.2: batches carry what agreement costs.</summary>
    [Fact]
    public void Batches_raise_the_throughput()
    {
        double one = s_four.Throughput(8, 8, 1, 100), hundred = s_four.Throughput(8, 8, 100, 100);
        Assert.InRange(hundred / one, 2, 20);
        Assert.InRange(hundred, 8_000, 25_000);
    }

    [Fact]
    public void Nodes_that_share_a_processor_wait_for_each_other()
    {
        Surroundings one = Surroundings.Thesis with { Processors = 1 }, four = Surroundings.Thesis with { Processors = 4 };
        Assert.True(new PerformanceModel(one, 1).ReadOnlyLatency(8, 8) > new PerformanceModel(four, 1).ReadOnlyLatency(8, 8));
        Assert.Equal(s_four.ReadOnlyLatency(8, 8), new PerformanceModel(four, 1).ReadOnlyLatency(8, 8));
    }
}
