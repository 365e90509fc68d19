using BfsCore;
using BfsCore.Messages;

namespace BfsSim.Byzantine;

/// <summary>
/// Proposes other batches to some backups than to the rest, at the same number: another time or order, fewer requests, one
/// twice, an old one again, none. Then it votes to each group for what it told that group.
/// </summary>
public sealed class Equivocator(FaultyReplica self) : ISendStrategy
{
    private const int Remembered = 64;

    private readonly ulong _group = self.Random.NextUInt64();
    private readonly Dictionary<(long View, long Seq), Digest> _told = [];
    private readonly List<(byte[] Bytes, ClientId Client, Digest Digest)> _old = [];

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        MessageTag tag = FaultyReplica.TagOf(message);
        if (to >= self.N || (_group >> to & 1) == 0)
        {
            send(message);
        }
        else if (tag == MessageTag.PrePrepare && Batch.TryRead(message, self.Format) is { } batch)
        {
            Change(batch);
            byte[] changed = batch.Write(self);
            _told[(batch.View.Value, batch.Seq.Value)] = Batch.DigestOf(changed);
            self.Count(this);
            send(changed);
        }
        else if (tag is MessageTag.Commit or MessageTag.Committed && _told.TryGetValue(Batch.NumbersOf(message), out Digest told))
        {
            send(Batch.WithDigest(self, (byte[])message.Clone(), told));
        }
        else
        {
            send(message);
        }
    }

    private void Change(Batch batch)
    {
        switch (self.Random.Below(6))
        {
            case 0:
                batch.TimeNanos++;
                break;
            case 1 when batch.Entries.Count > 1:
                batch.Entries.Reverse();
                break;
            case 2 when batch.Entries.Count > 1:
                batch.Entries.RemoveAt(self.Random.Below(batch.Entries.Count));
                break;
            case 3 when batch.Entries.Count > 0:
                batch.Entries.Add(batch.Entries[^1]);
                break;
            case 4 when _old.Count > 0:
                batch.Entries.Add(_old[self.Random.Below(_old.Count)]);
                break;
            default:
                batch.Entries.Clear();
                break;
        }
        if (_old.Count < Remembered)
        {
            _old.AddRange(batch.Entries);
        }
    }
}

/// <summary>Proposes to some backups only, now and then to none.</summary>
public sealed class Withholder(FaultyReplica self) : ISendStrategy
{
    private readonly ulong _without = self.Random.NextUInt64();

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (FaultyReplica.TagOf(message) == MessageTag.PrePrepare && ((_without >> to & 1) != 0 || self.Random.PerMille(100)))
        {
            self.Count(this);
        }
        else
        {
            send(message);
        }
    }
}

/// <summary>Proposes late, to each backup at another time.</summary>
public sealed class Delayer(FaultyReplica self) : ISendStrategy
{
    private readonly long _longestMicros = self.Config.ViewChangeTimeoutMillis * self.Random.Choose(100L, 900L, 3000L);

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (FaultyReplica.TagOf(message) == MessageTag.PrePrepare)
        {
            self.Count(this);
            self.After(self.Random.Below(_longestMicros), () => send(message));
        }
        else
        {
            send(message);
        }
    }
}

/// <summary>Proposes times far away, or going back.</summary>
public sealed class TimeTraveller(FaultyReplica self) : ISendStrategy
{
    private const long DayNanos = 86_400_000_000_000;

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (FaultyReplica.TagOf(message) == MessageTag.PrePrepare && self.Random.PerMille(500)
            && Batch.TryRead(message, self.Format) is { Entries.Count: > 0 } batch)
        {
            batch.TimeNanos = self.Random.Below(5) switch
            {
                0 => long.MaxValue,
                1 => long.MinValue,
                2 => batch.TimeNanos + DayNanos,
                3 => batch.TimeNanos - DayNanos,
                _ => batch.TimeNanos + (self.Config.MaxClockSkewMillis * 999_000L),
            };
            self.Count(this);
            message = batch.Write(self);
        }
        send(message);
    }
}

/// <summary>Never orders the requests of one client, nor answers it.</summary>
public sealed class Starver(FaultyReplica self) : ISendStrategy
{
    private readonly int _client = self.Random.Below(self.Config.Clients.Count);

    public void Send(int to, byte[] message, Action<byte[]> send)
    {
        if (to == self.N + _client)
        {
            self.Count(this);
            return;
        }
        if (FaultyReplica.TagOf(message) == MessageTag.PrePrepare && Batch.TryRead(message, self.Format) is { } batch
            && batch.Entries.RemoveAll(e => e.Client == self.Config.Clients[_client].Id) > 0)
        {
            self.Count(this);
            message = batch.Write(self);
        }
        send(message);
    }
}
