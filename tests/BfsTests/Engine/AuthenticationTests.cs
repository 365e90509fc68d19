using BfsCore;
using BfsCore.Crypto;
using BfsCore.Messages;
using BfsCore.Replication;
using BfsCore.State;

namespace BfsTests.Engine;

/// <summary>Session keys (§4.3.1) and request authentication (§3.2.2).</summary>
public sealed class AuthenticationTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static bool IsTag(byte[] message, MessageTag tag) =>
        MessageHeader.TryReadTag(message, out MessageTag found) && found == tag;

    private static void BreakClientTag(byte[] message, int requestAt, int requestBytes, int replica) =>
        message[requestAt + requestBytes - ((4 - replica) * 8)] ^= 1;

    [Fact]
    public void SipHash_gives_the_published_vector()
    {
        byte[] key = [.. Enumerable.Range(0, 16).Select(i => (byte)i)];
        byte[] message = [.. Enumerable.Range(0, 15).Select(i => (byte)i)];
        Assert.Equal(0xa129ca6149be45e5u, new MacKey(key).Compute(message));
    }

    [Fact]
    public void Only_the_receiver_can_open_its_session_key()
    {
        using InMemoryCluster cluster = new();
        var keys = Enumerable.Range(0, 4).Select(_ => InMemoryCluster.NewKeyPair()).ToArray();
        ClusterConfig config = cluster.Config with
        {
            Replicas = [.. keys.Select((k, i) => new ReplicaInfo(new ReplicaId(i), "127.0.0.1", 1, PublicKeys.ToPoint(k.Q)))],
        };
        KeyExchange[] sides = [.. keys.Select(k => new KeyExchange(config, new KeySigner(k, () => 1)))];
        byte[] secrets = [.. Enumerable.Range(0, 64).Select(i => (byte)i)];
        byte[] buffer = new byte[NewKey.SizeFor(4)];
        sides[1].Create(buffer, 1, 5, 5, secrets);
        Assert.True(NewKey.TryParse(buffer, 4, out NewKey message));
        byte[] key = new byte[16];
        Assert.True(sides[3].TryOpen(message, new ReplicaId(3), key));
        Assert.Equal(secrets[48..64], key);
        Assert.False(sides[2].TryOpen(message, new ReplicaId(3), key));
        buffer[16] ^= 1;
        Assert.True(NewKey.TryParse(buffer, 4, out NewKey forged));
        Assert.False(sides[3].TryOpen(forged, new ReplicaId(3), key));
    }

    [Fact]
    public void Condition_1_and_2_a_request_with_one_wrong_mac_is_prepared_after_f_others()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = (to, from, m) =>
        {
            if (IsTag(m, MessageTag.Request) && from >= Limits.FirstClientId)
            {
                BreakClientTag(m, 0, m.Length, replica: 2);
            }
            return true;
        };
        Assert.NotNull(cluster.Invoke(Add));
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.LastCommitted.Value));
    }

    [Fact]
    public void Too_few_right_macs_are_not_prepared_until_the_client_sends_right_ones()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        bool attack = true;
        cluster.Filter = (to, from, m) =>
        {
            if (attack && IsTag(m, MessageTag.Request) && from >= Limits.FirstClientId)
            {
                for (int replica = 1; replica < 4; replica++)
                {
                    BreakClientTag(m, 0, m.Length, replica);
                }
            }
            return true;
        };
        Assert.Null(cluster.Invoke(Add));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.LastExecuted.Value));
        attack = false;
        cluster.Pass(1_000_000);
        Assert.Single(cluster.Results[0].Completed);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.Counters.RequestsExecuted));
    }

    [Fact]
    public void A_message_with_a_wrong_mac_changes_nothing()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        cluster.Filter = (to, from, m) =>
        {
            if (to == 2 && from < 4)
            {
                m[^(8 * 2)] ^= 1;
            }
            return true;
        };
        Assert.NotNull(cluster.Invoke(Add));
        Assert.Equal(0, cluster.Replicas[2].LastExecuted.Value);
        Assert.True(cluster.Replicas[2].Counters.Dropped(DropReason.BadMac) > 0);
    }

    [Fact]
    public void A_lost_NEW_KEY_is_asked_for_again()
    {
        using InMemoryCluster cluster = new();
        int lost = 0;
        cluster.Filter = (_, _, m) => !IsTag(m, MessageTag.NewKey) || ++lost > 18;
        cluster.Start();
        Assert.Null(cluster.Invoke(Add));
        cluster.Pass(10_000_000);
        Assert.Single(cluster.Results[0].Completed);
        Assert.All(cluster.Replicas, r => Assert.Equal(1, r.LastCommitted.Value));
    }

    [Fact]
    public void A_batch_with_a_far_away_time_is_refused()
    {
        using InMemoryCluster cluster = new InMemoryCluster().Start();
        Instant now = cluster.Now;
        cluster.Replicas[0].Tick(now with { WallNanos = now.WallNanos + 3_600_000_000_000 });
        cluster.Filter = (to, from, _) => true;
        cluster.Clients[0].TryInvoke(Add, false, 1);
        byte[]? request = null;
        cluster.Filter = (to, _, m) =>
        {
            if (to == 0 && IsTag(m, MessageTag.Request))
            {
                request = m;
                return false;
            }
            return true;
        };
        cluster.Run();
        cluster.Replicas[0].Step(request!, new SourceAddress(1025));
        cluster.Replicas[0].Tick(now with { WallNanos = now.WallNanos + 3_600_000_000_000 });
        cluster.Run();
        Assert.Equal(1, cluster.Replicas[1].Counters.Dropped(DropReason.BadTime));
        Assert.All(cluster.Replicas, r => Assert.Equal(0, r.LastExecuted.Value));
    }
}
