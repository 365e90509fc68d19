using BfsCore;
using BfsCore.Hosting;
using BfsCore.Hosting.Recovery;
using BfsCore.Replication;

namespace BfsTests.Hosting.Recovery;

/// <summary>One replica at a time recovers (§4.3.3, pitfall 40).</summary>
public sealed class WatchdogScheduleTests
{
    private static readonly DateTime s_start = new(2026, 5, 17, 11, 22, 33, 444, DateTimeKind.Utc);

    private static ClusterConfig Config(int n, int seconds, ClusterMode mode = ClusterMode.Bft) => new()
    {
        Mode = mode,
        Replicas = [.. Enumerable.Range(0, n).Select(i => new ReplicaInfo(new ReplicaId(i), "localhost", 7000 + i, default))],
        Clients = [],
        WatchdogSeconds = seconds,
    };

    [Theory]
    [InlineData(4, 60)]
    [InlineData(4, 3600)]
    [InlineData(7, 10)]
    [InlineData(13, 86_400)]
    public void Each_replica_has_its_turn_once_in_the_period_and_never_close_to_another(int n, int seconds)
    {
        ClusterConfig config = Config(n, seconds);
        var times = new List<(DateTime Time, int Id)>();
        for (int id = 0; id < n; id++)
        {
            DateTime time = s_start;
            for (int turn = 0; turn < 5; turn++)
            {
                DateTime next = WatchdogSchedule.Next(config, new ReplicaId(id), time)!.Value;
                Assert.True(next > time);
                Assert.True(next - time <= TimeSpan.FromSeconds(seconds));
                Assert.True(turn == 0 || next - time == TimeSpan.FromSeconds(seconds));
                // Whoever asks a little earlier or later gets the same answer: monitors agree without a word.
                Assert.Equal(next, WatchdogSchedule.Next(config, new ReplicaId(id), next.AddTicks(-1)));
                times.Add((time = next, id));
            }
        }
        times.Sort();
        for (int i = 1; i < times.Count; i++)
        {
            Assert.True(times[i].Time - times[i - 1].Time >= TimeSpan.FromSeconds((double)seconds / n) - TimeSpan.FromTicks(n));
            // Views go upwards: whom a primary hands over to has just recovered, or has long to go.
            Assert.Equal((times[i].Id + 1) % n, times[i - 1].Id);
        }
    }

    [Fact]
    public void Zero_is_never_and_so_is_an_unreplicated_server()
    {
        Assert.Null(WatchdogSchedule.Next(Config(4, 0), new ReplicaId(1), s_start));
        Assert.Null(WatchdogSchedule.Next(Config(1, 60, ClusterMode.NoRep), new ReplicaId(0), s_start));
        Assert.Null(WatchdogSchedule.Next(Config(4, 60, ClusterMode.BftPk), new ReplicaId(0), s_start));
    }

    private static MonitorAnswer?[] Answers() => [.. Enumerable.Range(0, 4).Select(i => (MonitorAnswer?)new MonitorAnswer { Id = i, Activity = ReplicaActivity.Active })];

    [Fact]
    public void All_others_must_take_part()
    {
        var self = new ReplicaId(1);
        MonitorAnswer?[] answers = Answers();
        Assert.Null(OtherReplicas.FirstObstacle(answers, self));
        // How it is itself does not count: it may be down.
        answers[1] = null;
        Assert.Null(OtherReplicas.FirstObstacle(answers, self));
        answers[3] = answers[3]!.Value with { Recovery = new RecoveryReport { Phase = RecoveryPhase.Recovered } };
        Assert.Null(OtherReplicas.FirstObstacle(answers, self));

        answers[3] = null;
        Assert.Equal("replica 3 cannot be reached", OtherReplicas.FirstObstacle(answers, self));
        answers = Answers();
        answers[2] = answers[2]!.Value with { Recovery = new RecoveryReport { Phase = RecoveryPhase.Request } };
        Assert.Equal("replica 2 is recovering", OtherReplicas.FirstObstacle(answers, self));
        Assert.Null(OtherReplicas.FirstObstacle(answers, new ReplicaId(2)));
        answers[2] = Answers()[2]!.Value with { Activity = ReplicaActivity.Diverged };
        Assert.Equal("replica 2 repairs its state", OtherReplicas.FirstObstacle(answers, self));
        answers[0] = answers[0]!.Value with { Activity = ReplicaActivity.Fetching };
        Assert.Equal("replica 0 is fetching state", OtherReplicas.FirstObstacle(answers, self));
    }
}
