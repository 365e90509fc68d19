using System.Diagnostics;
using BfsCore.Messages;
using Spectre.Console;

namespace BfsSim.Fuzz;

/// <summary>Runs episodes on several threads, watches time and memory, and says what was found.</summary>
public sealed class FuzzRunner(long seed, int threads)
{
    private const int ProgressMillis = 5_000;
    private const int LongestInputMillis = 20_000;
    private const int EpisodesPerMeasure = 8;

    /// <summary>Managed memory that the process may have in use, bytes per thread; several times what they take.</summary>
    private const long MaxHeapPerThread = 100L << 20;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, (FuzzFailure Failure, int Count)> _failures = [];
    private readonly long[] _byTarget = new long[Enum.GetValues<FuzzTarget>().Length];
    private readonly long[] _byTag = new long[32];
    private readonly long[] _drops = new long[64];
    private readonly FuzzEpisode?[] _running = new FuzzEpisode?[threads];
    private static readonly int DropReasons = Enum.GetValues<BfsCore.Replication.DropReason>().Length;
    private long _next;
    private long _inputs;
    private long _views;
    private long _transfers;
    private long _handled;
    private long _mostHeap;
    private long _mostRequests;

    public long InputsDone => Interlocked.Read(ref _inputs);

    /// <summary>Different failures; none is what is wanted.</summary>
    public int Failures => _failures.Count;

    /// <summary>Runs until there were this many inputs, or this much time has passed.</summary>
    public void Run(long inputs, TimeSpan time, IAnsiConsole? console = null)
    {
        var clock = Stopwatch.StartNew();
        Corpus start = Record(seed);
        Thread[] workers = [.. Enumerable.Range(0, threads).Select(i => new Thread(() => Work(i, inputs, clock, time, start)) { IsBackground = true })];
        Array.ForEach(workers, w => w.Start());
        var stuck = new (long Number, long Since)[threads];
        while (Array.Exists(workers, w => w.IsAlive))
        {
            Array.Find(workers, w => w.IsAlive)?.Join(ProgressMillis);
            console?.MarkupLine($"[grey]{clock.Elapsed:hh\\:mm\\:ss}[/] {InputsDone:N0} inputs, {InputsDone / clock.Elapsed.TotalSeconds:N0}/s, "
                + $"heap {GC.GetTotalMemory(false) >> 20} MB, {Failures} failures");
            if (FindStuck(stuck, clock) is { } number)
            {
                Add(new FuzzFailure(number, FuzzTarget.Replica, [], "an input does not come to an end", "endless"));
                return;
            }
        }
    }

    private long? FindStuck((long Number, long Since)[] stuck, Stopwatch clock)
    {
        for (int i = 0; i < threads; i++)
        {
            if (_running[i] is { } episode)
            {
                if (episode.Current != stuck[i].Number)
                {
                    stuck[i] = (episode.Current, clock.ElapsedMilliseconds);
                }
                else if (clock.ElapsedMilliseconds - stuck[i].Since > LongestInputMillis && !episode.Ending)
                {
                    return episode.Current;
                }
            }
        }
        return null;
    }

    /// <summary>Messages of a cluster that nobody attacks, to start every episode with.</summary>
    private static Corpus Record(long seed)
    {
        var corpus = new Corpus();
        for (int i = 0; i < 4; i++)
        {
            using var cluster = new FuzzCluster(SimRandom.For(seed, -1 - i), corpus);
            for (int turn = 0; turn < 3_000; turn++)
            {
                cluster.Turn();
            }
        }
        return corpus;
    }

    private void Work(int worker, long inputs, Stopwatch clock, TimeSpan time, Corpus start)
    {
        using var clusterFile = new ClusterFileTarget();
        long episodes = (inputs + FuzzEpisode.Inputs - 1) / FuzzEpisode.Inputs;
        for (long number = Interlocked.Increment(ref _next) - 1; number < episodes && clock.Elapsed < time;
            number = Interlocked.Increment(ref _next) - 1)
        {
            using var episode = new FuzzEpisode(seed, number, start, clusterFile);
            _running[worker] = episode;
            FuzzFailure? failure = episode.Run(long.MaxValue);
            long heap = number % EpisodesPerMeasure == 0 ? GC.GetTotalMemory(forceFullCollection: true) : 0;
            _running[worker] = null;
            lock (_lock)
            {
                Count(episode, heap);
                if (failure is not null)
                {
                    Add(failure);
                }
                if (heap > MaxHeapPerThread * threads)
                {
                    Add(new FuzzFailure(episode.Current, FuzzTarget.Replica, [], $"{heap >> 20} MB of managed memory are in use", "memory"));
                }
            }
        }
    }

    private void Count(FuzzEpisode episode, long heap)
    {
        for (int i = 0; i < _byTarget.Length; i++)
        {
            _byTarget[i] += episode.Counts[i];
            Interlocked.Add(ref _inputs, episode.Counts[i]);
        }
        for (int i = 0; i < _byTag.Length; i++)
        {
            _byTag[i] += episode.Seen[i];
        }
        foreach (BfsCore.Replication.Replica replica in episode.Cluster.Replicas)
        {
            _transfers += replica.Counters.StateTransfers;
            for (int i = 0; i < DropReasons; i++)
            {
                _drops[i] += replica.Counters.Dropped((BfsCore.Replication.DropReason)i);
            }
        }
        _views += episode.Views;
        _handled++;
        _mostHeap = Math.Max(_mostHeap, heap);
        _mostRequests = Math.Max(_mostRequests, episode.MostRequestBytes);
    }

    private void Add(FuzzFailure failure)
    {
        lock (_lock)
        {
            _failures[failure.Place] = _failures.TryGetValue(failure.Place, out (FuzzFailure Failure, int Count) known)
                ? (known.Failure, known.Count + 1) : (failure, 1);
        }
    }

    /// <summary>What ran and what was found, as tables.</summary>
    public void Report(IAnsiConsole console)
    {
        Table table = new Table().AddColumns("input to", "inputs");
        foreach (FuzzTarget target in Enum.GetValues<FuzzTarget>())
        {
            table.AddRow(target.ToString(), _byTarget[(int)target].ToString("N0", null));
        }
        table.AddRow("[bold]all[/]", $"[bold]{InputsDone:N0}[/]");
        console.Write(table);
        console.WriteLine($"{_handled} episodes, {_views} views, {_transfers} state transfers; most memory {_mostHeap >> 20} MB managed, "
            + $"{_mostRequests >> 10} KB of requests held by a replica");
        console.WriteLine("sent by the cluster: " + string.Join(", ", Enum.GetValues<MessageTag>()
            .Where(t => _byTag[(int)t] > 0).Select(t => $"{t} {_byTag[(int)t]:N0}")));
        console.WriteLine("refused by replicas: " + string.Join(", ", Enumerable.Range(0, DropReasons)
            .Where(i => _drops[i] > 0).Select(i => $"{(BfsCore.Replication.DropReason)i} {_drops[i]:N0}")));
        foreach ((FuzzFailure failure, int count) in _failures.Values)
        {
            console.WriteLine();
            Describe(failure, console);
            console.WriteLine($"{count} times; once more: dotnet run --project tests/BfsSim -c Release -- fuzz --repeat {seed}:{failure.Number}");
        }
        console.WriteLine(_failures.Count == 0 ? "nothing failed" : $"{_failures.Count} different failures");
    }

    private void Describe(FuzzFailure failure, IAnsiConsole console)
    {
        console.WriteLine($"FAILED: seed {seed}, input {failure.Number}, {failure.Target}, {failure.Input.Length} bytes: "
            + Convert.ToHexStringLower(failure.Input.AsSpan(0, Math.Min(failure.Input.Length, 2_000))));
        console.WriteLine(failure.What);
    }

    /// <summary>Runs an episode up to one input, to see a failure again.</summary>
    public void Repeat(long number, IAnsiConsole console)
    {
        using var clusterFile = new ClusterFileTarget();
        using var episode = new FuzzEpisode(seed, number / FuzzEpisode.Inputs, Record(seed), clusterFile);
        FuzzFailure? failure = episode.Run((number % FuzzEpisode.Inputs) == FuzzEpisode.Inputs - 1 ? long.MaxValue : number);
        if (failure is null)
        {
            console.WriteLine($"input {number} does no harm (any more)");
            return;
        }
        Add(failure);
        Describe(failure, console);
    }
}
