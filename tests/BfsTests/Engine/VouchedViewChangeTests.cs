using BfsCore;
using BfsCore.Messages;
using BfsCore.Replication;

namespace BfsTests.Engine;

/// <summary>
/// View-changes that are not authentic for all, made up, or two of one sender (§3.2.4): f backups vouch for what a new view rests
/// on, or it is not entered.
/// </summary>
public sealed class VouchedViewChangeTests
{
    private static readonly byte[] Add = [(byte)'a', 0, 0];

    private static InMemoryCluster NewCluster() => new InMemoryCluster(c => c with { ViewChangeTimeoutMillis = 60_000 }).Start();

    private static MessageTag TagOf(byte[] message) => MessageHeader.TryReadTag(message, out MessageTag tag) ? tag : default;

    private static void LeaveAll(InMemoryCluster cluster)
    {
        cluster.Replicas.ForEach(r => r.LeaveView());
        cluster.Pass(2_000_000);
    }

    private static byte[] ViewChangeOf(InMemoryCluster cluster, int name, View view, IReadOnlyList<ViewChangeEntry> votes, int sealedBy)
    {
        int n = cluster.Config.N;
        Replica by = cluster.Replicas[sealedBy];
        ViewChangeEntry[] c = [new ViewChangeEntry(default, by.StableDigest, default)];
        var message = new byte[ViewChange.SizeFor(c.Length, votes.Count, votes.Count, MessageFormat.Macs(n))];
        ViewChange.Write(message, MessageFormat.Macs(n), view, default, new ReplicaId(name), c, votes, votes);
        by.Keys.Authenticate(message.AsSpan(0, ViewChange.HeaderBytes), message.AsSpan(message.Length - (n * MessageHeader.TagBytes)));
        return message;
    }

    /// <summary>
    /// Simulator, profile forger, seed 189: replica 1 is the next primary, says in the names of 2 and 3 that the null batch had
    /// prepared, and vouches for that itself.
    /// </summary>
    [Fact]
    public void The_primarys_own_word_does_not_make_up_what_others_said()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Invoke(Add);
        var forged = new List<byte[]>();
        cluster.Filter = (to, from, m) => to != 2 || forged.Contains(m) || TagOf(m) is not (MessageTag.ViewChange or MessageTag.ViewChangeAck or MessageTag.NewView);
        Replica victim = cluster.Replicas[2];
        victim.LeaveView();
        cluster.Run();
        int n = cluster.Config.N;
        Replica liar = cluster.Replicas[1];
        View view = victim.View;
        ViewChangeEntry claim = new(new SeqNum(1), default, default);
        var named = new List<ViewChangeEntry>();
        for (int name = 1; name <= 3; name++)
        {
            byte[] message = ViewChangeOf(cluster, name, view, [claim], sealedBy: 1);
            Assert.True(ViewChange.TryParse(message, cluster.Config, out ViewChange parsed));
            named.Add(new ViewChangeEntry(new SeqNum(name), parsed.Identity, default));
            var ack = new byte[ViewChangeAck.SizeFor(MessageFormat.Macs(n))];
            ViewChangeAck.Write(ack, MessageFormat.Macs(n), view, liar.Id, new ReplicaId(name), parsed.Identity);
            liar.Keys.Authenticate(ack.AsSpan(0, ViewChangeAck.HeaderBytes), ack.AsSpan(ViewChangeAck.HeaderBytes));
            forged.AddRange([message, ack]);
        }
        var newView = new byte[NewView.HeaderBytes + ((named.Count + 1) * ViewChange.EntryBytes) + (n * MessageHeader.TagBytes)];
        NewView.Write(newView, MessageFormat.Macs(n), view, default, liar.StableDigest, liar.Id, named, [claim]);
        liar.Keys.Authenticate(newView.AsSpan(0, NewView.HeaderBytes), newView.AsSpan(newView.Length - (n * MessageHeader.TagBytes)));
        forged.Add(newView);
        forged.ForEach(m => cluster.Inject(2, 1, m));
        cluster.Run();
        Assert.False(victim.ViewActive);
    }

    /// <summary>Replica 0 writes a wrong MAC for replica 3, and the new view rests on what it says: not only in the first view change.</summary>
    [Fact]
    public void What_is_not_authentic_for_one_backup_is_vouched_for_in_every_view()
    {
        using InMemoryCluster cluster = NewCluster();
        LeaveAll(cluster);
        Assert.All(cluster.Replicas, r => Assert.Equal((1, true), (r.View.Value, r.ViewActive)));
        cluster.Filter = (to, from, m) =>
        {
            if (TagOf(m) == MessageTag.ViewChange && from == 0)
            {
                m[m.Length - MessageHeader.TagBytes] ^= 1;
            }
            return !(TagOf(m) == MessageTag.ViewChange && from == 1 && to == 2);
        };
        LeaveAll(cluster);
        Assert.All(cluster.Replicas, r => Assert.Equal((2, true), (r.View.Value, r.ViewActive)));
    }

    /// <summary>Replica 0 says something else to replica 3 than to the rest, each authentic.</summary>
    [Fact]
    public void A_backup_that_was_told_something_else_believes_those_who_vouch()
    {
        using InMemoryCluster cluster = NewCluster();
        cluster.Invoke(Add);
        cluster.Filter = (to, from, m) =>
        {
            if (TagOf(m) == MessageTag.ViewChange && from == 0 && to == 3 && m[8] == 1)
            {
                byte[] other = ViewChangeOf(cluster, 0, new View(1), [], sealedBy: 0);
                cluster.Replicas[3].Step(other, new SourceAddress(1));
                return false;
            }
            return !(TagOf(m) == MessageTag.ViewChange && from == 2 && to == 1);
        };
        LeaveAll(cluster);
        Assert.All(cluster.Replicas, r => Assert.Equal((1, true), (r.View.Value, r.ViewActive)));
        Assert.True(cluster.Replicas[3].Counters.Dropped(DropReason.Conflicting) > 0);
    }
}
