namespace BfsSim;

/// <summary>Everything that a seed decides before the first event. Times are microseconds of virtual time.</summary>
public sealed record SimOptions
{
    /// <summary>snfsd instead of the key-value map.</summary>
    public required bool Files { get; init; }
    public required int Replicas { get; init; }
    public required int Clients { get; init; }
    public required int SlotsPerClient { get; init; }
    public required int CheckpointPeriod { get; init; }
    public required int LogSize { get; init; }
    public required int WindowSize { get; init; }
    public required int MaxBatchRequests { get; init; }
    public required int InlineThresholdBytes { get; init; }
    public required int DigestReplyThresholdBytes { get; init; }
    public required bool TentativeExecution { get; init; }
    public required bool ReadOnlyOptimization { get; init; }

    /// <summary>Three clusters of four; not drawn for itself, so that the seeds before it was there still draw what they drew.</summary>
    public bool PreferredQuorums => Operations % 4 != 0;
    public required bool PiggybackCommits { get; init; }

    /// <summary>Operations of all clients together.</summary>
    public required int Operations { get; init; }

    /// <summary>How many keys, or names in a directory, there are.</summary>
    public required int Keys { get; init; }
    public required int ReadsPerMille { get; init; }
    public required int LargeValuesPerMille { get; init; }
    public required int LongestThinkMicros { get; init; }

    public required int LossPerMille { get; init; }
    public required int DuplicationPerMille { get; init; }

    /// <summary>A flipped bit somewhere in the message.</summary>
    public required int CorruptionPerMille { get; init; }
    public required int ShortestDelayMicros { get; init; }
    public required int DelaySpreadMicros { get; init; }

    /// <summary>Messages that take twenty times as long.</summary>
    public required int StragglersPerMille { get; init; }

    /// <summary>How far wall clocks are apart from true time at most, milliseconds.</summary>
    public required int ClockSkewMillis { get; init; }

    /// <summary>Replicas that stop or turn faulty for good at some time; at most f.</summary>
    public required int FaultyReplicas { get; init; }

    /// <summary>Faulty replicas lie from the start, all in this way, a name in <see cref="Byzantine.StrategyLibrary"/>; null: as they like.</summary>
    public string? Liars { get; init; }

    /// <summary>Faulty clients all lie in this way; null: as they like.</summary>
    public string? LyingClients { get; init; }

    /// <summary>Clients beside the correct ones that break the protocol from the start.</summary>
    public required int FaultyClients { get; init; }

    /// <summary>Times when one replica is cut off from everything for a while.</summary>
    public required int Outages { get; init; }

    /// <summary>Times when all nodes are parted into two groups for a while.</summary>
    public required int Partitions { get; init; }

    /// <summary>Times when one node does not hear another, which hears it.</summary>
    public required int OneWayCuts { get; init; }

    /// <summary>Times when a replica's process ends, to start again with what its files hold.</summary>
    public required int Restarts { get; init; }

    /// <summary>Of these, how often all replicas end at once.</summary>
    public required int MassRestartsPerMille { get; init; }

    /// <summary>How many stable checkpoints a replica saves as an image.</summary>
    public required int ImageSavesPerMille { get; init; }

    /// <summary>Views change regularly, every so many checkpoints; zero: they do not.</summary>
    public required int ViewRotationCheckpoints { get; init; }

    /// <summary>First wait of the view-change timer; short ones make honest primaries suspects.</summary>
    public required int ViewChangeTimeoutMillis { get; init; }

    /// <summary>T_k: how often session keys change (§4.3.1); zero: only at a start.</summary>
    public required int KeyRefreshMillis { get; init; }

    /// <summary>How often a replica is restarted to recover (§4.3.2), one at a time.</summary>
    public required int Recoveries { get; init; }

    /// <summary>How many replicas an attacker owns one after the other, each until it has recovered (§4.3.3).</summary>
    public int Intrusions { get; init; }

    /// <summary>BFT-PK: signatures instead of MACs (§2.3).</summary>
    public bool Signed { get; init; }

    /// <summary>From here on the network is perfect, and what is outstanding must complete.</summary>
    public required long HealMicros { get; init; }

    /// <summary>The whole cluster of a seed.</summary>
    public static SimOptions Draw(SimRandom random)
    {
        int replicas = random.Choose(4, 4, 4, 7);
        int period = random.Choose(2, 4, 8, 16, 32);
        bool calm = random.PerMille(250);
        int restarts = random.Choose(0, 0, 1, 3, 8);
        var options = new SimOptions
        {
            Files = random.PerMille(300),
            Replicas = replicas,
            Clients = random.Between(1, 5),
            SlotsPerClient = random.Choose(1, 2, 4, 8),
            CheckpointPeriod = period,
            LogSize = period * random.Between(2, 4),
            WindowSize = random.Between(1, Math.Min(8, period)),
            MaxBatchRequests = random.Choose(1, 4, 64),
            InlineThresholdBytes = random.Choose(0, 255, 255, 2000),
            DigestReplyThresholdBytes = random.Choose(0, 32, 32, 1000),
            TentativeExecution = !random.PerMille(250),
            ReadOnlyOptimization = !random.PerMille(250),
            PiggybackCommits = !random.PerMille(250),
            Operations = random.Between(50, 400),
            Keys = random.Between(1, 8),
            ReadsPerMille = random.Choose(0, 300, 700),
            LargeValuesPerMille = random.Choose(0, 100, 300),
            LongestThinkMicros = random.Choose(1, 2_000, 50_000),
            LossPerMille = calm ? 0 : random.Choose(0, 5, 50, 150, 300),
            DuplicationPerMille = calm ? 0 : random.Choose(0, 20, 200),
            CorruptionPerMille = calm ? 0 : random.Choose(0, 0, 10, 50),
            ShortestDelayMicros = random.Choose(20, 200, 5_000),
            DelaySpreadMicros = random.Choose(1, 200, 5_000, 40_000),
            StragglersPerMille = calm ? 0 : random.Choose(0, 10, 50),
            ClockSkewMillis = random.Choose(0, 5, 2_000),
            FaultyReplicas = random.PerMille(700) || (calm && restarts == 0) ? random.Between(1, (replicas - 1) / 3) : 0,
            FaultyClients = random.PerMille(250) ? random.Between(1, 2) : 0,
            Outages = calm ? 0 : random.Choose(0, 0, 1, 3, 6),
            Partitions = calm ? 0 : random.Choose(0, 0, 1, 3),
            OneWayCuts = calm ? 0 : random.Choose(0, 0, 2, 8),
            Restarts = restarts,
            MassRestartsPerMille = random.Choose(0, 0, 300),
            ImageSavesPerMille = random.Choose(0, 200, 1000),
            ViewRotationCheckpoints = random.Choose(0, 0, 1, 8),
            ViewChangeTimeoutMillis = random.Choose(100, 300, 300, 1000),
            HealMicros = random.Between(2, 20) * 1_000_000L,
            KeyRefreshMillis = random.Choose(0, 0, 500, 2_000),
            Recoveries = random.Choose(0, 0, 1, 4),
        };
        return random.PerMille(100) ? SimProfiles.Intruded(options) : options;
    }
}
