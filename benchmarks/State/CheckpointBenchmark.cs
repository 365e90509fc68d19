using System.Diagnostics;
using System.Runtime.InteropServices;
using BfsCore;
using BfsCore.State;

namespace BfsBench;

/// <summary>
/// The cost of checkpoints (§8.4.1), in this process: copies of pages that are modified for the first time since the last
/// checkpoint, and their digests with those of the partitions above them.
/// </summary>
internal static class CheckpointBenchmark
{
    /// <summary>As in the thesis.</summary>
    private const long StateBytes = 256L << 20;

    private const int WarmUp = 200;

    private static readonly int[] PageCounts = [8, 32, 128, 256, 512, 1024];

    public static void Run(BenchmarkSettings settings, Results results)
    {
        int runs = settings.Runs ?? (settings.Quick ? 20 : 100);
        using var pages = new PagedState(StateBytes);
        StateRegion region = pages.Window(0, StateBytes);
        var epochs = new Epochs(pages, region);
        Output.WithProgress("checkpoints", runs, onDone =>
        {
            epochs.Fill();
            for (int i = 0; i < WarmUp; i++)
            {
                epochs.Measure(64, i % 2 == 0);
            }
            for (int run = 0; run < runs; run++)
            {
                foreach (bool random in new[] { false, true })
                {
                    MeasureAll(epochs, random, results);
                }
                onDone("");
            }
        });
    }

    private static void MeasureAll(Epochs epochs, bool random, Results results)
    {
        string order = random ? "random" : "consecutive";
        var points = new List<(double, double)>();
        foreach (int count in PageCounts)
        {
            (double copy, double digest) = epochs.Measure(count, random);
            results.Add($"checkpoint-copy-{order}-{count}", SystemNames.Bfs, "us", copy);
            results.Add($"checkpoint-digest-{order}-{count}", SystemNames.Bfs, "us", digest);
            points.Add((count, copy + digest));
        }
        // The slope: what one page more costs.
        results.Add($"checkpoint-page-{order}", SystemNames.Bfs, "us/page", Statistics.Line(points).Slope);
    }

    private sealed class Epochs(PagedState pages, StateRegion region)
    {
        private readonly Random _random = new(1);
        private long _number;
        private int _value;

        /// <summary>Every page has content: a page of zeros needs no copy.</summary>
        public void Fill()
        {
            for (long page = 0; page < pages.PageCount; page++)
            {
                Touch(page);
            }
            Take();
        }

        /// <summary>Microseconds of copying and of digests, of so many pages.</summary>
        public (double Copy, double Digest) Measure(int count, bool random)
        {
            long[] chosen = Choose(count, random);
            // Cost of the writes themselves, on pages that are recorded already, comes off.
            long start = Stopwatch.GetTimestamp();
            Array.ForEach(chosen, Touch);
            double first = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            start = Stopwatch.GetTimestamp();
            Array.ForEach(chosen, Touch);
            double again = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            start = Stopwatch.GetTimestamp();
            Take();
            return (first - again, Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        private long[] Choose(int count, bool random)
        {
            if (!random)
            {
                long first = _random.NextInt64(pages.PageCount - count);
                return [.. Enumerable.Range(0, count).Select(i => first + i)];
            }
            var chosen = new HashSet<long>();
            while (chosen.Count < count)
            {
                chosen.Add(_random.NextInt64(pages.PageCount));
            }
            return [.. chosen];
        }

        private void Touch(long page) => MemoryMarshal.Write(region.Modify(page * PagedState.PageBytes, sizeof(int)), ++_value);

        private void Take()
        {
            var number = new SeqNum(_number += 128);
            pages.TakeCheckpoint(number);
            pages.DiscardBefore(number);
        }
    }
}
