using System.Text;
using BfsCore;
using BfsCore.FileProtocol;
using BfsCore.State;
using BfsSim;
using BfsSim.Checkers;
using BfsSim.Services;

namespace BfsTests.Simulator;

/// <summary>The checker that takes the replicas' own order as a witness: what contradicts it must be seen.</summary>
public sealed class WitnessCheckerTests
{
    private static readonly byte[] PutA = Operation("pa"), PutB = Operation("pb");
    private static readonly byte[] Get1 = Operation("g1"), Get2 = Operation("g2");
    private static readonly byte[] Nothing = [KeyValueService.Absent];
    private static readonly byte[] FoundA = [KeyValueService.Ok, (byte)'a'], FoundB = [KeyValueService.Ok, (byte)'b'];

    /// <summary>A letter and a value, for one key; the value of a get only makes it differ from others.</summary>
    private static byte[] Operation(string text) => [(byte)text[0], 1, (byte)'k', .. Encoding.ASCII.GetBytes(text[1..])];

    private static HistoryEntry Entry(byte[] operation, long invoked, long returned, byte[]? result) => new()
    {
        Client = Limits.FirstClientId,
        Operation = operation,
        Invoked = invoked,
        Returned = result is null ? long.MaxValue : returned,
        Result = result,
    };

    private static string? Problem(byte[][] order, params HistoryEntry[] history)
    {
        using var pages = new PagedState(4 * PagedState.PageBytes);
        var service = new KeyValueService();
        service.Open(pages.Window(0, pages.SizeBytes));
        var client = new ClientId(Limits.FirstClientId);
        try
        {
            new WitnessChecker([.. history], [.. order.Select((o, i) => new WitnessedOperation(client, i, o))]).Check(service);
            return null;
        }
        catch (SimulationException e)
        {
            return e.Message;
        }
    }

    [Fact]
    public void What_fits_the_order_is_accepted()
    {
        Assert.Null(Problem([PutA, PutB], Entry(PutA, 0, 1, Nothing), Entry(Get1, 2, 3, FoundA), Entry(PutB, 4, 5, FoundA),
            Entry(Get2, 6, 7, FoundB)));
        Assert.Null(Problem([PutA], Entry(PutA, 0, 0, null), Entry(Get1, 1, 2, FoundA)));
    }

    [Fact]
    public void A_result_of_another_order_is_seen() =>
        Assert.Contains("another result", Problem([PutB, PutA], Entry(PutA, 0, 9, Nothing), Entry(PutB, 1, 8, FoundA)), StringComparison.Ordinal);

    [Fact]
    public void A_completed_operation_that_nobody_executed_is_seen() =>
        Assert.Contains("never executed", Problem([], Entry(PutA, 0, 1, Nothing)), StringComparison.Ordinal);

    [Fact]
    public void An_operation_executed_twice_is_seen() =>
        Assert.Contains("executed twice", Problem([PutA, PutA], Entry(PutA, 0, 1, Nothing)), StringComparison.Ordinal);

    [Fact]
    public void An_order_against_real_time_is_seen() =>
        Assert.Contains("seen already", Problem([PutB, PutA], Entry(PutA, 0, 1, FoundB), Entry(PutB, 2, 3, Nothing)), StringComparison.Ordinal);

    [Fact]
    public void A_read_of_the_past_or_the_future_is_seen()
    {
        Assert.Contains("fits no state", Problem([PutA], Entry(PutA, 0, 1, Nothing), Entry(Get1, 2, 3, Nothing)), StringComparison.Ordinal);
        Assert.Contains("fits no state", Problem([PutA], Entry(Get1, 0, 1, FoundA), Entry(PutA, 2, 3, Nothing)), StringComparison.Ordinal);
    }

    [Fact]
    public void Two_reads_that_go_back_in_time_are_seen()
    {
        HistoryEntry put = Entry(PutA, 0, 9, Nothing);
        Assert.Null(Problem([PutA], put, Entry(Get1, 1, 2, Nothing), Entry(Get2, 3, 4, FoundA)));
        Assert.Contains("fits no state", Problem([PutA], put, Entry(Get1, 1, 2, FoundA), Entry(Get2, 3, 4, Nothing)), StringComparison.Ordinal);
    }

    /// <summary>The file workload reaches what it is meant to reach: most operations work, and in many ways they do not.</summary>
    [Fact]
    public void The_file_workload_meets_successes_and_errors()
    {
        var statuses = new Dictionary<(FileOp, bool), int>();
        var errors = new HashSet<Errno>();
        for (long seed = 1; seed <= 25; seed++)
        {
            using var simulation = new Simulation(seed, new FileSuite(), o => o with { Operations = 400, Keys = 4, HealMicros = 60_000_000 });
            simulation.Run();
            foreach (HistoryEntry entry in simulation.History.Entries.Where(e => e.Result is not null))
            {
                var status = (Errno)new WireReader(entry.Result).I32();
                errors.Add(status);
                (FileOp, bool) kind = ((FileOp)new WireReader(entry.Operation).U16(), status == Errno.Ok);
                statuses[kind] = statuses.GetValueOrDefault(kind) + 1;
            }
        }
        foreach (FileOp op in new[] { FileOp.Create, FileOp.Mkdir, FileOp.Write, FileOp.WriteParts, FileOp.SetAttr, FileOp.Unlink, FileOp.Rmdir,
            FileOp.Rename, FileOp.Link, FileOp.Symlink, FileOp.Lookup, FileOp.Read, FileOp.Readdir, FileOp.Readlink,
            FileOp.Open })
        {
            Assert.True(statuses.GetValueOrDefault((op, true)) >= 3, $"{op} succeeded {statuses.GetValueOrDefault((op, true))} times");
            Assert.True(statuses.GetValueOrDefault((op, false)) >= 3, $"{op} failed {statuses.GetValueOrDefault((op, false))} times");
        }
        Assert.Superset(new HashSet<Errno> { Errno.ENOENT, Errno.EEXIST, Errno.ESTALE, Errno.ENOTDIR, Errno.EISDIR, Errno.ENOTEMPTY }, errors);
    }
}
